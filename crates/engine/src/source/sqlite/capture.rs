//! Takes a consistent view of a database that an application may be writing: most often a private copy.
//!
//! Never writes to the application's files and never checkpoints. Four ways, by what lies there:
//! - *locked*: in rollback mode the file is read where it lies, under SQLite's shared lock (see `locked`), and copied only when
//!   somebody waits for that (see `view`);
//! - *online*: in WAL mode, through SQLite's backup API, all pages in one step. In several steps it would start over
//!   whenever the application writes, who need not wait;
//! - *at rest*: a WAL database that nobody has open is copied as a file, because reading it through SQLite would leave a
//!   `-wal` and a `-shm` beside it;
//! - *recovered*: after a crash of the application a journal or WAL may have to be applied first, which needs writing: the
//!   files are copied as they are, and the copy is recovered.
//!
//! The last two hold no lock. They compare the files' times and sizes before and after, and start over after a change.

use super::locked::{self, Attempt};
use super::open::{beside, create_scratch, explain, open_immutable, open_live, open_writable};
use super::prelude::Prelude;
use super::schema::{ROLLBACK, journal_mode};
use super::turn;
use super::view::{Locked, View};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::ffi;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a copy without locks is begun anew.
const ATTEMPTS_MAX: u32 = 20;

/// How long SQLite itself waits before it is asked anew. The longer it waits, the more rarely it looks, down to ten times
/// a second: too rarely to catch the gaps that a busy writer leaves.
pub(crate) const LOCK_ATTEMPT: Duration = Duration::from_millis(20);

/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes a view of `live`, which is the database at one instant before this returns, and what its schema says. `copy` must
/// not exist; where the view is a copy, it needs no journal: it is complete in itself. Waits until no other thread has the
/// database open.
pub(super) fn capture(live: &Path, copy: &Path, busy_timeout: Duration) -> Result<(View, Prelude)> {
    if live.is_dir() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{} is a folder, not a SQLite database", live.display()),
            "Name the database file itself.",
        ));
    }
    let turn = turn::take(live);
    require_space(live, copy)?;
    if is_wal_at_rest(live)? && copy_at_rest(live, copy)? {
        return complete(live, copy);
    }
    match copy_online(live, copy, busy_timeout) {
        Ok(Some((connection, raw))) => {
            let locked = Locked { connection, raw, turn };
            let prelude = Prelude::read(&locked.connection, live, ROLLBACK)?;
            let view = View::of_locked(live.to_owned(), locked, copy.to_owned())?;
            if prelude.needs_copy() {
                view.want_copy();
            }
            return Ok((view, prelude));
        }
        Ok(None) => {}
        Err(Failure::NeedsRecovery) => copy_recovered(live, copy, busy_timeout)?,
        Err(Failure::Other(error)) => return Err(error),
    }
    complete(live, copy)
}

fn complete(live: &Path, copy: &Path) -> Result<(View, Prelude)> {
    let prelude = Prelude::read(&open_immutable(copy)?, live, journal_mode(copy)?)?;
    Ok((View::of_copy(copy.to_owned())?, prelude))
}

/// The copy may become as large as the database and its WAL.
fn require_space(live: &Path, copy: &Path) -> Result<()> {
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len());
    let needed = size(live).map_err(|cause| Error::io(format_args!("looking at {}", live.display()), cause))?
        + size(&beside(live, "-wal")).unwrap_or(0);
    let folder = copy.parent().unwrap_or(Path::new("."));
    let free = free_bytes(folder)?;
    if free < needed {
        return Err(Error::new(
            ErrorKind::NoSpace,
            format!("a copy of {} needs {needed} bytes in {}, where {free} are free", live.display(), folder.display()),
            "Free some space there, or put the temporary folder on a larger disk.",
        ));
    }
    Ok(())
}

/// Bytes that this user may still use on the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(|cause| Error::io(format_args!("asking for free space in {}", folder.display()), cause.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// In WAL mode with nothing beside it: nobody has it open, and all of it is in the file.
fn is_wal_at_rest(live: &Path) -> Result<bool> {
    let mut header = Vec::new();
    File::open(live)
        .and_then(|file| file.take(20).read_to_end(&mut header))
        .map_err(|cause| Error::io(format_args!("opening the SQLite database {}", live.display()), cause))?;
    let alone = ["-wal", "-shm", "-journal"].iter().all(|suffix| !beside(live, suffix).exists());
    Ok(header.starts_with(b"SQLite format 3\0") && header.get(18) == Some(&2) && alone)
}

/// `false` when somebody opened it meanwhile.
fn copy_at_rest(live: &Path, copy: &Path) -> Result<bool> {
    let before = fingerprints(live);
    fs::copy(live, copy).map_err(|cause| Error::io(format_args!("copying {}", live.display()), cause))?;
    let undisturbed = before == fingerprints(live);
    if !undisturbed {
        remove(copy)?;
    }
    Ok(undisturbed)
}

