//! One instant, whole or not at all: other writers, migrations, missing rights, broken things.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::mariadb::Server;
use vault::ErrorKind;

fn account(server: &Server, name: &str, grants: &str) -> ServerDatabaseSettings {
    server.sql("", &format!("CREATE OR REPLACE USER '{name}'@'%' IDENTIFIED BY 'pass:w@rd'; {grants}"));
    settings(&server.url_of(name, "pass%3Aw%40rd", name))
}

const READER: &str =
    "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `{db}`.* TO '{db}'@'%'; GRANT SELECT ON mysql.proc TO '{db}'@'%';";

#[test]
fn all_tables_are_of_one_instant_while_others_write() {
    let server = Server::shared();
    server.fresh("busy");
    server.sql("busy", "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, n INT); CREATE TABLE b LIKE a; CREATE TABLE m LIKE a; ALTER TABLE m ENGINE=MyISAM");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                server.sql("", &"BEGIN; INSERT INTO busy.a (n) VALUES (1); INSERT INTO busy.b (n) VALUES (1); COMMIT; INSERT INTO busy.m (n) VALUES (1);".repeat(20));
            }
        });
        for _ in 0..5 {
            let (manifest, _) = backup(&server.url("busy"), Export::Native);
            let Figures::Database(figures) = manifest.figures else { panic!() };
            let rows = figures.tables.iter().map(|table| table.rows).collect::<Vec<_>>();
            assert_eq!(rows[0], rows[1]);
            assert!(rows[2] == rows[0] || rows[2] + 1 == rows[0], "MyISAM is read under the lock: {rows:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_migration_waits_until_the_backup_has_ended() {
    let server = Server::shared();
    server.fresh("migrated");
    server.sql("migrated", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE z LIKE a; INSERT INTO z VALUES (1), (2)");
    let scratch = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &vault::Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: "2026-11-22T02:00:00Z".parse().unwrap(),
        deduplicating: false,
    };
    let mut source = MysqlSource::new("database", &settings(&server.url("migrated")), Some(Export::Native)).unwrap();
    source.capture(&context).unwrap();
    let mut drop_it =
        server.client("migrated").args(["-e", "DROP TABLE z; ALTER TABLE a ADD COLUMN more INT"]).spawn().unwrap();
    while !server.sql("", "SELECT STATE FROM information_schema.PROCESSLIST").contains("metadata lock") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut kept = Kept::default();
    let manifest = source.read(&context, &mut kept).unwrap();
    assert!(drop_it.wait().unwrap().success());
    assert_eq!(server.sql("migrated", "SHOW TABLES"), "a");
    server.sql("", "DROP DATABASE IF EXISTS migrated_copy");
    restore_new(&server.url("migrated_copy"), &manifest, &kept);
    assert_eq!(server.sql("migrated_copy", "SELECT COUNT(*) FROM z"), "2");
}

#[test]
fn an_account_that_cannot_see_everything_is_refused_with_the_grants() {
    let server = Server::shared();
    server.fresh("half_blind");
    server.sql("half_blind", "CREATE TABLE a (id INT); CREATE TABLE b (id INT)");
    let settings = account(server, "half_blind", "GRANT SELECT ON half_blind.a TO half_blind@'%'");
    let error = try_backup(&settings, Export::Native).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    for right in ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "mysql.proc", "'half_blind'@'%'"] {
        assert!(error.hint().contains(right), "{}", error.hint());
    }
    assert!(!format!("{error:?}").contains("w@rd"));
    let report = engine::source::mysql::check_rights(&settings).unwrap();
    server.sql("", &report.needed.join("\n"));
    let (_, _) = try_backup(&settings, Export::Native).unwrap();
    server.sql("", &report.advised.join("\n"));
    let report = engine::source::mysql::check_rights(&settings).unwrap();
    assert_eq!((report.needed, report.advised), (vec![], vec![]));
    assert_eq!(try_backup(&settings, Export::Native).unwrap().0.warnings, Vec::<String>::new());
}

/// `ALL` on a database shows the account its own routines, and that others have some, not what these do.
#[test]
fn routines_of_others_are_seen_or_refused() {
    let server = Server::shared();
    server.fresh("others_routines");
    let settings = account(server, "others_routines", "GRANT ALL ON others_routines.* TO others_routines@'%'");
    server.sql("others_routines", "CREATE DEFINER=others_routines@'%' PROCEDURE own() SELECT 1");
    let (manifest, _) = try_backup(&settings, Export::Native).unwrap();
    assert_eq!(engine::source::mysql::check_rights(&settings).unwrap().needed, Vec::<String>::new());
    let Figures::Database(figures) = &manifest.figures else { panic!("{manifest:?}") };
    assert_eq!(figures.objects["procedures"], 1);
    server.sql("others_routines", "CREATE DEFINER=root@localhost PROCEDURE foreign_one() SELECT 2");
    let report = engine::source::mysql::check_rights(&settings).unwrap();
    assert!(report.needed.join(" ").contains("mysql.proc"), "{report:?}");
    assert_eq!(try_backup(&settings, Export::Native).err().unwrap().kind(), ErrorKind::PermissionDenied);
    server.sql("", &report.needed.join("\n"));
    let (manifest, _) = try_backup(&settings, Export::Native).unwrap();
    let Figures::Database(figures) = &manifest.figures else { panic!("{manifest:?}") };
    assert_eq!(figures.objects["procedures"], 2);
}

