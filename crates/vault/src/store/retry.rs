//! Trying again what failed in passing.
//!
//! Only failures of the kind [`ErrorKind::Io`] are tried again: a full disk, a missing permission or a missing object does
//! not mend itself. A write may have happened although it was reported as failed; as names are random or content hashes, an
//! object that is there with the right size after a failed attempt is the one that was to be written.

use super::{ObjectInfo, ObjectReader, ObjectWriter, Store};
use crate::error::{ErrorKind, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A store whose small operations are repeated. Objects written through [`create`](Store::create) are not: their bytes are
/// gone when the end fails.
pub struct Retry {
    inner: Arc<dyn Store>,
    attempts_max: u32,
    first_delay: Duration,
}

impl Retry {
    /// Tries up to `attempts_max` times, waiting `first_delay` after the first and twice as long after each further failure.
    pub fn new(inner: Arc<dyn Store>, attempts_max: u32, first_delay: Duration) -> Self {
        Self { inner, attempts_max, first_delay }
    }

    fn repeat<T>(&self, mut work: impl FnMut(u32) -> Result<T>) -> Result<T> {
        let mut delay = self.first_delay;
        let mut attempt = 1;
        loop {
            match work(attempt) {
                Err(error) if error.kind() == ErrorKind::Io && attempt < self.attempts_max => {
                    std::thread::sleep(delay);
                    delay *= 2;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }
}

impl Store for Retry {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.inner.local_path(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.repeat(|_| self.inner.create(name))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<ObjectInfo> {
        self.repeat(|attempt| match self.inner.put(name, bytes) {
            Err(error) if attempt > 1 && error.kind() == ErrorKind::Refused => match self.inner.stat(name)? {
                Some(info) if info.size_bytes == bytes.len() as u64 => Ok(info),
                _ => Err(error),
            },
            other => other,
        })
    }

    fn open(&self, name: &str) -> Result<Box<dyn ObjectReader>> {
        self.repeat(|_| self.inner.open(name))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.repeat(|_| self.inner.read_range(name, offset, length))
    }

    fn read_all(&self, name: &str, size_bytes_max: u64) -> Result<Vec<u8>> {
        self.repeat(|_| self.inner.read_all(name, size_bytes_max))
    }

    fn stat(&self, name: &str) -> Result<Option<ObjectInfo>> {
        self.repeat(|_| self.inner.stat(name))
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        self.repeat(|_| self.inner.list(folder))
    }

    fn lists_at_once(&self) -> bool {
        self.inner.lists_at_once()
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.repeat(|_| self.inner.remove(name))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.repeat(|_| self.inner.free_bytes())
    }
}
