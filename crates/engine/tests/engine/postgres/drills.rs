//! Scratch databases: made, asked, removed, also those that a crash left.

use super::{backup, client, restore_to, settings};
use engine::config::component::ServerDatabaseSettings;
use engine::id::Id;
use engine::manifest::Export;
use engine::target::Place;
use engine::target::postgres::{drill_place, drop_database, query, sweep_drills};
use testkit::postgres::Server;

#[test]
fn a_drill_restores_into_a_scratch_database_on_a_named_server_and_leaves_nothing() {
    let (server, drills) = (Server::start(), Server::start());
    let name = "a rather long name of a database that is cut — für immer";
    server.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    server.sql(name, "CREATE TABLE t AS SELECT generate_series(1, 10) AS n");
    let url = server.url(&name.replace(' ', "%20"));
    let unpacked = backup(&url, Export::Native);
    let settings = ServerDatabaseSettings { drill_url: Some(drills.url("postgres")), ..settings(&url) };
    let scratch = |id| match drill_place(&settings, &Id::parse(id).unwrap(), &client()).unwrap() {
        Place::Database { url } => url,
        other => panic!("{other:?}"),
    };
    let (one, other) = (scratch("aaaaaaaaaaaa"), scratch("bbbbbbbbbbbb"));
    let figures = restore_to(&one, &unpacked).unwrap();
    assert_eq!(unpacked.manifest.differences(&figures), Vec::<String>::new());
    assert_eq!(query(&one, "SELECT sum(n) FROM t", &client()).unwrap(), "55");
    assert!(query(&one, "DELETE FROM t", &client()).is_err(), "an assertion only reads");
    drop_database(&one, &client()).unwrap();
    drop_database(&one, &client()).unwrap();
    // A drill that was killed, and databases of others that only look alike.
    restore_to(&other, &unpacked).unwrap();
    drills.sql("postgres", "CREATE DATABASE a_rather__drill_aaaaaaaaaaaa");
    let swept = sweep_drills(&drills.url("postgres"), name, &client()).unwrap();
    assert_eq!(swept.len(), 1);
    assert!(swept[0].ends_with("__drill_bbbbbbbbbbbb") && swept[0].len() <= 63, "{swept:?}");
    let left = drills
        .sql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate");
    assert_eq!(left, "a_rather__drill_aaaaaaaaaaaa postgres");
}