enum Failure {
    /// A journal or WAL must be applied first, or the files beside the database cannot be made here.
    NeedsRecovery,
    Other(Error),
}

/// Copies the database, or answers the connection that locks its file, and the file.
fn copy_online(
    live: &Path,
    copy: &Path,
    busy_timeout: Duration,
) -> std::result::Result<Option<(Connection, File)>, Failure> {
    // Opened before and closed after the connection: closing a file gives up all locks that this process has on it.
    let raw = File::open(live).map_err(|cause| Error::io(format_args!("opening {}", live.display()), cause));
    let raw = raw.map_err(Failure::Other)?;
    let source = open_live(live, busy_timeout).map_err(Failure::Other)?;
    let copied = match locked::lock(live, &source, &raw, busy_timeout).map_err(Failure::Other)? {
        Attempt::Locked => return Ok(Some((source, raw))),
        Attempt::Busy => Ok(false),
        Attempt::Refused(cause) => Err(cause),
        Attempt::NotTheFile => {
            let mut target = create_scratch(copy).map_err(Failure::Other)?;
            source.execute_batch("COMMIT").and_then(|()| copy_pages(&source, &mut target, busy_timeout))
        }
    };
    match copied {
        Ok(true) => Ok(None),
        Ok(false) => Err(Failure::Other(busy(live, busy_timeout))),
        Err(cause) if needs_recovery(live, &cause) => {
            remove(copy).map_err(Failure::Other).and(Err(Failure::NeedsRecovery))
        }
        Err(cause) => Err(Failure::Other(explain(live, cause))),
    }
}

/// Copies all pages in one step; `false` when a lock could not be had in time.
pub(crate) fn copy_pages(source: &Connection, target: &mut Connection, timeout: Duration) -> rusqlite::Result<bool> {
    source.busy_timeout(LOCK_ATTEMPT)?;
    let backup = Backup::new(source, target)?;
    until_unlocked(timeout, || backup.step(-1))
}

/// Repeats a step of a backup until no lock is in its way; `false` when that took too long.
pub(crate) fn until_unlocked(
    timeout: Duration,
    step: impl Fn() -> rusqlite::Result<StepResult>,
) -> rusqlite::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        match step()? {
            StepResult::Done | StepResult::More => return Ok(true),
            _ if Instant::now() >= deadline => return Ok(false),
            // A lock within this process is not waited for by SQLite.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A lock could not be had in time.
pub(crate) fn busy(live: &Path, waited: Duration) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("SQLite database {} was locked by another program for {} ms", live.display(), waited.as_millis()),
        "Wait until its transaction ends, or raise busy_timeout_ms for this component.",
    )
}

fn needs_recovery(live: &Path, cause: &rusqlite::Error) -> bool {
    let has_journal = ["-wal", "-journal"].iter().any(|suffix| beside(live, suffix).exists());
    let code = cause.sqlite_error().map(|error| error.extended_code);
    has_journal
        && code.is_some_and(|code| {
            code & 0xff == ffi::SQLITE_READONLY || code & 0xff == ffi::SQLITE_CANTOPEN || code == ffi::SQLITE_IOERR_LOCK
        })
}

fn copy_recovered(live: &Path, copy: &Path, busy_timeout: Duration) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let before = fingerprints(live);
        for suffix in ["", "-journal", "-wal"] {
            copy_if_there(&beside(live, suffix), &beside(copy, suffix))?;
        }
        if before == fingerprints(live) {
            return recover(copy, busy_timeout);
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::new(
        ErrorKind::Busy,
        format!("SQLite database {} kept changing while its files were copied", live.display()),
        "Give this user the right to write in the database's folder, so that SQLite's own locks can be used.",
    ))
}

fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => remove(to),
        Err(cause) => Err(Error::io(format_args!("copying {}", from.display()), cause)),
    }
}

/// Applies a journal or WAL to a private file and leaves it complete in itself.
pub(crate) fn recover(path: &Path, busy_timeout: Duration) -> Result<()> {
    let connection = open_writable(path, busy_timeout)?;
    let look = |sql: &str| connection.query_row(sql, [], |_| Ok(())).map_err(|cause| explain(path, cause));
    look("SELECT count(*) FROM sqlite_schema")?;
    look("PRAGMA wal_checkpoint(TRUNCATE)")?;
    drop(connection);
    ["-wal", "-shm", "-journal"].iter().try_for_each(|suffix| remove(&beside(path, suffix)))
}

/// Removes a file of ours, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format_args!("removing {}", path.display()), cause))
        }
        _ => Ok(()),
    }
}

/// Identity, size and times of the database and the files beside it; `None` for what is not there.
fn fingerprints(live: &Path) -> [Option<[i64; 6]>; 3] {
    ["", "-journal", "-wal"].map(|suffix| {
        let metadata = fs::metadata(beside(live, suffix)).ok()?;
        let (inode, size) = (metadata.ino() as i64, metadata.size() as i64);
        Some([inode, size, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()])
    })
}
