//! Where archives and repositories lie.
//!
//! What a store must guarantee, before any method (the conformance suite in `tests/` checks each clause it can):
//!
//! 1. *Durability*: when [`ObjectWriter::finish`] or [`Store::put`] returns, the object survives a power cut.
//! 2. *Atomicity*: an object is visible whole or not at all; a dropped writer leaves nothing under its name.
//! 3. *Read after write*: an object that was finished is found by `stat`, `open` and `list` at once.
//! 4. *No overwriting*: `create` and `put` of an existing name fail with [`ErrorKind::Refused`](crate::ErrorKind)
//!    where the store can tell. Nothing may rest on it: names are random or content hashes.
//!
//! Names are `/`-separated relative paths, checked with [`EntryPath`](crate::EntryPath)'s rules. Retry, throttling and
//! fault injection are decorators around a store, not options of one.

mod durable;
mod local;
mod retry;
mod simulated;

pub use durable::DurableFile;
pub use local::LocalStore;
pub use retry::Retry;
pub use simulated::{Fault, SimulatedStore};

use crate::error::Result;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::time::SystemTime;

/// What a store knows about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name, relative to the store.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last written, by the store's clock.
    pub modified: Option<SystemTime>,
}

/// An object open for reading.
pub trait ObjectReader: Read + Seek + Send {}
impl<T: Read + Seek + Send> ObjectReader for T {}

/// An object being written. Invisible until [`finish`](ObjectWriter::finish); dropped without it, it is gone.
pub trait ObjectWriter: Write + Send {
    /// Replaces the first bytes (`head.len()` at most those already written, 64 KiB at most): an envelope's tag is known
    /// only at the end but stands at the beginning. An object store uploads its first part last.
    fn rewrite_head(&mut self, head: &[u8]) -> Result<()>;

    /// Everything written so far, as the store has it: so it can be read back while [`finish`](Self::finish) waits for
    /// the disk. `None` where a store shows nothing before.
    fn read_back(&self) -> Result<Option<Box<dyn ObjectReader>>> {
        Ok(None)
    }

    /// Makes the object visible, durably.
    fn finish(self: Box<Self>) -> Result<ObjectInfo>;
}

/// A place for objects.
pub trait Store: Send + Sync {
    /// For messages and for `location`: a path or URL. Never with secrets.
    fn describe(&self) -> String;

    /// The folder behind it, where it is a local one.
    fn local_path(&self, _name: &str) -> Option<PathBuf> {
        None
    }

    /// Begins an object.
    fn create(&self, name: &str) -> Result<Box<dyn ObjectWriter>>;

    /// Writes a small object at once.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<ObjectInfo> {
        let mut writer = self.create(name)?;
        writer
            .write_all(bytes)
            .map_err(|cause| crate::error::from_io(format!("writing {name} to {}", self.describe()), cause))?;
        writer.finish()
    }

    /// Opens an object.
    fn open(&self, name: &str) -> Result<Box<dyn ObjectReader>>;

    /// Reads a part of an object; fewer bytes than asked for are [`Truncated`](crate::ErrorKind::Truncated).
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>>;

    /// Reads a whole small object, refusing one above `size_bytes_max`.
    fn read_all(&self, name: &str, size_bytes_max: u64) -> Result<Vec<u8>>;

    /// What is known of one object; `None` when there is none.
    fn stat(&self, name: &str) -> Result<Option<ObjectInfo>>;

    /// All objects whose name lies below `folder` (`""` for all), in no particular order, unfinished ones never.
    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>>;

    /// Whether a listing shows everything that was written before, by whomever.
    fn lists_at_once(&self) -> bool {
        false
    }

    /// Removes an object; one that is gone already is no error.
    fn remove(&self, name: &str) -> Result<()>;

    /// Bytes still free, where that can be known.
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}
