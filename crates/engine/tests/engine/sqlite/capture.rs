//! Backups of databases that are in use, locked, crashed or no databases at all.

use super::*;
use engine::ErrorKind;
use engine::source::sqlite::query;
use std::time::Duration;

const ACCOUNTS: &str = "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO accounts SELECT i, 1000, hex(randomblob(200)) FROM n;";

/// Moves money between accounts until told to stop: the sum of balances never changes.
fn transfer_until(path: &Path, stop: &AtomicBool) -> u64 {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        connection
            .execute_batch(
                "BEGIN IMMEDIATE; UPDATE accounts SET balance = balance - 7, note = hex(randomblob(200)) WHERE id = 1 + abs(random() % 200);
                 INSERT INTO accounts(balance, note) VALUES (7, hex(randomblob(50))); COMMIT;",
            )
            .unwrap();
        count += 1;
    }
    count
}

#[test]
fn fifty_backups_under_constant_writes_are_each_consistent() {
    for mode in ["WAL", "DELETE"] {
        let (_folder, path) = database(&format!("PRAGMA journal_mode={mode}; {ACCOUNTS}"));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| transfer_until(&path, &stop));
            let stops = Stops(&stop);
            for at in 0..25 {
                let taken = backup(&path, if at % 5 == 0 { Export::Json } else { Export::Native });
                let folder = tempfile::tempdir().unwrap();
                let restored = restore_into(&folder.path().join("x"), &taken);
                assert_eq!(
                    query(&restored, "SELECT sum(balance) FROM accounts", Duration::from_secs(9)).unwrap(),
                    "200000"
                );
            }
            drop(stops);
            assert!(writer.join().unwrap() > 0);
        });
    }
}

#[test]
fn a_crashed_writers_journal_is_applied_to_the_copy_and_left_alone() {
    let (folder, path) = database(&format!("PRAGMA page_size=1024; {ACCOUNTS}"));
    let writer = Connection::open(&path).unwrap();
    // Dirty pages reach the file before the commit; then the files are taken as a crash leaves them.
    writer.execute_batch("PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN; UPDATE accounts SET balance = 0, note = hex(randomblob(300));").unwrap();
    let crashed = folder.path().join("crashed.db");
    for suffix in ["", "-journal"] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(with(&path), with(&crashed)).unwrap();
    }
    let (before, journal) =
        (std::fs::read(&crashed).unwrap(), std::fs::read(crashed.with_extension("db-journal")).unwrap());
    assert_ne!(before, std::fs::read(backup_file(&crashed)).unwrap(), "the journal had something to roll back");
    assert_eq!(std::fs::read(&crashed).unwrap(), before);
    assert_eq!(std::fs::read(crashed.with_extension("db-journal")).unwrap(), journal);
}

/// Backs up, checks the invariant and answers a file with the native bytes.
fn backup_file(path: &Path) -> PathBuf {
    let taken = backup(path, Export::Native);
    let folder = tempfile::tempdir().unwrap().keep();
    let restored = restore_into(&folder.join("x"), &taken);
    assert_eq!(integer(&restored, "SELECT sum(balance) FROM accounts"), 200_000);
    restored
}

#[test]
fn a_crashed_writers_wal_is_in_the_backup() {
    let (folder, path) = database(&format!("PRAGMA journal_mode=WAL; {ACCOUNTS}"));
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("PRAGMA wal_autocheckpoint=0; INSERT INTO accounts VALUES (999, 0, 'late');").unwrap();
    let crashed = folder.path().join("crashed.db");
    for suffix in ["", "-wal"] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(with(&path), with(&crashed)).unwrap();
    }
    assert_eq!(integer(&backup_file(&crashed), "SELECT count(*) FROM accounts WHERE id = 999"), 1);
}

#[test]
fn a_lock_that_stays_is_a_clear_refusal() {
    let (_folder, path) = database(ACCOUNTS);
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: Timestamp::UNIX_EPOCH,
        deduplicating: false,
    };
    let settings = SqliteSettings { busy_timeout_ms: Some(50), ..settings(&path, Export::Native) };
    let error = SqliteSource::new("database", settings).capture(&context).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
}

#[test]
fn what_cannot_be_backed_up_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (_kept, good) = database(ACCOUNTS);
    let mut damaged = std::fs::read(&good).unwrap();
    let length = damaged.len();
    damaged[4096 * 3..4096 * 4].fill(0xa5);
    let noise = (0..8192_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>();
    for (path, kind, words) in [
        (folder.path().join("none.db"), ErrorKind::NotFound, "none.db"),
        (folder.path().to_owned(), ErrorKind::Config, "folder"),
        (file("encrypted.db", &noise), ErrorKind::Database, "encrypted"),
        (file("damaged.db", &damaged), ErrorKind::Damaged, "damaged"),
        (file("short.db", &std::fs::read(&good).unwrap()[..length / 2]), ErrorKind::Damaged, "damaged"),
    ] {
        let error = try_backup(&path, Export::Native).err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words) && error.message().contains("component database"), "{error}");
    }
}

