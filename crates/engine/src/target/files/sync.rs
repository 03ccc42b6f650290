//! Sends restored files to the disk while the next ones are being written.
//!
//! Syncing each of tens of thousands of files costs more than writing them, so the file system is synced as a whole; and
//! only then is anything exchanged. Left to the end, the disk would stand idle before and everybody wait after.

use rustix::fs::syncfs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Bytes that may wait in the page cache.
const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// Syncs a file system now and then, on a thread of its own.
pub struct SyncBehind {
    root: Arc<OwnedFd>,
    unsynced_bytes: u64,
    syncing: Option<JoinHandle<rustix::io::Result<()>>>,
}

impl SyncBehind {
    /// For the file system of this folder.
    pub const fn new(root: Arc<OwnedFd>) -> Self {
        Self { root, unsynced_bytes: 0, syncing: None }
    }

    /// So many bytes were written. One sync at a time: a disk that is slower than we are is waited for at the end.
    pub fn wrote(&mut self, bytes: u64) -> io::Result<()> {
        self.unsynced_bytes += bytes;
        if self.unsynced_bytes < UNSYNCED_BYTES_MAX || self.syncing.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        self.join()?;
        let root = Arc::clone(&self.root);
        self.unsynced_bytes = 0;
        self.syncing = Some(std::thread::spawn(move || syncfs(&root)));
        Ok(())
    }

    /// Waits for the sync under way. An error of the disk is told once, to whoever syncs: it must not get lost here.
    pub fn join(&mut self) -> io::Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing.join().unwrap_or(Err(rustix::io::Errno::IO)).map_err(Into::into)
    }
}
