//! In place: beside, compare, swap, undo; and every way in which that can be interrupted.

use super::round_trip::torture;
use super::*;
use engine::manifest::TableId;
use std::process::Command;
use testkit::mariadb::Server;
use vault::ErrorKind;

const SCHEMA: &str = "
CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50)) AUTO_INCREMENT=50;
CREATE TABLE orders (id INT PRIMARY KEY, customer INT, CONSTRAINT fk_customer FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE log (n INT);
CREATE SEQUENCE s START WITH 10;
CREATE TABLE numbered (id BIGINT PRIMARY KEY DEFAULT NEXTVAL(s), t TEXT) COMMENT='(`x`.`s`)';
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2;
CREATE PROCEDURE kept() SELECT 1;
CREATE TRIGGER logs AFTER INSERT ON customers FOR EACH ROW INSERT INTO log VALUES (NEW.id);
CREATE VIEW names AS SELECT id, name, twice(id) AS d FROM customers;
CREATE EVENT later ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' DO DELETE FROM log;
INSERT INTO customers (name) VALUES ('Ada'), ('Grace');
INSERT INTO orders VALUES (1, 50), (2, 51);
INSERT INTO numbered (t) VALUES ('ten');
";

const CHANGES: &str = "
DROP VIEW names; DROP TRIGGER logs; DROP FUNCTION twice;
INSERT INTO customers (name) VALUES ('Mallory'); DELETE FROM orders WHERE id = 1;
CREATE TABLE extra (id INT PRIMARY KEY, c INT, CONSTRAINT fk_extra FOREIGN KEY (c) REFERENCES customers (id)); INSERT INTO extra VALUES (1, 51);
CREATE TRIGGER other BEFORE INSERT ON log FOR EACH ROW SET NEW.n = NEW.n + 1000;
CREATE PROCEDURE more() SELECT 2;
CREATE OR REPLACE PROCEDURE kept() SELECT 3;
CREATE VIEW now_there AS SELECT COUNT(*) AS n FROM extra;
DROP TABLE numbered; DROP SEQUENCE s; ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci;
";

struct Case<'a> {
    server: &'a Server,
    database: String,
    id: Id,
    state: tempfile::TempDir,
    manifest: ComponentManifest,
    kept: Kept,
    /// The database as backed up, and as it was just before the restore.
    backed_up: String,
    changed: String,
}

impl<'a> Case<'a> {
    /// A database that was backed up and changed after that.
    fn new(server: &'a Server, database: &str) -> Self {
        server.fresh(database);
        server.sql(database, SCHEMA);
        let (manifest, kept) = backup(&server.url(database), Export::Native);
        let backed_up = server.dump(database);
        server.sql(database, CHANGES);
        let changed = server.dump(database);
        assert_ne!(backed_up, changed);
        Self {
            server,
            database: database.to_owned(),
            id: id(),
            state: tempfile::tempdir().unwrap(),
            manifest,
            kept,
            backed_up,
            changed,
        }
    }

    fn target(&self) -> MysqlTarget {
        let place = Place::Live { restore_id: self.id.clone(), state_folder: self.state.path().to_owned() };
        MysqlTarget::new("database", &settings(&self.server.url(&self.database)), &place).unwrap()
    }

    fn fill(&self) -> MysqlTarget {
        let mut target = self.target();
        let figures = fill(&mut target, &self.kept).unwrap();
        assert_eq!(self.manifest.differences(&figures), Vec::<String>::new());
        target
    }

    fn dump(&self) -> String {
        self.server.dump(&self.database)
    }

    fn databases(&self) -> String {
        self.server.sql(
            "",
            &format!(
                "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{}\\_\\_%'",
                self.database
            ),
        )
    }
}

fn quiet<'a>() -> target::Context<'a> {
    context(&vault::Silent)
}

