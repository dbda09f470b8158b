//! A store that breaks off, for tests of what the next writer finds.

use std::sync::atomic::{AtomicU32, Ordering};

use affidavit::archive::{Put, Store, StoreError};
use affidavit::evidence::layout;
use affidavit::verify::{Archive, Entry, ReadFailure};

/// A store whose writes fail from the `fail_at`-th on, before or after they took effect.
pub struct Faulty<'a> {
    inner: &'a dyn Store,
    writes: AtomicU32,
    fail_at: u32,
    persisted: bool,
}

impl<'a> Faulty<'a> {
    pub fn new(inner: &'a dyn Store, fail_at: u32, persisted: bool) -> Self {
        Self { inner, writes: AtomicU32::new(0), fail_at, persisted }
    }

    fn write<T>(&self, path: &str, write: impl FnOnce() -> T) -> Result<T, StoreError> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let failed = StoreError::Write {
            path: path.to_owned(),
            reason: "No space left on device".into(),
            help: "",
        };
        if number < self.fail_at {
            return Ok(write());
        }
        // "Failed, but persisted anyway": the reply was lost.
        if number == self.fail_at && self.persisted {
            write();
        }
        Err(failed)
    }
}

impl Archive for Faulty<'_> {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        self.inner.list()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        self.inner.read(path)
    }
}

impl Store for Faulty<'_> {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        self.write(path, || self.inner.put_new(path, bytes))?
    }

    fn put_head(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(layout::HEAD, || self.inner.put_head(bytes))?
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.write(path, || self.inner.remove(path))?
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.inner.probe()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
