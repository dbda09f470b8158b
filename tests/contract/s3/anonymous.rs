//! Without credentials.

use std::time::{Duration, Instant};

use super::{PLAIN, endpoint, store};

#[apply(part)]
fn missing_credentials_are_named() {
    let store = store(&endpoint(), &format!("s3://{PLAIN}/anonymous"));
    let start = Instant::now();
    for error in [
        store.put_new("VERIFY.md", b"x").unwrap_err().to_string(),
        store.list().unwrap_err().to_string(),
    ] {
        assert!(error.contains("no credentials") && !error.contains('\n'), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
