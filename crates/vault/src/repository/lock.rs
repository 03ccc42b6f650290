//! Locks in the repository, understood and honoured by restic as well.
//!
//! A lock is a file in `locks/`. Shared locks go together; an exclusive one goes with nothing. To take one: look for others
//! that conflict, write ours, look again. Of two that conflict at least one sees the other, as a store lists what was
//! written before; possibly both do and both give up. A lock is refreshed every five minutes by a thread of its own, and is
//! stale after thirty, or as soon as its process on this host is gone; stale locks are removed by whoever meets them.
//!
//! Uncomfortable consequence: a host that sleeps for half an hour loses its lock without knowing. Whoever is about to make a
//! change that rests on the lock calls [`Lock::ensure_held`] first.

use super::Environment;
use super::files::Files;
use super::format::lock_file::{LockFile, SIZE_BYTES_MAX};
use super::format::{FileKind, time};
use super::id::Id;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ObjectInfo;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

/// How often a lock is refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_mins(5);
/// A lock is stale when it is older.
const STALE_AFTER_SECONDS: i64 = 1800;
/// We no longer trust a lock of ours that is older: others may be about to remove it, and clocks differ.
const TRUSTED_SECONDS: i64 = 1500;

/// A lock that is held. Dropping it gives it back.
pub struct Lock {
    held: Arc<Held>,
    heartbeat: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Held {
    files: Files,
    environment: Environment,
    exclusive: bool,
    /// The file that stands for us now and when it was written.
    current: Mutex<(Id, i64)>,
}

impl Lock {
    /// Takes a lock, or fails with [`ErrorKind::Locked`]. `settle` is how long to wait between writing and looking again, for
    /// stores whose listings lag.
    pub fn acquire(files: &Files, environment: &Environment, exclusive: bool, settle: Duration) -> Result<Self> {
        let others = |own| check_others(files, environment, exclusive, own);
        others(None)?;
        let written = write(files, environment, exclusive)?;
        let held = Arc::new(Held {
            files: files.clone(),
            environment: environment.clone(),
            exclusive,
            current: Mutex::new(written),
        });
        // From here on, leaving early gives the lock back.
        let mut lock = Self { held, heartbeat: None };
        if !settle.is_zero() {
            std::thread::sleep(settle);
        }
        others(Some(written.0))?;
        lock.heartbeat = Some(heartbeat(Arc::clone(&lock.held))?);
        Ok(lock)
    }

    /// Fails with [`ErrorKind::Locked`] unless the lock is fresh and its file still there.
    pub fn ensure_held(&self) -> Result<()> {
        let (id, written) = *self.held.current.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = (self.held.environment.now)().seconds - written < TRUSTED_SECONDS;
        if fresh && self.held.files.store.stat(&FileKind::Lock.object_name(id))?.is_some() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Locked,
            "the lock on the repository was lost: this host slept for long, or somebody removed the lock",
            "Nothing was made visible. Run it again.",
        ))
    }

    /// Writes the lock anew, with the time that it is now.
    pub(super) fn refresh(&self) -> Result<()> {
        self.held.refresh()
    }

    /// Gives the lock back, telling whether that worked.
    pub fn release(mut self) -> Result<()> {
        self.end_heartbeat();
        self.held.remove()
    }

    fn end_heartbeat(&mut self) {
        if let Some((stop, thread)) = self.heartbeat.take() {
            drop(stop);
            // A heartbeat that panicked has nothing to say here: the lock goes either way.
            let _ = thread.join();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.end_heartbeat();
        // Nobody hears of a failure here; the lock becomes stale with the end of this process.
        let _ = self.held.remove();
    }
}

impl Held {
    fn remove(&self) -> Result<()> {
        let (id, _) = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        self.files.remove(FileKind::Lock, id)
    }

    fn refresh(&self) -> Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever removed our lock counts on us having none.
        if self.files.store.stat(&FileKind::Lock.object_name(current.0))?.is_none() {
            return Ok(());
        }
        let written = write(&self.files, &self.environment, self.exclusive)?;
        let old = std::mem::replace(&mut *current, written);
        self.files.remove(FileKind::Lock, old.0)
    }
}

fn heartbeat(held: Arc<Held>) -> Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped): (Sender<()>, Receiver<()>) = channel();
    let beat = move || {
        while stopped.recv_timeout(REFRESH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            // A failure is tried again in five minutes; ensure_held() notices when it lasts.
            let _ = held.refresh();
        }
    };
    let thread = std::thread::Builder::new()
        .name("lock heartbeat".to_owned())
        .spawn(beat)
        .map_err(|cause| Error::io("starting a thread", cause))?;
    Ok((stop, thread))
}

fn write(files: &Files, environment: &Environment, exclusive: bool) -> Result<(Id, i64)> {
    let time = (environment.now)();
    let lock = LockFile {
        time,
        exclusive,
        hostname: environment.hostname.clone(),
        username: environment.username.clone(),
        pid: std::process::id(),
    };
    let (id, _) = files.save(FileKind::Lock, &lock.encode()?)?;
    Ok((id, time.seconds))
}

/// Fails if another lock conflicts; removes stale ones.
fn check_others(files: &Files, environment: &Environment, exclusive: bool, own: Option<Id>) -> Result<()> {
    for (id, info) in files.list(FileKind::Lock)? {
        if Some(id) == own {
            continue;
        }
        let Some(lock) = read(files, environment, id, &info)? else { continue };
        if is_stale(&lock, environment) {
            files.remove(FileKind::Lock, id)?;
        } else if exclusive || lock.exclusive {
            return Err(locked(&lock));
        }
    }
    Ok(())
}

/// Reads a lock. `None` when it has just been given back. One that cannot be read counts as exclusive from when it was
/// written: it may be one.
fn read(files: &Files, environment: &Environment, id: Id, info: &ObjectInfo) -> Result<Option<LockFile>> {
    match files.load(FileKind::Lock, id, SIZE_BYTES_MAX).and_then(|json| LockFile::decode(&json)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::TooLarge) => {
            let mut time = (environment.now)();
            if let Some(written) = info.modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
                time.seconds = written.as_secs() as i64;
            }
            let hostname = format!("unknown, locks/{} cannot be read", id.short());
            Ok(Some(LockFile { time, exclusive: true, hostname, username: String::new(), pid: 0 }))
        }
        Err(error) => Err(error),
    }
}

fn is_stale(lock: &LockFile, environment: &Environment) -> bool {
    if (environment.now)().seconds - lock.time.seconds > STALE_AFTER_SECONDS {
        return true;
    }
    lock.hostname == environment.hostname && !is_process_alive(lock.pid)
}

fn is_process_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return true };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

fn locked(lock: &LockFile) -> Error {
    let how = if lock.exclusive { "exclusively" } else { "for a backup or restore" };
    Error::new(
        ErrorKind::Locked,
        format!(
            "the repository is locked {how} by process {} on host {} since {}",
            lock.pid,
            lock.hostname,
            time::format(lock.time)
        ),
        "Wait for it to end. A lock whose process died expires by itself, on another host after 30 minutes.",
    )
}
