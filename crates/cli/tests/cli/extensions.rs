//! PostgreSQL: extensions that only a superuser may create, in the database of a role that is none.

use crate::support::App;
use testkit::postgres::Server;

const RESTORE: [&str; 4] = ["restore", "latest", "--component", "database"];

fn server() -> Server {
    let server = Server::start();
    server.sql(
        "postgres",
        r"CREATE ROLE app LOGIN CREATEDB; CREATE DATABASE crm OWNER app;
        \c crm
        CREATE EXTENSION pg_stat_statements; CREATE EXTENSION bloom;
        SET ROLE app;
        CREATE EXTENSION hstore; CREATE TABLE bag (id int, what hstore); INSERT INTO bag VALUES (1, 'a=>1'), (2, NULL);",
    );
    server
}

fn url(server: &Server, database: &str) -> String {
    server.url(database).replace("postgres@", "app@")
}

const ROWS: &str = "SELECT * FROM bag ORDER BY id";

#[test]
fn what_nothing_needs_is_left_out_of_a_new_database_and_named() {
    let server = server();
    let app = App::of_database(&url(&server, "crm"));
    app.backup(&[]);
    let plan = app.ok(&[&RESTORE[..], &["--to", &url(&server, "copy"), "--dry-run"]].concat());
    let warnings = plan["components"][0]["warnings"].to_string();
    assert!(warnings.contains("create the extension bloom, pg_stat_statements"), "{plan}");
    for arguments in [&["drill", "latest"][..], &[&RESTORE[..], &["--to", &url(&server, "copy")]].concat()] {
        let outcome = app.run(arguments);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        for name in ["pg_stat_statements", "bloom"] {
            assert!(outcome.stderr.contains(&format!("the extension {name} was left out")), "{outcome:?}");
        }
    }
    // They are part of what a drill found, for whoever reads that later.
    let (drilled, audited) = (app.ok(&["drill", "latest"]), app.ok(&["audit"]));
    for found in [&drilled["warnings"], &audited] {
        assert!(found.to_string().contains("the extension bloom was left out"), "{found}");
    }
    assert_eq!(server.sql("copy", ROWS), server.sql("crm", ROWS));
    assert_eq!(
        server.sql("copy", "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension"),
        "hstore plpgsql"
    );
}

/// Only what extensions brought and the schema of temporary tables belong to the superuser, whose name on another server is
/// another.
#[test]
fn whoever_owns_what_an_extension_brought_is_not_needed() {
    let server = Server::start();
    server.sql(
        "postgres",
        r"CREATE ROLE app LOGIN CREATEDB; CREATE DATABASE crm OWNER app;
        \c crm
        CREATE EXTENSION bloom; CREATE EXTENSION pg_stat_statements;
        CREATE TEMPORARY TABLE passing AS SELECT 1 AS id;
        SET ROLE app; CREATE TABLE bag AS SELECT 1 AS id",
    );
    let app = App::of_database(&url(&server, "crm"));
    let record = app.backup(&[]);
    let drilled = app.ok(&["drill", "latest"]);
    assert_eq!(drilled["warnings"].as_array().map(Vec::len), Some(2), "{drilled}");
    let shown = app.ok(&["show", record["id"].as_str().unwrap()]);
    assert_eq!(shown["manifest"]["components"][0]["figures"]["values"]["roles"], r#"["app"]"#, "{shown}");
}

#[test]
fn in_the_live_database_they_stay() {
    let server = server();
    let app = App::of_database(&url(&server, "crm"));
    app.backup(&[]);
    let intact = server.sql("crm", ROWS);
    server.sql("crm", "DELETE FROM bag");
    let plan = app.ok(&[&RESTORE[..], &["--dry-run"]].concat());
    let warnings = plan["components"][0]["warnings"].to_string();
    assert!(warnings.contains("within one transaction") && !warnings.contains("left out"), "{plan}");
    app.ok(&[&RESTORE[..], &["--confirm", "CONFIRM_RESTORE"]].concat());
    assert_eq!(server.sql("crm", ROWS), intact);
    app.ok(&["undo", "latest"]);
    assert_eq!(server.sql("crm", ROWS), "");
    assert_eq!(
        server.sql("crm", "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension"),
        "bloom hstore pg_stat_statements plpgsql"
    );
}

#[test]
fn what_something_needs_fails_with_the_reason_until_a_superuser_made_it() {
    let server = server();
    server.sql("crm", "SET ROLE app; CREATE INDEX filter ON bag USING bloom (id)");
    let app = App::of_database(&url(&server, "crm"));
    app.backup(&[]);
    let outcome = app.run(&["drill", "latest"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("The role may not create the extension bloom, pg_stat_statements"), "{outcome:?}");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'crm_%'"), "0");
    server.sql("postgres", "CREATE DATABASE prepared OWNER app TEMPLATE template0");
    server.sql("prepared", "CREATE EXTENSION bloom; CREATE EXTENSION pg_stat_statements");
    let outcome = app.run(&[&RESTORE[..], &["--to", &url(&server, "prepared")]].concat());
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(server.sql("prepared", ROWS), server.sql("crm", ROWS));
}
