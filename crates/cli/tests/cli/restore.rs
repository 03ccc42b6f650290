//! Restores, in place and elsewhere, and taking them back.

use crate::support::{App, KEY, assert_same, dump, query};

#[test]
fn a_damaged_application_is_put_back_and_the_restore_taken_back() {
    let app = App::new();
    let intact = app.snapshot();
    app.backup(&[]);
    app.execute("DELETE FROM customers WHERE id % 2 = 0");
    std::fs::remove_dir_all(app.path().join("uploads")).unwrap();
    std::fs::write(app.path().join("package.json"), "{}").unwrap();
    let damaged = app.snapshot();
    assert_ne!(damaged, intact);
    app.ok(&["restore", "latest", "--confirm", "CONFIRM_RESTORE"]);
    assert_same(&app.snapshot(), &intact);
    let undone = app.ok(&["undo", "latest"]);
    assert_same(&app.snapshot(), &damaged);
    app.ok(&["undo", undone["id"].as_str().unwrap()]);
    assert_same(&app.snapshot(), &intact);
}

#[test]
fn undo_is_last_in_first_out() {
    let app = App::new();
    app.backup(&[]);
    let restore = || {
        app.ok(&["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"])["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, second) = (restore(), restore());
    assert_eq!(app.fails(1, &["undo", &first]), "refused");
    assert_eq!(app.ok(&["undo", "latest"])["id"], second.as_str());
    assert_eq!(app.ok(&["undo", "latest"])["id"], first.as_str());
    assert_eq!(app.fails(4, &["undo", "latest"]), "not_found");
}

#[test]
fn without_the_word_nothing_is_replaced() {
    let app = App::new();
    app.backup(&[]);
    let before = app.snapshot();
    assert_eq!(app.fails(1, &["restore", "latest"]), "refused");
    assert_eq!(app.fails(1, &["restore", "latest", "--confirm", "yes"]), "refused");
    let plan = app.ok(&["restore", "latest", "--dry-run"]);
    assert!(plan.to_string().contains("uploads"));
    assert_same(&app.snapshot(), &before);
}

#[test]
fn a_pre_restore_backup_is_taken_first() {
    let app = App::new();
    app.backup(&[]);
    app.ok(&["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"]);
    let list = app.ok(&["list"]);
    assert_eq!(list[0]["tier"], "pre-restore");
    assert_eq!(list[0]["state"], "succeeded");
    let latest = app.ok(&["show", "latest"]);
    assert_eq!(latest["tier"], "manual", "`latest` is never a pre-restore backup");
}

#[test]
fn a_corrupt_live_database_is_replaced_and_kept_beside() {
    let app = App::new();
    let intact = dump(&app.database());
    app.backup(&[]);
    std::fs::write(app.database(), vec![0x5a; 40_000]).unwrap();
    app.ok(&["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"]);
    assert_eq!(dump(&app.database()), intact);
    app.ok(&["undo", "latest"]);
    assert_eq!(std::fs::read(app.database()).unwrap(), vec![0x5a; 40_000], "even the corrupt file comes back");
}

#[test]
fn a_restore_elsewhere_leaves_the_application_alone() {
    let app = App::new();
    app.backup(&[]);
    let before = app.snapshot();
    let target = tempfile::tempdir().unwrap();
    let elsewhere = target.path().join("there");
    app.ok(&["restore", "latest", "--to", elsewhere.to_str().unwrap()]);
    assert_same(&app.snapshot(), &before);
    assert_eq!(dump(&elsewhere.join("database/dev.db")), dump(&app.database()));
    assert_eq!(
        std::fs::read(elsewhere.join("config/package.json")).unwrap(),
        std::fs::read(app.path().join("package.json")).unwrap()
    );
    assert_eq!(
        app.fails(1, &["restore", "latest", "--to", elsewhere.to_str().unwrap()]),
        "refused",
        "never into a folder that holds something"
    );
}

#[test]
fn one_file_can_be_fetched() {
    let app = App::new();
    app.backup(&[]);
    let files = app.ok(&["files", "latest", "uploads"]);
    let file = files
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["kind"] == "file" && file["bytes"].as_u64().unwrap() > 0)
        .unwrap();
    let path = file["path"].as_str().unwrap();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("out");
    app.ok(&["restore", "latest", "--path", path, "--to", to.to_str().unwrap()]);
    assert_eq!(std::fs::read(to.join(path)).unwrap(), std::fs::read(app.path().join(path)).unwrap());
    assert_eq!(
        app.fails(4, &["restore", "latest", "--path", "uploads/no such file", "--to", to.join("x").to_str().unwrap()]),
        "not_found"
    );
}

#[test]
fn another_machine_needs_the_file_the_binary_and_the_key_alone() {
    let app = App::new();
    let record = app.backup(&[]);
    let machine = App::empty();
    let archive = machine.path().join("b.tar.gz.enc");
    std::fs::copy(app.archive(&record), &archive).unwrap();
    let run = |arguments: &[&str]| {
        let outcome = crate::support::Outcome::of(machine.command(arguments).env("BACKUP_ENCRYPTION_KEY", KEY));
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        outcome
    };
    run(&["verify", "./b.tar.gz.enc"]);
    run(&["restore", "./b.tar.gz.enc", "--to", "restored", "--json"]);
    assert_eq!(dump(&machine.path().join("restored/database/dev.db")), dump(&app.database()));
    run(&["restore", "./b.tar.gz.enc", "--confirm", "CONFIRM_RESTORE", "--json"]);
    assert_eq!(dump(&machine.database()), dump(&app.database()), "in place, where the application was");
    let (mut here, mut there) = (machine.snapshot(), app.snapshot());
    for side in [&mut here, &mut there] {
        side.remove(".env");
    }
    assert_same(&here, &there);
}

#[test]
fn files_that_no_backup_holds_survive_a_restore() {
    let app = App::new();
    app.backup(&[]);
    std::fs::write(app.path().join("uploads/.env"), "SECRET=1").unwrap();
    app.ok(&["restore", "latest", "--component", "uploads", "--confirm", "CONFIRM_RESTORE"]);
    assert_eq!(std::fs::read_to_string(app.path().join("uploads/.env")).unwrap(), "SECRET=1");
}

#[test]
fn a_live_application_sees_the_restored_rows_without_reopening() {
    let app = App::new();
    app.execute("PRAGMA journal_mode = WAL");
    let live = rusqlite::Connection::open(app.database()).unwrap();
    let count = || live.query_row("SELECT count(*) FROM customers", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    app.backup(&[]);
    live.execute_batch("DELETE FROM customers WHERE id > 10").unwrap();
    app.ok(&["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"]);
    assert_eq!(count(), before);
    drop(live);
    assert_eq!(query(&app.database(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_writer_that_does_not_let_go_is_a_clear_refusal() {
    let app = App::new();
    app.configure("[components.database]\nkind = 'sqlite'\npath = 'prisma/dev.db'\nbusy_timeout_ms = 300\n");
    app.backup(&[]);
    let live = rusqlite::Connection::open(app.database()).unwrap();
    live.execute_batch("BEGIN IMMEDIATE; DELETE FROM customers WHERE id = 1;").unwrap();
    assert_eq!(app.fails(5, &["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"]), "busy");
    live.execute_batch("ROLLBACK").unwrap();
    assert_eq!(query(&app.database(), "SELECT count(*) FROM customers WHERE id = 1"), "1");
}
