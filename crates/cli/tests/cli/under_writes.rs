//! An application that never stops writing while it is backed up.

use crate::support::App;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const BACKUPS_PER_MODE: u64 = 25;

/// Moves money between accounts until told to stop: the sum stays, and every transfer leaves a line.
fn transfer(database: &std::path::Path, stop: &AtomicBool, done: &AtomicU64) {
    let mut connection = Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let n = done.load(Ordering::Relaxed) as i64;
        transaction.execute("UPDATE accounts SET cents = cents - 7 WHERE id = ?1", [n % 100 + 1]).unwrap();
        transaction.execute("UPDATE accounts SET cents = cents + 7 WHERE id = ?1", [n * 31 % 100 + 1]).unwrap();
        transaction.execute("INSERT INTO transfers (n, note) VALUES (?1, printf('%.300c', 'x'))", [n]).unwrap();
        transaction.commit().unwrap();
        done.fetch_add(1, Ordering::Relaxed);
        // A writer that holds its lock without a pause lets nobody in, not even SQLite's own shell.
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn fifty_backups_of_a_database_under_constant_writes_each_restore_to_one_moment() {
    let app = App::new();
    app.execute(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
         CREATE TABLE transfers (n INTEGER PRIMARY KEY, note TEXT NOT NULL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO accounts SELECT i, 100000 FROM n;",
    );
    let done = AtomicU64::new(0);
    for mode in ["wal", "delete"] {
        app.query(&format!("PRAGMA journal_mode = {mode}"));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| transfer(&app.database(), &stop, &done));
            for _ in 0..BACKUPS_PER_MODE {
                check_one(&app, &done);
                assert!(!writer.is_finished(), "the application goes on writing");
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}

fn check_one(app: &App, done: &AtomicU64) {
    let before = done.load(Ordering::Relaxed);
    let record = app.backup(&["--component", "database"]);
    let after = done.load(Ordering::Relaxed);
    let id = record["id"].as_str().unwrap();
    let to = app.path().join("restored").join(id);
    app.ok(&["restore", id, "--to", to.to_str().unwrap()]);
    let restored = Connection::open(to.join("database/dev.db")).unwrap();
    let one = |sql: &str| restored.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(restored.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    assert_eq!(one("SELECT sum(cents) FROM accounts"), 10_000_000, "no transfer is half there");
    let count = one("SELECT count(*) FROM transfers");
    assert_eq!(count, one("SELECT coalesce(max(n), -1) + 1 FROM transfers"), "no line is missing before the last");
    assert!((before..=after + 1).contains(&(count as u64)), "{count} transfers, but it was between {before} and {after}");
    drop(restored);
    std::fs::remove_dir_all(&to).unwrap();
    app.ok(&["delete", id, "--force"]);
}
