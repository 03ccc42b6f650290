//! `[[check]]`: files that the database names are in the same backup, on every engine; and files are read after the database's
//! snapshot was taken.

use crate::support::{App, KEY};
use testkit::{mariadb, postgres};

/// `run` changes the live database; `url` is its address, or nothing for SQLite.
fn whole_way(url: &str, run: &dyn Fn(&App, &str)) {
    let app = App::empty();
    std::fs::write(app.path().join(".env"), format!("DATABASE_URL=\"{url}\"\nBACKUP_ENCRYPTION_KEY={KEY}\n")).unwrap();
    std::fs::create_dir_all(app.path().join("uploads/2026")).unwrap();
    for name in ["a.txt", "2026/b ü.txt"] {
        std::fs::write(app.path().join("uploads").join(name), name).unwrap();
    }
    run(
        &app,
        "CREATE TABLE attachments (path VARCHAR(200)); INSERT INTO attachments VALUES ('a.txt'), ('/2026/b ü.txt'), (NULL)",
    );
    app.configure("[[check]]\ncomponent = 'database'\nsql = 'SELECT path FROM attachments;'\nexists_in = 'uploads'\n");
    app.backup(&[]);
    assert_eq!(app.ok(&["drill", "latest"])["assertions"], 1);
    // A row that refers to a file that is not there, and one that would lead out of the folder.
    for path in ["2026/gone.txt", "../.env"] {
        run(&app, &format!("INSERT INTO attachments VALUES ('{path}')"));
        app.backup(&[]);
        let outcome = app.run(&["drill", "latest", "--json"]);
        assert_eq!((outcome.exit, outcome.error_code().as_str()), (6, "mismatch"), "{outcome:?}");
        assert!(outcome.stderr.contains(path) && outcome.stderr.contains("1 files"), "{outcome:?}");
        run(&app, &format!("DELETE FROM attachments WHERE path = '{path}'"));
    }
    a_file_that_came_during_the_backup(&app, run);
    run(&app, "DELETE FROM attachments");
    app.backup(&[]);
    app.ok(&["drill", "latest"]);
    app.configure(
        "[[check]]\ncomponent = 'database'\nsql = 'SELECT nothing FROM attachments'\nexists_in = 'uploads'\n",
    );
    assert_ne!(app.run(&["drill", "latest"]).exit, 0);
}

/// Between the snapshot and the reading of the files the application stores one more: the file is in the backup, its row is
/// not, and nothing refers to what is not there. The other way round a row would be without its file.
fn a_file_that_came_during_the_backup(app: &App, run: &dyn Fn(&App, &str)) {
    app.backup_waiting_at("backup.captured", || {
        run(app, "INSERT INTO attachments VALUES ('late.txt')");
        std::fs::write(app.path().join("uploads/late.txt"), "late").unwrap();
    });
    app.ok(&["drill", "latest"]);
    let files = app.ok(&["files", "latest", "uploads"]);
    assert!(files.to_string().contains("late.txt"), "{files}");
}

#[test]
fn sqlite_files_that_rows_name_are_there() {
    whole_way("file:./app.db", &|app, sql| {
        rusqlite::Connection::open(app.path().join("app.db")).unwrap().execute_batch(sql).unwrap();
    });
}

#[test]
fn postgresql_files_that_rows_name_are_there() {
    let server = postgres::Server::start();
    server.sql("postgres", "CREATE DATABASE crm");
    whole_way(&server.url("crm"), &|_, sql| {
        server.sql("crm", sql);
    });
}

#[test]
fn mariadb_files_that_rows_name_are_there() {
    let server = mariadb::Server::start(&[]);
    server.fresh("crm");
    whole_way(&server.url("crm"), &|_, sql| {
        server.sql("crm", sql);
    });
}
