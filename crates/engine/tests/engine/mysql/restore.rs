//! Restores elsewhere, drills, refusals.

use super::*;
use engine::target::mysql::{drill_place, drop_database, query, sweep_drills};
use testkit::mariadb::Server;
use vault::ErrorKind;

fn small(server: &Server, database: &str) -> (ComponentManifest, Kept) {
    server.fresh(database);
    // Disabled from the start: it must not run before it is backed up.
    server.sql(
        database,
        "CREATE TABLE a (id INT PRIMARY KEY, t TEXT); INSERT INTO a VALUES (1, 'é'), (2, NULL);
         CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM a",
    );
    backup(&server.url(database), Export::Native)
}

#[test]
fn a_drill_leaves_nothing_and_its_events_never_run() {
    let server = Server::shared();
    let (mut manifest, mut kept) = small(server, "drilled");
    // As if the event had been enabled when it was backed up.
    for (_, bytes) in &mut kept.entries {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace("PRESERVE DISABLE", "PRESERVE ENABLE").into_bytes();
    }
    manifest.warnings.clear();
    let settings = settings(&server.url("drilled"));
    let place = drill_place(&settings, &id()).unwrap();
    let Place::Database { url } = &place else { panic!() };
    let mut target = MysqlTarget::new("database", &settings, &place).unwrap();
    let figures = fill(&mut target, &kept).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
    assert_eq!(query(url, "SELECT t FROM a ORDER BY id").unwrap(), "é");
    assert_eq!(query(url, "SELECT t FROM a WHERE id = 2").unwrap(), "");
    assert_eq!(
        query(url, "SELECT COALESCE(JSON_ARRAYAGG(REPEAT('x', 100000)), '[]') FROM seq_1_to_100").unwrap().len(),
        10_000_301
    );
    assert!(query(url, "DELETE FROM a").is_err());
    assert_eq!(
        query(url, "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()").unwrap(),
        "DISABLED"
    );
    drop_database(url).unwrap();
    drop_database(url).unwrap();
    assert_eq!(drop_database(&server.url("drilled")).unwrap_err().kind(), ErrorKind::Internal);
    // One that died, and a database of somebody else that only looks alike.
    let Place::Database { url } = drill_place(&settings, &id()).unwrap() else { panic!() };
    server.sql("", "CREATE DATABASE drilled__drill_mine; CREATE DATABASE drilledx__drill_0123456789ab");
    fill(&mut MysqlTarget::new("database", &settings, &Place::Database { url: url.clone() }).unwrap(), &kept).unwrap();
    assert_eq!(sweep_drills(&settings).unwrap().len(), 1);
    assert_eq!(query(&url, "SELECT 1").unwrap_err().kind(), ErrorKind::NotFound);
    server.sql("", "DROP DATABASE drilled__drill_mine; DROP DATABASE drilledx__drill_0123456789ab");
}

#[test]
fn a_long_database_name_is_cut_but_keeps_its_id() {
    let server = Server::shared();
    let name = "n".repeat(60);
    let (manifest, kept) = small(server, &name);
    server.sql(&name, "DELETE FROM a");
    let state = tempfile::tempdir().unwrap();
    let place = Place::Live { restore_id: id(), state_folder: state.path().to_owned() };
    let mut target = MysqlTarget::new("database", &settings(&server.url(&name)), &place).unwrap();
    let figures = fill(&mut target, &kept).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
    target.swap(&context(&vault::Silent)).unwrap();
    assert_eq!(server.sql(&name, "SELECT COUNT(*) FROM a"), "2");
    target.discard(&context(&vault::Silent)).unwrap();
}

#[test]
fn a_database_that_holds_something_is_no_place_for_a_copy() {
    let server = Server::shared();
    let (manifest, kept) = small(server, "occupied");
    let url = server.url("occupied");
    let mut target = MysqlTarget::new("database", &settings(&url), &Place::Database { url: url.clone() }).unwrap();
    let plan = target.inspect(&context(&vault::Silent), &manifest).unwrap();
    assert!(plan.obstacles[0].contains("1 tables or views"), "{:?}", plan.obstacles);
    assert_eq!(fill(&mut target, &kept).unwrap_err().kind(), ErrorKind::Refused);
    target.discard(&context(&vault::Silent)).unwrap();
    assert_eq!(server.sql("occupied", "SELECT COUNT(*) FROM a"), "2");
}

#[test]
fn a_new_database_that_is_given_up_is_dropped_and_one_that_was_there_is_not() {
    let server = Server::shared();
    let (_, kept) = small(server, "given_up");
    server.fresh("given_up_there");
    for (name, left) in [("given_up_copy", "0"), ("given_up_there", "1")] {
        let url = server.url(name);
        let mut target = MysqlTarget::new("database", &settings(&url), &Place::Database { url: url.clone() }).unwrap();
        fill(&mut target, &kept).unwrap();
        assert_eq!(server.sql(name, "SELECT COUNT(*) FROM a"), "2");
        target.discard(&context(&vault::Silent)).unwrap();
        let count = format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{name}'");
        assert_eq!(server.sql("given_up", &count), left, "{name}");
    }
}