#[test]
fn a_swap_and_its_undo_exchange_everything_any_number_of_times() {
    let case = Case::new(Server::shared(), "swapped");
    let mut target = case.fill();
    assert_same(&case.dump(), &case.changed, "filling touched the live database");
    for _ in 0..2 {
        target.swap(&quiet()).unwrap();
        assert_same(&case.dump(), &case.backed_up, "");
        target.swap(&quiet()).unwrap();
        case.server.sql(
            "swapped",
            "INSERT INTO customers (name) VALUES ('trigger'); DELETE FROM customers WHERE name = 'trigger'",
        );
        assert_eq!(case.server.sql("swapped", "SELECT COUNT(*) FROM log"), "3", "the trigger is there");
        case.server.sql("swapped", "DELETE FROM log WHERE n > 51; ALTER TABLE customers AUTO_INCREMENT = 52");
        assert_same(&case.dump(), &case.backed_up, "");
        // Another process undoes it.
        case.target().swap_back(&quiet()).unwrap();
        assert_same(&case.dump(), &case.changed, "");
        case.target().swap_back(&quiet()).unwrap();
    }
    target.swap(&quiet()).unwrap();
    target.discard(&quiet()).unwrap();
    target.discard(&quiet()).unwrap();
    assert_eq!((case.dump(), case.databases()), (case.backed_up.clone(), "0".to_owned()));
    assert_eq!(target.swap(&quiet()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_restore_discarded_before_its_swap_leaves_no_trace() {
    let case = Case::new(Server::shared(), "discarded");
    let mut target = case.fill();
    assert_eq!(case.databases(), "1");
    target.discard(&quiet()).unwrap();
    assert_eq!((case.dump(), case.databases()), (case.changed.clone(), "0".to_owned()));
}

#[test]
fn a_database_that_is_gone_comes_back() {
    let case = Case::new(Server::shared(), "lost");
    case.server.sql("", "DROP DATABASE lost");
    let mut target = case.fill();
    target.swap(&quiet()).unwrap();
    assert_same(&case.dump(), &case.backed_up, "");
}

#[test]
fn everything_a_database_can_hold_is_swapped_and_swapped_back() {
    let server = Server::shared();
    torture(server, "torture_swap");
    let (manifest, kept) = backup(&server.url("torture_swap"), Export::Native);
    let before = server.dump("torture_swap");
    server.sql(
        "torture_swap",
        "DELETE FROM texts; DROP VIEW a_uses_b; DROP PROCEDURE `add é`; ALTER TABLE parts ADD COLUMN more INT",
    );
    let changed = server.dump("torture_swap");
    let state = tempfile::tempdir().unwrap();
    let place = Place::Live { restore_id: id(), state_folder: state.path().to_owned() };
    let mut target = MysqlTarget::new("database", &settings(&server.url("torture_swap")), &place).unwrap();
    let figures = fill(&mut target, &kept).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
    target.swap(&quiet()).unwrap();
    assert_same(&server.dump("torture_swap"), &before, "");
    target.swap_back(&quiet()).unwrap();
    assert_same(&server.dump("torture_swap"), &changed, "");
    target.swap(&quiet()).unwrap();
    assert_same(&server.dump("torture_swap"), &before, "");
    target.discard(&quiet()).unwrap();
}

#[test]
fn grants_on_a_routine_survive_a_swap() {
    let case = Case::new(Server::shared(), "granted");
    case.server.sql("granted", "CREATE OR REPLACE USER reader; GRANT EXECUTE ON PROCEDURE granted.kept TO reader");
    let mut target = case.fill();
    target.swap(&quiet()).unwrap();
    target.swap_back(&quiet()).unwrap();
    assert!(case.server.sql("", "SHOW GRANTS FOR reader").contains("PROCEDURE `granted`.`kept`"));
}

#[test]
fn connected_clients_are_named_and_nothing_is_touched_unless_they_may_be_ended() {
    let case = Case::new(Server::shared(), "connected");
    let mut target = case.fill();
    let mut client = case.server.client("connected").args(["-e", "SELECT SLEEP(60)"]).spawn().unwrap();
    while !case
        .server
        .sql("", "SELECT INFO FROM information_schema.PROCESSLIST WHERE DB = 'connected'")
        .contains("SLEEP")
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let error = target.swap(&quiet()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains("root from localhost"), "{error}");
    assert_same(&case.dump(), &case.changed, "");
    target.swap(&target::Context { disconnect_clients: true, ..quiet() }).unwrap();
    client.wait().unwrap();
    assert_same(&case.dump(), &case.backed_up, "");
}

#[test]
fn a_transaction_that_holds_a_table_is_an_error_with_nothing_changed() {
    let case = Case::new(Server::shared(), "held");
    let mut target = case.fill();
    // A client that names the database in its statements only.
    let mut client = case
        .server
        .client("")
        .args(["-e", "BEGIN; INSERT INTO held.log VALUES (1); SELECT SLEEP(60)"])
        .spawn()
        .unwrap();
    while !case.server.sql("", "SELECT INFO FROM information_schema.PROCESSLIST").contains("SELECT SLEEP(60)") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let error = target.swap(&quiet()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    client.kill().unwrap();
    client.wait().unwrap();
    assert_same(&case.dump(), &case.changed, "");
}

#[test]
fn a_foreign_key_from_another_database_is_refused() {
    let case = Case::new(Server::shared(), "referred");
    case.server.fresh("referring");
    case.server.sql("referring", "CREATE TABLE t (c INT, FOREIGN KEY (c) REFERENCES referred.customers (id))");
    let mut target = case.fill();
    let plan = target.inspect(&quiet(), &case.manifest).unwrap();
    assert!(plan.obstacles.iter().any(|line| line.contains("referring.t")), "{:?}", plan.obstacles);
    assert_eq!(target.swap(&quiet()).unwrap_err().kind(), ErrorKind::Refused);
    case.server.sql("", "DROP DATABASE referring");
    target.swap(&quiet()).unwrap();
}

/// Stops at `step` as a crash of ours would: by never returning from it.
fn crash_at(case: &Case<'_>, step: &'static str, act: fn(&mut MysqlTarget, &target::Context<'_>) -> Result<()>) {
    let mut target = case.target();
    let crashed = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let listener = Listener {
                    at: Some(Box::new(move |name| assert!(name != step, "crash here"))),
                    ..Listener::default()
                };
                act(&mut target, &context(&listener)).unwrap();
            })
            .join()
            .is_err()
    });
    assert!(crashed, "{step} was not passed");
}

#[test]
fn a_crash_of_ours_at_any_step_is_finished_or_undone_by_the_next_call() {
    let server = Server::shared();
    for (n, step) in engine::target::mysql::STEPS.iter().enumerate() {
        let case = Case::new(server, &format!("crashed_{n}"));
        case.fill();
        crash_at(&case, step, Target::swap);
        case.target().swap(&quiet()).unwrap();
        assert_same(&case.dump(), &case.backed_up, step);
        crash_at(&case, step, Target::swap_back);
        case.target().swap_back(&quiet()).unwrap();
        assert_same(&case.dump(), &case.changed, step);
        crash_at(&case, step, Target::swap);
        case.target().swap_back(&quiet()).unwrap();
        assert_same(&case.dump(), &case.changed, step);
        crash_at(&case, step, Target::swap);
        case.target().discard(&quiet()).unwrap();
        let live = case.dump();
        assert!(live == case.changed || live == case.backed_up, "{step}, then discard");
        assert_eq!(case.databases(), "0");
    }
}

#[test]
fn a_death_of_the_server_at_any_step_leaves_the_old_data_whole_and_is_finished() {
    let mut server = Server::start(&["--innodb-flush-log-at-trx-commit=1"]);
    for (n, step) in engine::target::mysql::STEPS.iter().enumerate() {
        let case = Case::new(&server, &format!("died_{n}"));
        case.fill();
        let listener = Listener {
            at: Some(Box::new(|name| {
                if name == *step {
                    case.server.kill_process();
                }
            })),
            ..Listener::default()
        };
        let result = case.target().swap(&context(&listener));
        drop(listener);
        // After `remade` only the journal is left to be written.
        assert_eq!(result.is_err(), n + 2 < engine::target::mysql::STEPS.len(), "{step}: {result:?}");
        let (database, id, state, backed_up) = (case.database.clone(), case.id.clone(), case.state, case.backed_up);
        server.kill();
        server.boot();
        let place = Place::Live { restore_id: id, state_folder: state.path().to_owned() };
        let mut target = MysqlTarget::new("database", &settings(&server.url(&database)), &place).unwrap();
        target.swap(&quiet()).unwrap();
        assert_same(&server.dump(&database), &backed_up, step);
    }
}

#[test]
fn a_server_that_dies_while_rows_go_in_leaves_the_old_data_whole() {
    let mut server = Server::start(&[]);
    let case = Case::new(&server, "dying");
    let (changed, state, id) = (case.changed.clone(), case.state.path().to_owned(), case.id.clone());
    let mut target = case.target();
    let (first, rest) = case.kept.entries.split_first().unwrap();
    target.entry(&quiet(), &first.0, &mut first.1.as_slice()).unwrap();
    case.server.kill_process();
    let failed = rest.iter().try_for_each(|(entry, bytes)| target.entry(&quiet(), entry, &mut bytes.as_slice()));
    assert!(failed.is_err() || target.finish(&quiet()).is_err());
    drop(target);
    let Case { state: _state, .. } = case;
    server.kill();
    server.boot();
    assert_eq!(server.dump("dying"), changed);
    let place = Place::Live { restore_id: id, state_folder: state };
    MysqlTarget::new("database", &settings(&server.url("dying")), &place).unwrap().discard(&quiet()).unwrap();
    let left = Command::new("true").status().is_ok().then(|| server.sql("", "SHOW DATABASES LIKE 'dying\\_\\_%'"));
    assert_eq!(left.as_deref(), Some(""));
}

#[test]
fn tables_chosen_by_name_are_exchanged_alone() {
    let case = Case::new(Server::shared(), "chosen");
    let mut target = case.target();
    target.only_tables(&[TableId { schema: None, name: "orders".into() }]).unwrap();
    let listener = Listener::default();
    for (entry, bytes) in &case.kept.entries {
        target.entry(&context(&listener), entry, &mut bytes.as_slice()).unwrap();
    }
    target.finish(&quiet()).unwrap();
    target.swap(&quiet()).unwrap();
    assert_eq!(
        case.server
            .sql("chosen", "SELECT COUNT(*) FROM orders; SELECT COUNT(*) FROM customers; SELECT n FROM now_there"),
        "2\n3\n1"
    );
    target.swap_back(&quiet()).unwrap();
    assert_same(&case.dump(), &case.changed, "");
}
