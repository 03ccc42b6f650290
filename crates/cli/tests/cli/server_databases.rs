//! PostgreSQL and MariaDB through the built binary: back up, prove, damage, restore, undo, in both exports and a repository.

use crate::support::App;

const FILL: &str = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, balance DECIMAL(12,2));
    INSERT INTO customers VALUES (1, 'Zoë', 12.50), (2, 'Grace', NULL), (3, 'a\\b', -0.01);
    CREATE INDEX customers_name ON customers (name);
    CREATE VIEW rich AS SELECT * FROM customers WHERE balance > 10;";

/// An application that has nothing but a database.
/// `read` gives everything in the database as text; `run` changes it.
fn whole_way(url: &str, read: &dyn Fn() -> String, run: &dyn Fn(&str)) {
    let app = App::of_database(url);
    let intact = read();
    let archives = [app.backup(&[]), app.backup(&["--format", "json"]), app.backup(&["--format", "repository"]), {
        let kind = if url.starts_with("postgres") { "postgres" } else { "mysql" };
        app.configure(&format!("[components.database]\nkind = '{kind}'\nurl = '{url}'\nexport = 'json'\n"));
        app.backup(&[])
    }];
    for record in &archives {
        let id = record["id"].as_str().unwrap();
        assert_eq!(record["state"], "succeeded", "{record}");
        app.ok(&["verify", id]);
        app.ok(&["drill", id]);
        run("DELETE FROM customers WHERE id > 1");
        let damaged = read();
        assert_ne!(damaged, intact);
        app.ok(&["restore", id, "--confirm", "CONFIRM_RESTORE"]);
        assert_eq!(read(), intact);
        app.ok(&["undo", "latest"]);
        assert_eq!(read(), damaged);
        app.ok(&["restore", id, "--confirm", "CONFIRM_RESTORE"]);
        assert_eq!(read(), intact);
    }
    let everything = format!("{:?}", app.run(&["show", "latest"])) + &format!("{:?}", app.run(&["config", "show"]));
    assert!(!everything.contains("s3cr3t"), "{everything}");
    let doctor = app.run(&["doctor"]);
    assert!(doctor.stdout.contains("the server answers"), "{doctor:?}");
}

#[test]
fn postgresql_the_whole_way() {
    let server = testkit::postgres::Server::start();
    server.sql("postgres", "CREATE DATABASE crm");
    server.sql("crm", FILL);
    let read = || server.sql("crm", "SELECT * FROM customers ORDER BY id; SELECT count(*) FROM rich");
    whole_way(&server.url("crm"), &read, &|sql| {
        server.sql("crm", sql);
    });
}

#[test]
fn mariadb_the_whole_way() {
    let server = testkit::mariadb::Server::start(&[]);
    server.fresh("crm");
    server.sql("crm", FILL);
    let read = || server.sql("crm", "SELECT * FROM customers ORDER BY id; SELECT count(*) FROM rich");
    whole_way(&server.url("crm"), &read, &|sql| {
        server.sql("crm", sql);
    });
}

#[test]
fn a_server_that_does_not_answer_is_one_clear_error() {
    for url in ["postgresql://crm:s3cr3t@127.0.0.1:1/crm", "mysql://crm:s3cr3t@127.0.0.1:1/crm"] {
        let app = App::of_database(url);
        let outcome = app.run(&["backup", "--json"]);
        assert_eq!((outcome.exit, outcome.error_code().as_str()), (1, "database"), "{outcome:?}");
        assert!(!outcome.stderr.contains("s3cr3t"), "{outcome:?}");
    }
}

/// The rows of a large table are refused by the server while more of them are on their way.
#[test]
fn a_table_that_the_server_refuses_fails_the_restore_and_holds_nobody_up() {
    let server = testkit::postgres::Server::start();
    server.sql("postgres", "CREATE DATABASE crm");
    server.sql(
        "crm",
        "CREATE TABLE large (x text, CHECK (current_setting('app.refuse', true) IS DISTINCT FROM 'yes'));
         INSERT INTO large SELECT repeat('x', 1000) FROM generate_series(1, 40000)",
    );
    let app = App::of_database(&server.url("crm"));
    app.backup(&[]);
    server.sql("postgres", "ALTER ROLE postgres SET app.refuse = 'yes'");
    let arguments = ["restore", "latest", "--component", "database", "--to", &server.url("copy"), "--json"];
    let mut command = std::process::Command::new("timeout");
    let program = app.command(&arguments);
    command.args(["--signal=KILL", "60"]).arg(program.get_program()).args(program.get_args());
    // The application's own key counts, not that of whoever runs the tests.
    command.env_remove("BACKUP_ENCRYPTION_KEY");
    let outcome = crate::support::Outcome::of(command.current_dir(app.path()));
    assert_eq!((outcome.exit, outcome.error_code().as_str()), (1, "database"), "{outcome:?}");
    assert!(outcome.stderr.contains("large"), "{outcome:?}");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'copy'"), "0");
}
