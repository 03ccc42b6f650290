//! How SQLite files are opened, and what its failures mean to a person.
//!
//! The application's database is opened read-only and never checkpointed. A private copy is opened `immutable`: no locks,
//! no `-wal` or `-shm` beside it, as many readers as one likes.

use crate::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long locks are waited for when the configuration does not say.
pub(crate) const BUSY_TIMEOUT_MS: u64 = 10_000;

/// Opens the application's database for reading. Not even closing it checkpoints.
pub(crate) fn open_live(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection
        .busy_timeout(busy_timeout)
        .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))
        .map_err(|cause| explain(path, cause))?;
    Ok(connection)
}

/// Opens a file that nobody writes.
pub(crate) fn open_immutable(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    open(Path::new(&uri(path, "immutable=1")), flags).map_err(|error| error.within(path.display()))
}

/// Opens an existing file for reading and writing.
pub(crate) fn open_writable(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout).map_err(|cause| explain(path, cause))?;
    Ok(connection)
}

/// Creates a private file that needs neither a journal nor durability before it is complete.
pub(crate) fn create_scratch(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    connection
        .execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;")
        .map_err(|cause| explain(path, cause))?;
    Ok(connection)
}

/// Definitions come from a stranger: they may not reach outside the file.
fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let prepare = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        Ok(connection)
    };
    prepare().map_err(|cause| explain(path, cause))
}

/// A `file:` address of a path in raw bytes.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(byte as char);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push('?');
    uri + parameters
}

/// A file that belongs to a database: `dev.db` and `-wal` give `dev.db-wal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Quotes a name for SQL.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Says what a failure of SQLite means, and what helps.
pub(crate) fn explain(path: &Path, cause: rusqlite::Error) -> Error {
    let (kind, what, hint) = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            ErrorKind::Busy,
            "is locked by another program",
            "Wait until its transaction ends, or raise busy_timeout_ms for this component.",
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Database,
            "is not a SQLite database, or an encrypted one (SQLCipher and the like)",
            "Check the path; an encrypted database has to be exported by its application.",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Damaged,
            "is damaged",
            "Look at it with `sqlite3 FILE 'PRAGMA integrity_check'`; restore the newest backup that was proven.",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => (
            ErrorKind::PermissionDenied,
            "may not be accessed",
            "Run as the user that owns it, or give this user the right to read it and to enter its folder.",
        ),
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::NoSpace, "does not fit on the disk", "Free some space there and try again.")
        }
        Some(ErrorCode::SystemIoFailure) => {
            (ErrorKind::Io, "could not be read or written", "See the cause; check the disk and the system's log.")
        }
        Some(ErrorCode::OperationInterrupted) => (ErrorKind::Cancelled, "was interrupted", "Start it again."),
        Some(ErrorCode::CannotOpen) => return cannot_open(path, cause),
        _ => (ErrorKind::Database, "cannot be used", "See the cause; `strongroom doctor` checks the usual ones."),
    };
    Error::new(kind, format!("SQLite database {} {what}: {cause}", path.display()), hint).because(cause)
}

/// SQLite says `unable to open` for every reason: look which one it was.
fn cannot_open(path: &Path, cause: rusqlite::Error) -> Error {
    match std::fs::File::open(path) {
        Err(reason) => Error::io(format_args!("opening the SQLite database {}", path.display()), reason),
        Ok(_) => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "SQLite database {} can be read, but not the files beside it (-wal, -shm) or its folder: {cause}",
                path.display()
            ),
            "Give this user the right to read and write in the database's folder.",
        )
        .because(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_becomes_one_address() {
        assert_eq!(uri(Path::new("/a b/x?y#%.db"), "immutable=1"), "file:/a%20b/x%3Fy%23%25.db?immutable=1");
    }

    #[test]
    fn a_missing_file_and_a_text_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| {
            let opened = open_live(path, Duration::ZERO);
            let read = opened.and_then(|connection| {
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(|e| explain(path, e))
            });
            read.unwrap_err().kind()
        };
        assert_eq!(kind(&folder.path().join("none.db")), ErrorKind::NotFound);
        let text = folder.path().join("text.db");
        std::fs::write(&text, "not a database at all, but longer than a header is, which matters: ".repeat(20))
            .unwrap();
        assert_eq!(kind(&text), ErrorKind::Database);
    }
}