#[test]
fn what_a_server_lacks_is_found_before_anything_is_touched() {
    let server = Server::shared();
    let (mut manifest, _) = small(server, "foreign_backup");
    let Figures::Database(figures) = &mut manifest.figures else { panic!() };
    figures.values.insert("collations".into(), "utf8mb4_0900_ai_ci utf8mb4_general_ci uca1400_ai_ci".into());
    figures.values.insert("engines".into(), "InnoDB RocksDB".into());
    figures.values.insert("definers".into(), "root@localhost, app@10.0.0.%".into());
    figures.engine_version = "11.4.2-MariaDB".into();
    figures.values.insert("largestRowBytes".into(), "20000000".into());
    let url = server.url("foreign_backup_copy");
    let inspect = |manifest: &ComponentManifest| {
        let mut target = MysqlTarget::new("database", &settings(&url), &Place::Database { url: url.clone() }).unwrap();
        target.inspect(&context(&vault::Silent), manifest).unwrap()
    };
    let plan = inspect(&manifest);
    let obstacles = plan.obstacles.join("\n");
    for word in ["utf8mb4_0900_ai_ci", "RocksDB", "11.4.2", "max_allowed_packet = 67108864"] {
        assert!(obstacles.contains(word), "{word}: {obstacles}");
    }
    assert!(!obstacles.contains("general_ci"), "{obstacles}");
    assert!(plan.warnings.iter().any(|line| line.contains("CREATE USER 'app'@'10.0.0.%'")), "{:?}", plan.warnings);
    let Figures::Database(figures) = &mut manifest.figures else { panic!() };
    figures.engine = "mysql".into();
    assert!(inspect(&manifest).obstacles.join("\n").contains("restore it to a mysql server"));
}

#[test]
fn an_account_without_rights_to_restore_is_told_which() {
    let server = Server::shared();
    let (manifest, _) = small(server, "reader_only");
    server
        .sql("", "CREATE OR REPLACE USER reader_only IDENTIFIED BY 'x'; GRANT SELECT ON reader_only.* TO reader_only");
    let url = server.url_of("reader_only", "x", "reader_only");
    let state = tempfile::tempdir().unwrap();
    let place = Place::Live { restore_id: id(), state_folder: state.path().to_owned() };
    let inspect = |manifest: &ComponentManifest| {
        let target = MysqlTarget::new("database", &settings(&url), &place);
        target.unwrap().inspect(&context(&vault::Silent), manifest).unwrap().obstacles
    };
    // Each list of GRANTs, followed to the letter, is enough.
    let follow = |obstacles: Vec<String>| {
        let grants = obstacles.iter().map(|obstacle| obstacle.split_once(": ").unwrap().1);
        server.sql("", &grants.collect::<Vec<_>>().join("\n"));
    };
    let obstacles = inspect(&manifest);
    let said = obstacles.join("\n");
    assert!(said.contains("GRANT ALL ON `reader\\_only%`.*"), "{said}");
    assert!(
        said.contains("belong to root@localhost, and 'reader_only'@'%' may not make them: GRANT SET USER"),
        "{said}"
    );
    follow(obstacles);
    assert_eq!(inspect(&manifest), Vec::<String>::new());
    // Bodies of routines are compared, too.
    let mut with_routine = manifest;
    let Figures::Database(figures) = &mut with_routine.figures else { panic!("{with_routine:?}") };
    figures.objects.insert("procedures".into(), 1);
    let obstacles = inspect(&with_routine);
    assert!(obstacles.join("\n").contains("GRANT SELECT ON mysql.proc"), "{obstacles:?}");
    follow(obstacles);
    assert_eq!(inspect(&with_routine), Vec::<String>::new());
}

#[test]
fn damage_is_an_error_and_never_a_smaller_database() {
    let server = Server::shared();
    let (manifest, kept) = small(server, "damaged");
    let broken = |change: &dyn Fn(&mut Kept)| {
        let mut kept = kept.clone();
        change(&mut kept);
        server.sql("", "DROP DATABASE IF EXISTS damaged_copy");
        let url = server.url("damaged_copy");
        let mut target = MysqlTarget::new("database", &settings(&url), &Place::Database { url: url.clone() }).unwrap();
        fill(&mut target, &kept).map(|figures| manifest.differences(&figures))
    };
    let find =
        |kept: &Kept, path: &str| kept.entries.iter().position(|(entry, _)| entry.path.to_string() == path).unwrap();
    assert!(broken(&|kept| drop(kept.entries.remove(0))).is_err());
    let lost = broken(&|kept| drop(kept.entries.remove(find(kept, "2-data/a.sql")))).unwrap();
    assert!(lost[0].contains("table a"), "{lost:?}");
    let cut = broken(&|kept| {
        let at = find(kept, "2-data/a.sql");
        let bytes = &mut kept.entries[at].1;
        bytes.truncate(bytes.len() - 3);
    });
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::Damaged);
    let changed = broken(&|kept| {
        let at = find(kept, "2-data/a.sql");
        kept.entries[at].1 = String::from_utf8(kept.entries[at].1.clone()).unwrap().replace('é', "è").into_bytes();
    });
    assert!(changed.unwrap()[0].contains("content differs"));
}
