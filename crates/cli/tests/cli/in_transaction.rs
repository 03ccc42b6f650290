//! PostgreSQL where the role may neither make nor rename databases: a restore is one transaction of the live database, an undo
//! another one, and files that are restored along follow what became of it.

use crate::support::{App, Outcome};
use testkit::postgres::Server;

const RESTORE: [&str; 5] = ["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"];

struct Case {
    server: Server,
    app: App,
}

impl Case {
    /// A backup of the state `backup`; live is the state `live` by now, in the database and in the uploads.
    fn new() -> Self {
        let server = Server::start();
        server.sql("postgres", "CREATE ROLE app LOGIN; CREATE DATABASE crm OWNER app");
        let app = App::of_database(&server.url("crm").replace("postgres@", "app@"));
        std::fs::create_dir(app.path().join("uploads")).unwrap();
        let case = Self { server, app };
        case.set("backup");
        case.app.backup(&[]);
        case.set("live");
        case
    }

    fn set(&self, word: &str) {
        let sql = format!(
            "SET ROLE app; DROP TABLE IF EXISTS state CASCADE; CREATE TABLE state (id serial PRIMARY KEY, word text);
             INSERT INTO state (word) VALUES ('{word}'); CREATE VIEW seen AS SELECT word FROM state"
        );
        self.server.sql("crm", &sql);
        std::fs::write(self.app.path().join("uploads/state"), word).unwrap();
    }

    /// What the database and the files say.
    fn state(&self) -> (String, String) {
        let file = std::fs::read_to_string(self.app.path().join("uploads/state")).unwrap();
        (self.server.sql("crm", "SELECT string_agg(word, ' ') FROM seen"), file)
    }
}

fn both(word: &str) -> (String, String) {
    (word.to_owned(), word.to_owned())
}

#[test]
fn it_is_undone_and_done_again_and_later_changes_are_not_lost() {
    let case = Case::new();
    let record = case.app.ok(&RESTORE[..4]);
    assert_eq!(case.state(), both("backup"));
    let id = record["id"].as_str().unwrap();
    case.server.sql("crm", "UPDATE state SET word = 'later'");
    std::fs::write(case.app.path().join("uploads/state"), "later").unwrap();
    for word in ["live", "later", "live", "later"] {
        case.app.ok(&["undo", id]);
        assert_eq!(case.state(), both(word));
    }
}

#[test]
fn without_a_backup_of_what_is_there_nothing_is_overwritten() {
    let case = Case::new();
    // Something that the role may not read: the backup before the restore is refused, and with it the restore.
    case.server.sql("crm", "CREATE SCHEMA hidden; CREATE TABLE hidden.secret ()");
    case.server.sql("crm", "GRANT app TO postgres");
    let outcome = case.app.run(&RESTORE);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert_eq!(case.state(), both("live"));
}

/// The steps of our own that a command passes, without those of the backup that it takes first.
fn steps(case: &Case, arguments: &[&str]) -> Vec<String> {
    let log = case.app.path().join("steps.log");
    let _ = std::fs::remove_file(&log);
    let outcome = Outcome::of(case.app.command(arguments).env("STRONGROOM_STEP_LOG", &log));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let text = std::fs::read_to_string(&log).unwrap();
    let ours = |step: &&str| ["restore.", "undo.", "postgres."].iter().any(|prefix| step.starts_with(prefix));
    let steps: Vec<_> = text.lines().filter(ours).map(str::to_owned).collect();
    assert!(steps.len() > 3, "{steps:?}");
    steps
}

fn die_at(case: &Case, step: &str, arguments: &[&str]) {
    let outcome = Outcome::of(case.app.command(arguments).env("STRONGROOM_KILL_AT", step));
    assert_eq!(outcome.exit, 128 + 9, "it did not die at {step}: {outcome:?}");
    // The server ends the transaction when it notices.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'strongroom'";
    while case.server.sql("postgres", busy) != "0" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn killed_anywhere_database_and_files_are_both_old_or_both_new() {
    let case = Case::new();
    let list = steps(&case, &RESTORE);
    for step in &list {
        case.set("live");
        die_at(&case, step, &RESTORE);
        case.app.ok(&["list"]);
        let now = case.state();
        assert!(now == both("live") || now == both("backup"), "after dying at {step}: {now:?}");
    }
    case.set("live");
    case.app.ok(&RESTORE[..4]);
    for step in steps(&case, &["undo", "latest", "--json"]) {
        case.set("live");
        let id = case.app.ok(&RESTORE[..4])["id"].as_str().unwrap().to_owned();
        die_at(&case, &step, &["undo", &id, "--json"]);
        case.app.ok(&["list"]);
        let now = case.state();
        assert!(now == both("live") || now == both("backup"), "undo, after dying at {step}: {now:?}");
        if now == both("backup") {
            case.app.ok(&["undo", &id]);
            assert_eq!(case.state(), both("live"), "after dying at {step}");
        }
    }
}
