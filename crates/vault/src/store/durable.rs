//! A file that goes to the disk while it is being written.
//!
//! Whoever must not lose a file syncs it at its end, and then waits for a disk that stood idle before. Here the disk works
//! along: what is on its way while the next bytes are being made need not be waited for.

use std::fs::File;
use std::io::{self, Write};
use std::thread::JoinHandle;

/// Bytes that may wait in the page cache.
const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// A file, written from its start to its end and then synced.
pub struct DurableFile {
    file: File,
    written_bytes: u64,
    synced_bytes: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl DurableFile {
    /// An empty file.
    pub const fn new(file: File) -> Self {
        Self { file, written_bytes: 0, synced_bytes: 0, syncing: None }
    }

    /// The file itself.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Bytes written so far.
    pub const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Returns when everything is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.syncing.take().map_or(Ok(()), joined)?;
        self.file.sync_all()
    }

    /// Sends what was written so far to the disk, on a thread of its own. One at a time: a disk that is slower than we
    /// are is waited for at the end, as it must be.
    fn sync_behind(&mut self) -> io::Result<()> {
        if self.written_bytes - self.synced_bytes < UNSYNCED_BYTES_MAX {
            return Ok(());
        }
        match self.syncing.take() {
            Some(running) if !running.is_finished() => self.syncing = Some(running),
            ended => {
                // An error of the disk is told once, to whoever syncs: it must not get lost here.
                ended.map_or(Ok(()), joined)?;
                let file = self.file.try_clone()?;
                self.synced_bytes = self.written_bytes;
                self.syncing = Some(std::thread::spawn(move || file.sync_data()));
            }
        }
        Ok(())
    }
}

impl Write for DurableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written_bytes += written as u64;
        self.sync_behind()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn joined(sync: JoinHandle<io::Result<()>>) -> io::Result<()> {
    sync.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked")))
}
