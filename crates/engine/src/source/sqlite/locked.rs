//! Copies a database in rollback mode as the file it is, while SQLite's own shared lock keeps writers from it: no page is
//! taken apart, file systems that can share blocks copy none, and all processors help where they cannot.
//!
//! Writers wait for a quarter of the time that SQLite's backup API would need.

use super::capture::LOCK_ATTEMPT;
use crate::{Error, Result};
use rusqlite::{Connection, ErrorCode};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Threads that copy: more than two wait for memory.
const THREADS: u64 = 2;

/// Bytes that are copied at once: they stay in the cache.
const PIECE_BYTES: usize = 256 * 1024;

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
    let target = File::create_new(copy).map_err(copying)?;
    copy_all(raw, &target).map_err(copying)?;
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

fn copy_all(from: &File, to: &File) -> io::Result<()> {
    // Shares the blocks, where the file system can. (copy_file_range(2) would do so too, but where it cannot, it copies
    // with the target locked, and a second thread only waits.)
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let edge = |at: u64| length / PIECE_BYTES as u64 * at / THREADS * PIECE_BYTES as u64;
    let ranges = (0..THREADS).map(|at| (edge(at), if at + 1 == THREADS { length } else { edge(at + 1) }));
    thread::scope(|scope| {
        let copying = ranges.map(|(start, end)| scope.spawn(move || copy_range(from, to, start, end)));
        copying.collect::<Vec<_>>().into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a copying thread ended abruptly")))
        })
    })
}

fn copy_range(from: &File, to: &File, mut at: u64, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        from.read_exact_at(&mut piece[..length], at)?;
        to.write_all_at(&piece[..length], at)?;
        at += length as u64;
    }
    Ok(())
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

    #[test]
    fn a_file_of_any_length_is_copied_whole() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 5 * PIECE_BYTES + 17] {
            let content = (0..length).map(|at| (at * 31 % 251) as u8).collect::<Vec<_>>();
            let (from, to) = (folder.path().join("from"), folder.path().join("to"));
            std::fs::write(&from, &content).unwrap();
            let open = |path| File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
            copy_all(&open(&from), &open(&to)).unwrap();
            assert!(std::fs::read(&to).unwrap() == content, "{length}");
            std::fs::remove_file(&to).unwrap();
        }
    }
}
