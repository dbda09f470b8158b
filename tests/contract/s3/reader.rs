//! With credentials that may only read, as an auditor has.

use super::{PLAIN, endpoint, store};

#[apply(part)]
fn a_reader_reads_and_cannot_write() {
    let store = store(&endpoint(), &format!("s3://{PLAIN}/writer"));
    assert_eq!(store.read("VERIFY.md").unwrap(), b"x");
    assert_eq!(super::super::paths(&*store), ["VERIFY.md", "checkpoint"]);
    for error in [
        store.probe().unwrap_err().to_string(),
        store.put_new("VERIFY.md", b"x").unwrap_err().to_string(),
        store.put_head(b"x").unwrap_err().to_string(),
    ] {
        assert!(error.contains(": AccessDenied: "), "{error}");
    }
}
