//! SQLite databases, backed up and put back.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

mod capture;
mod killed;
mod roundtrip;
mod swap;

use engine::config::component::SqliteSettings;
use engine::id::Id;
use engine::manifest::{ComponentManifest, Export, Figures};
use engine::source::sqlite::SqliteSource;
use engine::source::{self, Source};
use engine::target::sqlite::SqliteTarget;
use engine::target::{self, Place, Target};
use jiff::Timestamp;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use vault::{Committed, Content, Entry, EntryWriter, Outcome, Progress, Silent};

const HASH_KEY: engine::hash::HashKey = engine::hash::HashKey::new([5; 32]);

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<(Entry, Vec<u8>)>);

impl EntryWriter for Kept {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> engine::Result<Outcome> {
        let mut bytes = Vec::new();
        let read = |content: &mut dyn Content| content.open()?.read_to_end(&mut bytes);
        if let Some(Err(cause)) = content.map(read) {
            return Ok(Outcome::Unreadable(cause));
        }
        let outcome = Outcome::Stored { bytes: bytes.len() as u64, padded_bytes: 0 };
        self.0.push((entry.clone(), bytes));
        Ok(outcome)
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> engine::Result<Committed> {
        unreachable!("sources do not commit")
    }
}

/// A backup in memory.
struct Backup {
    manifest: ComponentManifest,
    entry: Entry,
    bytes: Vec<u8>,
}

fn settings(path: &Path, export: Export) -> SqliteSettings {
    SqliteSettings { path: path.to_owned(), export: Some(export), busy_timeout_ms: Some(5_000) }
}

fn try_backup(path: &Path, export: Export) -> engine::Result<Backup> {
    let scratch = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: Timestamp::UNIX_EPOCH,
        deduplicating: false,
    };
    let mut source = SqliteSource::new("database", settings(path, export));
    let mut kept = Kept::default();
    source.capture(&context)?;
    let manifest = source.read(&context, &mut kept)?;
    drop(source);
    assert_eq!(scratch.path().read_dir().unwrap().count(), 0, "scratch files are removed");
    let (entry, bytes) = kept.0.pop().unwrap();
    assert!(kept.0.is_empty());
    assert_eq!(manifest.bytes, bytes.len() as u64);
    Ok(Backup { manifest, entry, bytes })
}

fn backup(path: &Path, export: Export) -> Backup {
    try_backup(path, export).unwrap()
}

fn target_context(progress: &dyn Progress) -> target::Context<'_> {
    target::Context { progress, hash_key: HASH_KEY, disconnect_clients: false }
}

/// Restores into a folder and compares with the manifest.
fn restore_into(folder: &Path, backup: &Backup) -> PathBuf {
    let settings = settings(Path::new("/nowhere/restored.db"), Export::Native);
    let mut target = SqliteTarget::new("database", settings, Place::Folder { path: folder.to_owned() }).unwrap();
    let context = target_context(&Silent);
    target.entry(&context, &backup.entry, &mut backup.bytes.as_slice()).unwrap();
    assert_same(backup, &target.finish(&context).unwrap());
    target.restored_path().unwrap()
}

fn assert_same(backup: &Backup, actual: &Figures) {
    assert_eq!(backup.manifest.differences(actual), Vec::<String>::new());
}

/// A live restore of `backup` over `live`, everything staged and compared.
fn stage(live: &Path, state: &Path, id: &Id, backup: &Backup) -> SqliteTarget {
    let mut target = live_target(live, state, id);
    let context = target_context(&Silent);
    assert_eq!(target.inspect(&context, &backup.manifest).unwrap().obstacles, Vec::<String>::new());
    target.entry(&context, &backup.entry, &mut backup.bytes.as_slice()).unwrap();
    assert_same(backup, &target.finish(&context).unwrap());
    target
}

fn live_target(live: &Path, state: &Path, id: &Id) -> SqliteTarget {
    let place = Place::Live { restore_id: id.clone(), state_folder: state.to_owned() };
    let settings = SqliteSettings { busy_timeout_ms: Some(2_000), ..settings(live, Export::Native) };
    SqliteTarget::new("database", settings, place).unwrap()
}

/// A new database in a folder of its own.
fn database(sql: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path)
}

/// Ends a writing thread also when the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn integer(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every row of every table as SQLite itself shows it, with row ids, storage classes and raw bytes: nothing of the code
/// under test takes part.
fn dump(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let strings = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let mut lines = strings(
        "SELECT type || '|' || name || '|' || tbl_name || '|' || (coalesce(rootpage, 0) = 0) || '|' || ifnull(sql, '-')
         FROM sqlite_schema ORDER BY 1",
    );
    for pragma in ["user_version", "application_id", "page_size", "auto_vacuum"] {
        lines.extend(strings(&format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}")));
    }
    lines.extend(strings("PRAGMA encoding"));
    for table in strings("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY 1") {
        lines.push(format!("-- {table}"));
        let quoted = table.replace('\'', "''");
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let columns = strings(&format!("SELECT name FROM pragma_table_xinfo('{quoted}')"));
        let without_rowid = strings(&format!("SELECT CAST(wr AS TEXT) FROM pragma_table_list('{quoted}')"))[0] == "1";
        let shown = columns.iter().map(|c| format!("typeof({0}) || hex(CAST({0} AS BLOB))", quote(c)));
        let mut shown = shown.collect::<Vec<_>>();
        let reachable =
            ["_rowid_", "rowid", "oid"].into_iter().find(|a| !columns.iter().any(|c| c.eq_ignore_ascii_case(a)));
        match reachable {
            Some(alias) if !without_rowid => shown.insert(0, alias.to_owned()),
            _ => {}
        }
        lines.extend(strings(&format!(
            "SELECT {} FROM {} NOT INDEXED ORDER BY 1",
            shown.join(" || ',' || "),
            quote(&table)
        )));
    }
    lines
}