#[test]
fn rows_that_break_the_applications_rules_are_backed_up_with_a_warning() {
    let (_folder, path) = database(
        "CREATE TABLE t(a NOT NULL, b TEXT); INSERT INTO t VALUES (1, 'x');
         CREATE TABLE child(p REFERENCES t(a)); PRAGMA foreign_keys=OFF; INSERT INTO child VALUES (99);
         PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a NOT NULL, b INTEGER NOT NULL)' WHERE name = 't';",
    );
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA ignore_check_constraints=ON; CREATE TABLE later(x)")
        .unwrap();
    let (_other, nulls) = database(
        "CREATE TABLE t(a); INSERT INTO t VALUES (NULL);
         PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a NOT NULL)' WHERE name = 't';",
    );
    assert!(!backup(&path, Export::Native).manifest.warnings.is_empty());
    let taken = backup(&nulls, Export::Native);
    assert!(taken.manifest.warnings[0].contains("NULL value in t.a"), "{:?}", taken.manifest.warnings);
    restore_into(&tempfile::tempdir().unwrap().path().join("x"), &taken);
    assert_eq!(try_backup(&nulls, Export::Json).err().unwrap().kind(), ErrorKind::Unsupported);
}

#[test]
fn what_only_the_application_can_compare_is_backed_up_as_pages() {
    for (was, is) in [
        ("CREATE INDEX i ON t(a)", "CREATE INDEX i ON t(a COLLATE their_own)"),
        ("CREATE INDEX i ON t(lower(a))", "CREATE INDEX i ON t(their_function(a))"),
        ("CREATE TABLE t(a, CHECK (a > 0))", "CREATE TABLE t(a, CHECK (their_function(a) > 0))"),
    ] {
        let table = if was.contains("TABLE t") { "" } else { "CREATE TABLE t(a);" };
        let (_folder, path) = database(&format!(
            "{table} {was}; CREATE TABLE other(a); INSERT INTO other VALUES (1);
             PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = '{is}' WHERE sql = '{was}';"
        ));
        let taken = backup(&path, Export::Native);
        // SQLite itself passes over such a CHECK.
        let warned = taken.manifest.warnings.iter().any(|line| line.contains("their_"));
        assert!(warned || is.contains("CHECK"), "{is}: {:?}", taken.manifest.warnings);
        restore_into(&tempfile::tempdir().unwrap().path().join("x"), &taken);
        assert_eq!(try_backup(&path, Export::Json).err().unwrap().kind(), ErrorKind::Unsupported, "{is}");
    }
}

#[test]
fn rows_that_lie_in_the_order_of_a_collation_of_the_application_are_counted_and_hashed() {
    let (_folder, path) = database(
        "CREATE TABLE tags(tag TEXT PRIMARY KEY, n) WITHOUT ROWID; CREATE TABLE pairs(a PRIMARY KEY, b TEXT) WITHOUT ROWID;
         CREATE INDEX pairs_b ON pairs(b); INSERT INTO tags VALUES ('b', 1), ('A', 2), ('c', 3); INSERT INTO pairs SELECT n, tag FROM tags;
         PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'TEXT', 'TEXT COLLATE unicase');",
    );
    let taken = backup(&path, Export::Native);
    let Figures::Database(figures) = &taken.manifest.figures else { panic!("{:?}", taken.manifest) };
    let counted: Vec<_> = figures.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(counted, [("pairs", 3), ("tags", 3)]);
    assert!(figures.tables.iter().all(|table| table.content_hash.is_some()), "{figures:?}");
    let warnings = taken.manifest.warnings.join("\n");
    assert!(warnings.contains("table tags") && warnings.contains("unicase"), "{warnings}");
    restore_into(&tempfile::tempdir().unwrap().path().join("x"), &taken);
    let refused = try_backup(&path, Export::Json).err().unwrap();
    assert!(refused.kind() == ErrorKind::Unsupported && refused.message().contains("unicase"), "{refused}");
}

#[test]
fn assertions_read_one_value_and_end_in_time() {
    let (_folder, path) = database(ACCOUNTS);
    let ask = |sql: &str| query(&path, sql, Duration::from_millis(200));
    assert_eq!(ask("SELECT count(*) FROM accounts").unwrap(), "200");
    assert_eq!(ask("SELECT 1.0").unwrap(), "1.0");
    assert_eq!(ask("SELECT NULL").unwrap(), "");
    let forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n";
    assert_eq!(ask(forever).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(ask("SELEC 1").unwrap_err().kind(), ErrorKind::Config);
    assert!(ask("DELETE FROM accounts").is_err());
    assert_eq!(ask("SELECT count(*) FROM accounts").unwrap(), "200");
}
