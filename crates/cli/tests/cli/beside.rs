//! Databases of servers that are restored beside the live one and exchanged with it, with files along: killed at any step,
//! both are old or both are new, and nothing half-made stays on the server.

use crate::support::{App, KEY, Outcome};
use std::fs;

const RESTORE: [&str; 5] = ["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"];

struct Case<'a> {
    app: App,
    /// Runs SQL in a database and gives what it yields.
    sql: &'a dyn Fn(&str, &str) -> String,
    /// Lists what was filled and is not live.
    half_made: &'a str,
}

impl<'a> Case<'a> {
    /// A backup of the state `backup`; live is the state `live` by now, in the database and in the uploads.
    fn new(url: &str, sql: &'a dyn Fn(&str, &str) -> String, half_made: &'a str) -> Self {
        let app = App::empty();
        fs::write(app.path().join(".env"), format!("DATABASE_URL=\"{url}\"\nBACKUP_ENCRYPTION_KEY={KEY}\n")).unwrap();
        fs::create_dir(app.path().join("uploads")).unwrap();
        let case = Self { app, sql, half_made };
        (case.sql)("crm", "CREATE TABLE state (word VARCHAR(20)); CREATE TABLE other (id INTEGER PRIMARY KEY)");
        (case.sql)("crm", "INSERT INTO state VALUES ('none'); CREATE VIEW seen AS SELECT word FROM state");
        case.set("backup");
        case.app.backup(&[]);
        case
    }

    fn set(&self, word: &str) {
        (self.sql)("crm", &format!("UPDATE state SET word = '{word}'"));
        fs::write(self.app.path().join("uploads/state"), word).unwrap();
    }

    /// What the database and the files say.
    fn state(&self) -> (String, String) {
        let file = fs::read_to_string(self.app.path().join("uploads/state")).unwrap();
        ((self.sql)("crm", "SELECT word FROM seen").trim().to_owned(), file)
    }

    /// The steps of our own that a command passes, without those of the backup that it takes first.
    fn steps(&self, arguments: &[&str]) -> Vec<String> {
        let log = self.app.path().join("steps.log");
        let _ = fs::remove_file(&log);
        let outcome = Outcome::of(self.app.command(arguments).env("STRONGROOM_STEP_LOG", &log));
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        let text = fs::read_to_string(&log).unwrap();
        let ours = |step: &&str| ["restore.", "undo.", "postgres.", "mysql."].iter().any(|of| step.starts_with(of));
        let steps: Vec<_> = text.lines().filter(ours).map(str::to_owned).collect();
        assert!(steps.len() > 3 && steps.iter().any(|step| step.contains("swap")), "{steps:?}");
        steps
    }

    fn die_at(&self, step: &str, arguments: &[&str]) {
        let outcome = Outcome::of(self.app.command(arguments).env("STRONGROOM_KILL_AT", step));
        assert_eq!(outcome.exit, 128 + 9, "it did not die at {step}: {outcome:?}");
        // Any command finishes what was begun, or takes it back.
        self.app.ok(&["list"]);
    }

    fn assert_whole(&self, step: &str, allowed: &[&str]) {
        let now = self.state();
        let whole = allowed.iter().any(|word| now == (word.to_string(), word.to_string()));
        assert!(whole, "after dying at {step}: {now:?}");
        assert_eq!((self.sql)("crm", "SELECT count(*) FROM other").trim(), "0", "after dying at {step}");
    }
}

fn killed_anywhere(case: &Case<'_>) {
    case.set("live");
    for step in case.steps(&RESTORE) {
        case.set("live");
        case.die_at(&step, &RESTORE);
        case.assert_whole(&step, &["live", "backup"]);
        if case.state().0 == "live" {
            assert_eq!((case.sql)("crm", case.half_made).trim(), "", "left over after dying at {step}");
        }
    }
    case.set("live");
    case.app.ok(&RESTORE[..4]);
    for step in case.steps(&["undo", "latest", "--json"]) {
        case.set("live");
        let id = case.app.ok(&RESTORE[..4])["id"].as_str().unwrap().to_owned();
        case.die_at(&step, &["undo", &id, "--json"]);
        case.assert_whole(&step, &["live", "backup"]);
    }
}

#[test]
fn postgresql_killed_anywhere_is_old_or_new() {
    let server = testkit::postgres::Server::start();
    server.sql("postgres", "CREATE DATABASE crm");
    let sql = |database: &str, text: &str| server.sql(database, text);
    let half_made = r"SELECT datname FROM pg_database WHERE datname LIKE '%restoring%'";
    killed_anywhere(&Case::new(&server.url("crm"), &sql, half_made));
}

#[test]
fn mariadb_killed_anywhere_is_old_or_new() {
    let server = testkit::mariadb::Server::start(&[]);
    server.fresh("crm");
    let sql = |database: &str, text: &str| server.sql(database, text);
    // Tables move, and leave an empty database behind until the restore can no longer be undone.
    let half_made = "SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE '%restoring%'";
    killed_anywhere(&Case::new(&server.url("crm"), &sql, half_made));
}
