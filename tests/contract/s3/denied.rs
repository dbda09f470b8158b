//! With a wrong secret.

use std::time::{Duration, Instant};

use super::{PLAIN, endpoint, store};

#[apply(part)]
fn a_wrong_secret_is_named() {
    let store = store(&endpoint(), &format!("s3://{PLAIN}/denied"));
    let start = Instant::now();
    for error in [
        store.probe().unwrap_err().to_string(),
        store.put_new("VERIFY.md", b"x").unwrap_err().to_string(),
        store.put_head(b"x").unwrap_err().to_string(),
        store.read("checkpoint").unwrap_err().to_string(),
        store.digest("checkpoint").unwrap_err().to_string(),
        store.list().unwrap_err().to_string(),
    ] {
        assert!(error.contains(": SignatureDoesNotMatch: "), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
