//! Locks a database in rollback mode so that it can be copied as the file it is: SQLite's own shared lock keeps writers from
//! it. No page is taken apart, and file systems that can share blocks copy none.
//!
//! Writers wait for a third of the time that SQLite's backup API would need.

use super::capture::LOCK_ATTEMPT;
use crate::{Error, Result};
use rusqlite::{Connection, ErrorCode};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// What became of it.
pub(super) enum Attempt {
    /// Until the connection is closed, the file is the database and nobody writes it.
    Locked,
    /// The file alone is not the database: in WAL mode the newest pages are not in it, or another took its place.
    NotTheFile,
    /// The lock could not be had in time.
    Busy,
    Refused(rusqlite::Error),
}

/// Locks `live`. `raw` is the same file as `source`, opened before it, and has to be closed after it: closing gives up the
/// lock.
pub(super) fn lock(live: &Path, source: &Connection, raw: &File, timeout: Duration) -> Result<Attempt> {
    match share(source, timeout) {
        Ok(true) => {}
        Ok(false) => return Ok(Attempt::Busy),
        Err(cause) => return Ok(Attempt::Refused(cause)),
    }
    let looking = |cause| Error::io(format_args!("looking at {}", live.display()), cause);
    // Under the lock nobody changes the mode. And the lock is on this file: whoever had replaced it between both openings
    // would be seen.
    let is_file = is_at(raw, live).map_err(looking)? && is_in_rollback_mode(raw).map_err(looking)?;
    Ok(if is_file { Attempt::Locked } else { Attempt::NotTheFile })
}

/// Takes the shared lock until the connection is closed; `false` when that took too long.
fn share(source: &Connection, timeout: Duration) -> rusqlite::Result<bool> {
    source.busy_timeout(LOCK_ATTEMPT)?;
    source.execute_batch("BEGIN")?;
    let deadline = Instant::now() + timeout;
    loop {
        match source.query_row("PRAGMA main.schema_version", [], |_| Ok(())) {
            Ok(()) => return Ok(true),
            Err(cause) if is_busy(&cause) && Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Err(cause) if is_busy(&cause) => return Ok(false),
            Err(cause) => return Err(cause),
        }
    }
}

/// Whether an open file is the one that the path names.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

fn is_busy(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Bytes 18 and 19 of the header, the write and the read version (<https://sqlite.org/fileformat2.html#file_format_version_numbers>).
fn is_in_rollback_mode(raw: &File) -> io::Result<bool> {
    let mut versions = [0; 2];
    match raw.read_exact_at(&mut versions, 18) {
        Ok(()) => Ok(versions == [1, 1]),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_meanwhile_is_not_the_one_that_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let [live, other] = ["live.db", "other.db"].map(|name| folder.path().join(name));
        for path in [&live, &other] {
            Connection::open(path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        }
        let raw = File::open(&live).unwrap();
        let attempt = || lock(&live, &Connection::open(&live).unwrap(), &raw, Duration::ZERO).unwrap();
        assert!(matches!(attempt(), Attempt::Locked));
        std::fs::rename(&other, &live).unwrap();
        assert!(matches!(attempt(), Attempt::NotTheFile));
    }
}