#[test]
fn a_reading_account_without_reload_gets_a_whole_backup_with_a_note() {
    let server = Server::shared();
    server.fresh("plain_reader");
    server.sql("plain_reader", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE m (id INT) ENGINE=MyISAM; INSERT INTO m VALUES (1)");
    let settings = account(server, "plain_reader", &READER.replace("{db}", "plain_reader"));
    let (manifest, kept) = try_backup(&settings, Export::Native).unwrap();
    let warnings = manifest.warnings.join("\n");
    assert!(warnings.contains("RELOAD") && warnings.contains("m (MyISAM)"), "{warnings}");
    server.sql("", "DROP DATABASE IF EXISTS plain_reader_copy");
    restore_new(&server.url("plain_reader_copy"), &manifest, &kept);
}

#[test]
fn rights_through_a_role_count() {
    let server = Server::shared();
    server.fresh("by_role");
    let grants = READER.replace("TO '{db}'@'%'", "TO backup_role").replace("{db}", "by_role");
    let role = format!(
        "CREATE OR REPLACE ROLE backup_role; {grants} GRANT backup_role TO by_role@'%'; SET DEFAULT ROLE backup_role FOR by_role@'%'"
    );
    let settings = account(server, "by_role", &role);
    assert!(try_backup(&settings, Export::Native).is_ok());
}

#[test]
fn a_view_that_does_not_work_is_named_and_no_obstacle() {
    let server = Server::shared();
    server.fresh("broken_view");
    server.sql("broken_view", "CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE VIEW good AS SELECT * FROM a; CREATE VIEW bad AS SELECT * FROM b; DROP TABLE b; CREATE DEFINER=`no`@`body` VIEW orphan AS SELECT * FROM a; CREATE PROCEDURE p() SELECT * FROM broken_view.a");
    for export in [Export::Native, Export::Json] {
        let (manifest, kept) = backup(&server.url("broken_view"), export);
        let warnings = manifest.warnings.join("\n");
        assert!(
            warnings.contains("view bad") && warnings.contains("procedure p") && !warnings.contains("good"),
            "{warnings}"
        );
        server.sql("", "DROP DATABASE IF EXISTS broken_view_copy");
        restore_new(&server.url("broken_view_copy"), &manifest, &kept);
        assert_eq!(
            server.sql("broken_view_copy", "SHOW FULL TABLES WHERE Table_type = 'VIEW'"),
            "good\tVIEW\norphan\tVIEW"
        );
    }
}

#[test]
fn a_missing_database_or_server_is_told_apart() {
    let server = Server::shared();
    let error = try_backup(&settings(&server.url("not_there")), Export::Native).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = try_backup(&settings("mysql://root:secret@127.0.0.1:1/x"), Export::Native).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(!format!("{error:?}").contains("secret"));
    let error = try_backup(&settings(&server.url_of("root", "secret", "x")), Export::Native).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_backup_through_the_unix_socket_works() {
    let server = Server::shared();
    server.fresh("by_socket");
    server.sql("by_socket", "CREATE TABLE a (id INT)");
    backup(&server.socket_url("by_socket"), Export::Native);
}

#[test]
fn a_large_table_may_go_without_a_hash_but_not_without_a_count() {
    let server = Server::shared();
    server.fresh("unhashed");
    server.sql("unhashed", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a SELECT seq FROM seq_1_to_1000");
    let settings = ServerDatabaseSettings { content_hash_bytes_max: Some(1), ..settings(&server.url("unhashed")) };
    let (manifest, kept) = try_backup(&settings, Export::Native).unwrap();
    let Figures::Database(figures) = &manifest.figures else { panic!() };
    assert_eq!((figures.tables[0].rows, figures.tables[0].content_hash.as_deref()), (1000, None));
    server.sql("", "DROP DATABASE IF EXISTS unhashed_copy");
    restore_new(&server.url("unhashed_copy"), &manifest, &kept);
}

#[test]
fn what_was_hashed_is_compared_though_the_setting_is_lower_by_now() {
    let server = Server::shared();
    server.fresh("hashed");
    server.sql("hashed", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a SELECT seq FROM seq_1_to_1000");
    let (manifest, kept) = backup(&server.url("hashed"), Export::Native);
    server.sql("", "DROP DATABASE IF EXISTS hashed_copy");
    let url = server.url("hashed_copy");
    let settings = ServerDatabaseSettings { content_hash_bytes_max: Some(1), ..settings(&url) };
    let mut target = MysqlTarget::new("database", &settings, &Place::Database { url }).unwrap();
    let figures = fill(&mut target, &kept).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
}

#[test]
fn a_writer_that_fails_ends_the_backup_at_once() {
    struct Full;
    impl EntryWriter for Full {
        fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
            if entry.path.to_string() == "2-data/a.sql" {
                let mut content = content.unwrap().open().unwrap();
                content.read_exact(&mut [0; 1000]).unwrap();
                return Err(vault::Error::new(ErrorKind::NoSpace, "the disk is full", ""));
            }
            let bytes = std::io::copy(&mut content.unwrap().open().unwrap(), &mut std::io::sink()).unwrap();
            Ok(Outcome::Stored { bytes, padded_bytes: 0 })
        }
        fn commit(self: Box<Self>, _: &[u8]) -> Result<Committed> {
            unreachable!()
        }
    }
    let server = Server::shared();
    server.fresh("long");
    server.sql("long", "CREATE TABLE a (id INT PRIMARY KEY, t CHAR(200) DEFAULT 'x'); INSERT INTO a (id) SELECT seq FROM seq_1_to_100000; CREATE TABLE b AS SELECT * FROM a");
    for export in [Export::Native, Export::Json] {
        let scratch = tempfile::tempdir().unwrap();
        let context = source::Context {
            progress: &vault::Silent,
            scratch: scratch.path(),
            hash_key: HASH_KEY,
            started_at: "2026-11-22T02:00:00Z".parse().unwrap(),
            deduplicating: false,
        };
        let mut source = MysqlSource::new("database", &settings(&server.url("long")), Some(export)).unwrap();
        source.capture(&context).unwrap();
        if export == Export::Native {
            assert_eq!(source.read(&context, &mut Full).err().unwrap().kind(), ErrorKind::NoSpace);
        } else {
            source.read(&context, &mut Full).unwrap();
        }
    }
    assert_eq!(server.sql("", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = 'long'"), "0");
}

#[test]
fn an_unchanged_table_yields_the_same_bytes_and_a_new_row_few_others() {
    let server = Server::shared();
    server.fresh("stable");
    server.sql("stable", "CREATE TABLE a (id INT PRIMARY KEY, t VARCHAR(100)); INSERT INTO a SELECT seq * 2, MD5(seq) FROM seq_1_to_50000");
    let first = backup(&server.url("stable"), Export::Native).1.text("2-data/a.sql");
    assert_eq!(first, backup(&server.url("stable"), Export::Native).1.text("2-data/a.sql"));
    server.sql("stable", "INSERT INTO a VALUES (50001, 'new')");
    let second = backup(&server.url("stable"), Export::Native).1.text("2-data/a.sql");
    let statements = |text: &str| text.split(";\n").map(str::to_owned).collect::<std::collections::HashSet<_>>();
    let (first, second) = (statements(&first), statements(&second));
    assert!(first.len() > 8, "{} statements", first.len());
    assert!(second.difference(&first).count() <= 2);
}

#[test]
fn a_server_that_dies_during_a_backup_fails_it() {
    let mut server = Server::start(&[]);
    server.fresh("dying");
    server.sql("dying", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a SELECT seq FROM seq_1_to_1000");
    let scratch = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &vault::Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: "2026-11-22T02:00:00Z".parse().unwrap(),
        deduplicating: false,
    };
    for export in [Export::Native, Export::Json] {
        let mut source = MysqlSource::new("database", &settings(&server.url("dying")), Some(export)).unwrap();
        source.capture(&context).unwrap();
        server.kill_process();
        assert_eq!(source.read(&context, &mut Kept::default()).unwrap_err().kind(), ErrorKind::Database);
        server.kill();
        server.boot();
    }
}

#[test]
fn a_backup_stops_when_asked() {
    struct Stopped;
    impl Progress for Stopped {
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let server = Server::shared();
    server.fresh("stopped");
    server.sql("stopped", "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1)");
    let scratch = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &Stopped,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: "2026-11-22T02:00:00Z".parse().unwrap(),
        deduplicating: false,
    };
    let mut source = MysqlSource::new("database", &settings(&server.url("stopped")), Some(Export::Native)).unwrap();
    source.capture(&context).unwrap();
    assert_eq!(source.read(&context, &mut Kept::default()).unwrap_err().kind(), ErrorKind::Cancelled);
}
