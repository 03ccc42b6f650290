//! The records of Strongroom: backups, restores, pins, audit log and, for the service, users, tokens, jobs and outbox.
//!
//! Invariant: the catalog is a cache of the stores plus the audit log. Losing it loses no backup; `catalog rebuild`
//! makes it anew from the sidecars.
//!
//! SQLite in WAL mode through `rusqlite`, the library that already reads the application's SQLite databases: one SQLite
//! in the binary. The SQL keeps to what PostgreSQL understands too (`$1` parameters in order, TEXT and BIGINT columns,
//! `ON CONFLICT`, `RETURNING`), so that a shared catalog can be added behind the same functions.
//! Uncomfortable: calls block; async callers go through a blocking pool.

pub mod audit;
pub mod backups;
pub mod figures;
pub mod jobs;
pub mod locks;
pub mod outbox;
pub mod restores;
mod row;
pub mod sessions;
pub mod settings;
pub mod tokens;
pub mod users;

pub use audit::{AuditEntry, AuditEvent, AuditFilter, AuditHead, AuditOutcome, AuditPage, AuditReport};
pub use backups::{BackupFilter, BackupPage, BackupRecord, Collapse, ComponentSummary, TierFigures, Trust, TrustStep};
pub use jobs::Failure;
pub use locks::{Holder, Locks, RunLock};
pub use restores::{RestoreRecord, RestoreState};

use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// In order; a number is given once and never changed after a release.
const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("migrations/0001_core.sql")),
    (2, include_str!("migrations/0002_service.sql")),
    (3, include_str!("migrations/0003_restore_duration.sql")),
];

/// An open catalog. Cheap to share behind an `Arc`; several processes may have it open.
pub struct Catalog {
    /// For reading only, so that nobody who looks waits for a disk that is busy with a backup. None in memory. Closed before
    /// the other, which tidies up as the last one.
    reader: Option<Mutex<Connection>>,
    connection: Mutex<Connection>,
}

/// How long a writer in another process is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts at what SQLite does not wait for.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

impl Catalog {
    /// Opens the catalog at `path`, making it if need be, and brings its tables up to date.
    pub fn open(path: &Path) -> Result<Self> {
        let opening = |cause| failed("opening the catalog", cause);
        let mut catalog = Self::prepare(Connection::open(path).map_err(opening)?)?;
        let reader = Connection::open(path).map_err(opening)?;
        reader.busy_timeout(BUSY_TIMEOUT).map_err(opening)?;
        reader.pragma_update(None, "query_only", "ON").map_err(opening)?;
        catalog.reader = Some(Mutex::new(reader));
        Ok(catalog)
    }

    /// A catalog that lives as long as this value: for a machine that has only an archive and the key.
    pub fn in_memory() -> Result<Self> {
        Self::prepare(Connection::open_in_memory().map_err(|cause| failed("opening a catalog in memory", cause))?)
    }

    fn prepare(mut connection: Connection) -> Result<Self> {
        let doing = |cause| failed("preparing the catalog", cause);
        connection.busy_timeout(BUSY_TIMEOUT).map_err(doing)?;
        wal(&connection).map_err(doing)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(doing)?;
        connection.pragma_update(None, "foreign_keys", "ON").map_err(doing)?;
        migrate(&mut connection)?;
        Ok(Self { reader: None, connection: Mutex::new(connection) })
    }

    /// Reads. A panic elsewhere while the connection was held rolled its transaction back: the connection stays good.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.reader.as_ref().unwrap_or(&self.connection).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction that holds the write lock from its start.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|cause| failed("beginning to write the catalog", cause))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(|cause| failed("writing the catalog", cause))?;
        Ok(result)
    }
}

/// Turns WAL mode on. Of several that do so with a new catalog, SQLite makes only one succeed: the others read the first page
/// and then want to write it, and it does not let them wait for each other with the busy timeout, since none would ever give
/// up what it has read. Here each does.
fn wal(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(cause)
                if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            done => return done,
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let doing = |cause| failed("bringing the catalog up to date", cause);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(doing)?;
    let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(doing)?;
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.0);
    if version > newest {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the catalog was written by a newer Strongroom (its version is {version}, this one knows {newest})"
            ),
            "Use the newer program, or move the catalog away and run `strongroom catalog rebuild`.",
        ));
    }
    for (number, sql) in MIGRATIONS.iter().filter(|(number, _)| *number > version) {
        transaction.execute_batch(sql).map_err(doing)?;
        transaction.pragma_update(None, "user_version", number).map_err(doing)?;
    }
    transaction.commit().map_err(doing)
}

/// A failure of the catalog's database, classified.
pub(crate) fn failed(what: &str, cause: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, hint) = match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (ErrorKind::NoSpace, "Free some space in the backup folder and try again."),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Locked, "Another Strongroom is writing it; try again in a moment.")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            (ErrorKind::PermissionDenied, "Check who owns the backup folder and what lies in its `.strongroom` folder.")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Damaged, "The catalog is only a cache: move it away and run `strongroom catalog rebuild`.")
        }
        _ => (ErrorKind::Io, "See the cause; `strongroom catalog rebuild` makes the catalog anew."),
    };
    Error::new(kind, format!("{what} failed: {cause}"), hint).because(cause)
}
