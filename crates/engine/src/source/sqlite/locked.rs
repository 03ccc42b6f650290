//! Copies a database in rollback mode as the file it is, while SQLite's own shared lock keeps writers from it: no page is
//! taken apart, and file systems that can share blocks copy none.
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
    Copied,
    /// The file alone is not the database: in WAL mode the newest pages are not in it, or another took its place.
    NotTheFile,
    /// The lock could not be had in time.
    Locked,
    Refused(rusqlite::Error),
}

/// Copies `live` to `copy`, which must not exist. `raw` is the same file as `source`, opened before it, and has to be closed
/// after it: closing gives up the lock.
pub(super) fn copy(live: &Path, source: &Connection, raw: &File, copy: &Path, timeout: Duration) -> Result<Attempt> {
    match lock(source, timeout) {
        Ok(true) => {}
        Ok(false) => return Ok(Attempt::Locked),
        Err(cause) => return Ok(Attempt::Refused(cause)),
    }
    let copying = |cause| Error::io(format_args!("copying a database to {}", copy.display()), cause);
    // Under the lock nobody changes the mode. And the lock is on this file: whoever had replaced it between both openings
    // would be seen.
    if !is_at(raw, live).map_err(copying)? || !is_in_rollback_mode(raw).map_err(copying)? {
        return Ok(Attempt::NotTheFile);
    }
    // On Linux this is copy_file_range(2): blocks are shared where the file system can, and copied by the kernel where not.
    // Two threads would be a third faster, and take half as much again: each waits for the target's lock.
    io::copy(&mut { raw }, &mut File::create_new(copy).map_err(copying)?).map_err(copying)?;
    Ok(Attempt::Copied)
}

/// Takes the shared lock until the connection is closed; `false` when that took too long.
fn lock(source: &Connection, timeout: Duration) -> rusqlite::Result<bool> {
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
    fn a_file_that_was_replaced_meanwhile_is_not_copied_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let [live, other, target] = ["live.db", "other.db", "copy.db"].map(|name| folder.path().join(name));
        for path in [&live, &other] {
            Connection::open(path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        }
        let raw = File::open(&live).unwrap();
        let attempt = || copy(&live, &Connection::open(&live).unwrap(), &raw, &target, Duration::ZERO).unwrap();
        assert!(matches!(attempt(), Attempt::Copied) && target.exists());
        std::fs::remove_file(&target).unwrap();
        std::fs::rename(&other, &live).unwrap();
        assert!(matches!(attempt(), Attempt::NotTheFile) && !target.exists());
    }
}
