//! Writes regular files: on the caller's thread as a stream, or small ones on a few threads, because restoring tens of
//! thousands of small files is a matter of system calls and not of bytes.
//!
//! Files are made on the caller's thread in any case: making one locks its folder, and threads that make files in the same
//! folder burn a core waiting for each other.
//!
//! Invariant: a file is made anew (never opened if something is there), is the owner's alone until its content is
//! complete, and gets its time last. Memory is bounded by the queue: 64 files of at most 64 KiB.

use crate::tree::metadata::{Withheld, apply};
use crate::{Error, ErrorKind, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use vault::{EntryPath, Metadata};

/// Files up to this size are written by the pool.
pub const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// Larger ones are written in pieces of so many, however small those are in which they come.
const PIECE_BYTES: usize = 256 * 1024;
const QUEUE_MAX: usize = 64;
const WORKERS_MAX: usize = 4;
const BLOCK: usize = 4096;

/// A regular file that was made and gets its content.
pub struct Job {
    file: File,
    /// Its path, for messages.
    path: EntryPath,
    /// Everything but its content.
    metadata: Metadata,
}

impl Job {
    /// Makes the file `name` in `folder`, empty.
    pub fn create(folder: &OwnedFd, name: &CStr, path: &EntryPath, metadata: &Metadata) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Self { file: File::from(file), path: path.clone(), metadata: metadata.clone() }),
            Err(Errno::EXIST) => Err(twice(path)),
            Err(error) => Err(writing(path, error.into())),
        }
    }

    /// Writes the whole of `content`, which must be `size` bytes where that is known. `wrote` hears of each piece.
    pub fn write(
        &self,
        content: &mut dyn Read,
        size: Option<u64>,
        mut wrote: impl FnMut(u64) -> io::Result<()>,
    ) -> Result<Withheld> {
        let mut sink = Sink { file: &self.file, position: 0, holes: self.metadata.sparse };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        loop {
            piece.clear();
            Read::take(&mut *content, PIECE_BYTES as u64)
                .read_to_end(&mut piece)
                .map_err(|error| vault::error::from_io(format!("reading {} from the backup", self.path), error))?;
            if piece.is_empty() {
                break;
            }
            sink.write(&piece).and_then(|()| wrote(piece.len() as u64)).map_err(|cause| self.failed(cause))?;
        }
        let written = sink.position;
        if size.is_some_and(|size| size != written) {
            return Err(wrong_size(&self.path, size, written));
        }
        self.complete(written)
    }

    fn write_small(&self, content: &[u8]) -> Result<Withheld> {
        let mut sink = Sink { file: &self.file, position: 0, holes: self.metadata.sparse };
        sink.write(content).map_err(|cause| self.failed(cause))?;
        self.complete(content.len() as u64)
    }

    fn complete(&self, size: u64) -> Result<Withheld> {
        if self.metadata.sparse {
            self.file.set_len(size).map_err(|cause| self.failed(cause))?;
        }
        apply(self.file.as_fd(), &self.metadata).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: io::Error) -> Error {
        writing(&self.path, cause)
    }
}

fn writing(path: &EntryPath, cause: io::Error) -> Error {
    Error::io(format!("writing {path}"), cause)
}

/// The error for a path that comes twice.
pub fn twice(path: &EntryPath) -> Error {
    Error::new(
        ErrorKind::UnsafeEntry,
        format!("{path} is in the backup twice, or below something that is no folder"),
        "The archive was not made by Strongroom or was tampered with; the live data was not touched.",
    )
}

/// The error for a file of another size than its entry says.
pub fn wrong_size(path: &EntryPath, expected: Option<u64>, actual: u64) -> Error {
    let expected = expected.unwrap_or_default();
    let kind = if actual < expected { ErrorKind::Truncated } else { ErrorKind::Damaged };
    Error::new(
        kind,
        format!("{path} should have {expected} bytes in the backup and has {actual}"),
        "The backup is damaged: use another copy or an older one; `strongroom verify` finds a good one.",
    )
}

/// Writes in order, and leaves whole blocks of zeros out where the file had holes.
struct Sink<'a> {
    file: &'a File,
    position: u64,
    holes: bool,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.holes {
            self.file.write_all_at(bytes, self.position)?;
            self.position += bytes.len() as u64;
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // Up to the next boundary of a block.
            let room = BLOCK - (self.position % BLOCK as u64) as usize;
            let (block, after) = rest.split_at(room.min(rest.len()));
            if block.iter().any(|&byte| byte != 0) {
                self.file.write_all_at(block, self.position)?;
            }
            self.position += block.len() as u64;
            rest = after;
        }
        Ok(())
    }
}

#[derive(Default)]
struct State {
    pending: usize,
    failed: Option<Error>,
    withheld: Withheld,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    idle: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A few threads that write small files.
pub struct WritePool {
    sender: Option<Sender<(Job, Vec<u8>)>>,
    workers: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl WritePool {
    /// Starts the threads.
    pub fn new() -> Self {
        let (sender, receiver) = bounded(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let workers = (0..count)
            .map(|_| {
                let (receiver, shared) = (receiver.clone(), Arc::clone(&shared));
                std::thread::spawn(move || work(&receiver, &shared))
            })
            .collect();
        Self { sender: Some(sender), workers, shared }
    }

    /// Hands a file over. Fails with what failed earlier.
    pub fn submit(&self, job: Job, content: Vec<u8>) -> Result<()> {
        {
            let mut state = self.shared.lock();
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            state.pending += 1;
        }
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send((job, content)).is_ok());
        if sent { Ok(()) } else { Err(Error::internal("the threads that write files ended early")) }
    }

    /// Waits until everything is written. Says what could not be given to the files.
    pub fn flush(&self) -> Result<Withheld> {
        let mut state = self.shared.lock();
        while state.pending > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.failed.take() {
            Some(error) => Err(error),
            None => Ok(state.withheld),
        }
    }
}

impl Drop for WritePool {
    fn drop(&mut self) {
        self.sender = None;
        for worker in self.workers.drain(..) {
            // A thread that panicked has nothing more to say.
            let _ = worker.join();
        }
    }
}

fn work(jobs: &Receiver<(Job, Vec<u8>)>, shared: &Shared) {
    for (job, content) in jobs {
        let result = job.write_small(&content);
        drop(job);
        let mut state = shared.lock();
        match result {
            Ok(withheld) => state.withheld.join(withheld),
            Err(error) => {
                state.failed.get_or_insert(error);
            }
        }
        state.pending -= 1;
        if state.pending == 0 {
            shared.idle.notify_all();
        }
    }
}
