//! With credentials that may write and not administer.

use super::{PLAIN, endpoint, store};

#[apply(part)]
fn a_writer_needs_no_more() {
    let store = store(&endpoint(), &format!("s3://{PLAIN}/writer"));
    store.probe().unwrap();
    store.put_new("VERIFY.md", b"x").unwrap();
    store.put_head(b"x").unwrap();
    assert_eq!(super::super::paths(&*store), ["VERIFY.md", "checkpoint"]);
}

#[apply(part)]
fn a_bucket_of_others_is_denied() {
    let store = store(&endpoint(), "s3://no-such-bucket/a");
    for error in [
        store.probe().unwrap_err().to_string(),
        store.put_new("VERIFY.md", b"x").unwrap_err().to_string(),
        store.put_head(b"x").unwrap_err().to_string(),
    ] {
        // To list it is to learn that it is not there.
        let is_named =
            [": AccessDenied: ", ": NoSuchBucket: "].iter().any(|code| error.contains(code));
        assert!(is_named, "{error}");
    }
}
