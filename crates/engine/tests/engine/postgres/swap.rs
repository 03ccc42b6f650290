//! Beside, swap, undo: with clients in the way, killed at every step, with the server killed at every step.

use super::{Unpacked, backup, client, context, fill, settings};
use engine::ErrorKind;
use engine::id::Id;
use engine::manifest::Export;
use engine::target::postgres::{PostgresTarget, STEPS};
use engine::target::{self, Place, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use testkit::postgres::Server;
use vault::{Progress, Silent};

const ID: &str = "0123456789ab";

/// Does something at a step.
struct At<F: Fn() + Send + Sync>(&'static str, F);

impl<F: Fn() + Send + Sync> Progress for At<F> {
    fn step(&self, name: &'static str) {
        if name == self.0 {
            (self.1)();
        }
    }
}

fn live(server: &Server, folder: &Path) -> PostgresTarget {
    let place = Place::Live { restore_id: Id::parse(ID).unwrap(), state_folder: folder.to_owned() };
    PostgresTarget::new("database", &settings(&server.url("crm")), client(), place)
}

/// A small application whose backup says `backup` and whose live database says `live` by now.
fn application(server: &Server) -> Unpacked {
    server.sql("postgres", "CREATE DATABASE crm");
    server.sql("crm", "CREATE TABLE state (word text); INSERT INTO state VALUES ('backup'); CREATE TABLE rows AS SELECT generate_series(1, 5000) AS n");
    let unpacked = backup(&server.url("crm"), Export::Native);
    server.sql("crm", "UPDATE state SET word = 'live'; DELETE FROM rows WHERE n > 10");
    unpacked
}

fn state(server: &Server) -> String {
    server.sql("crm", "SELECT word || ' ' || (SELECT count(*) FROM rows) FROM state")
}

fn databases(server: &Server) -> String {
    server.sql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate")
}

#[test]
fn a_restore_is_swapped_in_undone_and_done_again() {
    let server = Server::start();
    let unpacked = application(&server);
    let folder = tempfile::tempdir().unwrap();
    let mut target = live(&server, folder.path());
    let figures = fill(&mut target, &unpacked, &Silent).unwrap();
    assert_eq!(unpacked.manifest.differences(&figures), Vec::<String>::new());
    assert_eq!(state(&server), "live 10");
    for _ in 0..2 {
        target.swap(&context(&Silent)).unwrap();
        target.swap(&context(&Silent)).unwrap();
        assert_eq!(state(&server), "backup 5000");
        assert_eq!(databases(&server), "crm crm__before_0123456789ab postgres");
        // Another process, later.
        target = live(&server, folder.path());
        target.swap_back(&context(&Silent)).unwrap();
        target.swap_back(&context(&Silent)).unwrap();
        assert_eq!(state(&server), "live 10");
    }
    target.swap(&context(&Silent)).unwrap();
    target.discard(&context(&Silent)).unwrap();
    target.discard(&context(&Silent)).unwrap();
    assert_eq!((state(&server), databases(&server)), ("backup 5000".into(), "crm postgres".into()));
    assert_eq!(target.swap_back(&context(&Silent)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn connected_clients_are_named_or_ended_even_when_they_come_back() {
    let server = Server::start();
    let unpacked = application(&server);
    let folder = tempfile::tempdir().unwrap();
    let mut target = live(&server, folder.path());
    fill(&mut target, &unpacked, &Silent).unwrap();
    let over = AtomicBool::new(false);
    let connected = Mutex::new(());
    std::thread::scope(|scope| {
        let held = connected.lock().unwrap();
        scope.spawn(|| {
            let mut held = Some(held_open(&server));
            let _seen = connected.lock().unwrap_or_else(PoisonError::into_inner);
            while !over.load(Ordering::Relaxed) {
                if held.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some()) {
                    held = Some(held_open(&server));
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let mut process = held.take().unwrap();
            let _ = process.kill();
            let _ = process.wait();
        });
        while server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'the shop'") == "0"
        {
        }
        drop(held);
        let error = target.swap(&context(&Silent)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.message().contains("the shop") && error.message().contains("postgres"), "{error}");
        let context = target::Context { disconnect_clients: true, ..context(&Silent) };
        let swapped = target.swap(&context);
        over.store(true, Ordering::Relaxed);
        swapped.unwrap();
    });
    assert_eq!(state(&server), "backup 5000");
}

/// A client that stays connected and idle.
fn held_open(server: &Server) -> std::process::Child {
    let mut psql = server.client("psql");
    psql.env("PGAPPNAME", "the shop").args(["-X", "-q", "-d", "crm", "-c", "SELECT pg_sleep(600)"]);
    psql.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_at_any_step_the_live_database_is_whole_and_the_next_call_ends_it() {
    let server = Server::start();
    let unpacked = application(&server);
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let killed = catch_unwind(AssertUnwindSafe(|| {
            let at = At(step, || panic!("killed at {step}"));
            let mut target = live(&server, folder.path());
            fill(&mut target, &unpacked, &at).unwrap();
            target.swap(&context(&at)).unwrap();
            target.swap_back(&context(&at)).unwrap();
            target.discard(&context(&at)).unwrap();
        }));
        assert!(killed.is_err(), "{step} was never reached");
        let now = state(&server);
        assert!(now == "live 10" || now == "backup 5000", "{step}: {now}");
        let mut target = live(&server, folder.path());
        let at = STEPS.iter().position(|name| *name == step).unwrap();
        let swappable = (3..6).contains(&at);
        assert_eq!(target.swap(&context(&Silent)).is_ok(), swappable, "{step}");
        let discarded = step == "postgres.discarded";
        assert_eq!(target.swap_back(&context(&Silent)).is_ok(), !discarded, "{step}");
        assert_eq!(target.swap(&context(&Silent)).is_ok(), swappable, "{step}");
        if swappable {
            assert_eq!(state(&server), "backup 5000", "{step}");
            target.swap_back(&context(&Silent)).unwrap();
        }
        target.discard(&context(&Silent)).unwrap();
        assert_eq!((state(&server), databases(&server)), ("live 10".into(), "crm postgres".into()), "{step}");
    }
}

#[test]
fn with_the_server_killed_at_any_step_the_live_database_is_whole() {
    let mut server = Server::start();
    let unpacked = application(&server);
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        {
            let mut target = live(&server, folder.path());
            let at = At(step, || server.crash());
            let done = fill(&mut target, &unpacked, &at)
                .and_then(|_| target.swap(&context(&at)))
                .and_then(|()| target.swap_back(&context(&at)))
                .and_then(|()| target.discard(&context(&at)));
            assert!(done.is_err() || step == "postgres.discarded", "{step} was never reached");
        }
        server.kill();
        server.boot();
        let now = state(&server);
        assert!(now == "live 10" || now == "backup 5000", "{step}: {now}");
        let mut target = live(&server, folder.path());
        if now == "backup 5000" {
            target.swap_back(&context(&Silent)).unwrap();
        }
        target.discard(&context(&Silent)).unwrap();
        assert_eq!((state(&server), databases(&server)), ("live 10".into(), "crm postgres".into()), "{step}");
    }
}

#[test]
fn what_was_made_is_removed_though_a_process_of_the_server_died() {
    let server = Server::start();
    let unpacked = application(&server);
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("copy");
    let new = PostgresTarget::new("database", &settings(&url), client(), Place::Database { url: url.clone() });
    for mut target in [new, live(&server, folder.path())] {
        let at = At("postgres.loaded", || {
            let theirs = "datname IN ('copy', 'crm__restoring_0123456789ab') AND pid <> pg_backend_pid()";
            let process = server.sql("postgres", &format!("SELECT min(pid) FROM pg_stat_activity WHERE {theirs}"));
            assert!(Command::new("kill").args(["-9", &process]).status().unwrap().success());
        });
        fill(&mut target, &unpacked, &at).unwrap_err();
        // By now it ends all connections, ours too, and starts anew.
        target.discard(&context(&Silent)).unwrap();
        assert_eq!((state(&server), databases(&server)), ("live 10".into(), "crm postgres".into()));
    }
}

#[test]
fn a_database_that_somebody_replaced_meanwhile_is_not_touched() {
    let server = Server::start();
    let unpacked = application(&server);
    let folder = tempfile::tempdir().unwrap();
    let mut target = live(&server, folder.path());
    fill(&mut target, &unpacked, &Silent).unwrap();
    server.sql("postgres", "ALTER DATABASE crm RENAME TO other");
    server.sql("postgres", "CREATE DATABASE crm");
    for result in [target.swap(&context(&Silent)), target.discard(&context(&Silent))] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(databases(&server), "crm crm__restoring_0123456789ab other postgres");
}

#[test]
fn a_live_database_that_is_gone_is_made_again_and_undone_to_nothing() {
    let server = Server::start();
    let unpacked = application(&server);
    server.sql("postgres", "DROP DATABASE crm");
    let folder = tempfile::tempdir().unwrap();
    let mut target = live(&server, folder.path());
    fill(&mut target, &unpacked, &Silent).unwrap();
    target.swap(&context(&Silent)).unwrap();
    assert_eq!((state(&server), databases(&server)), ("backup 5000".into(), "crm postgres".into()));
    target.swap_back(&context(&Silent)).unwrap();
    assert_eq!(databases(&server), "crm__restoring_0123456789ab postgres");
    target.discard(&context(&Silent)).unwrap();
    assert_eq!(databases(&server), "postgres");
}

/// The live database as its owner sees it, who may neither make nor rename databases.
fn live_of_owner(server: &Server, folder: &Path) -> PostgresTarget {
    let place = Place::Live { restore_id: Id::parse(ID).unwrap(), state_folder: folder.to_owned() };
    let url = server.url("crm").replace("postgres@", "owner@");
    PostgresTarget::new("database", &settings(&url), client(), place)
}

#[test]
fn where_renaming_is_not_permitted_the_restore_is_one_transaction() {
    let server = Server::start();
    server.sql("postgres", "CREATE ROLE owner LOGIN; CREATE ROLE guest; CREATE DATABASE crm OWNER owner");
    server.sql("crm", "CREATE EXTENSION pg_trgm");
    server.sql(
        "crm",
        "SET ROLE owner; CREATE TABLE state (word text PRIMARY KEY); INSERT INTO state VALUES ('backup');
         CREATE TABLE rows AS SELECT generate_series(1, 5000) AS n; CREATE SCHEMA part; GRANT SELECT ON rows TO guest;
         CREATE TYPE part.mood AS ENUM ('a'); CREATE TABLE part.moods (m part.mood, id serial UNIQUE);
         CREATE VIEW part.seen AS SELECT * FROM rows; SELECT lo_from_bytea(5, 'x')",
    );
    let unpacked = backup(&server.url("crm"), Export::Native);
    server.sql("crm", "UPDATE state SET word = 'live'; DELETE FROM rows WHERE n > 10; DROP SCHEMA part CASCADE; SET ROLE owner; CREATE TABLE later ()");
    for step in ["postgres.loaded", "postgres.measured", "none"] {
        let folder = tempfile::tempdir().unwrap();
        let killed = catch_unwind(AssertUnwindSafe(|| {
            let at = At(step, || panic!("killed at {step}"));
            let mut target = live_of_owner(&server, folder.path());
            let figures = fill(&mut target, &unpacked, &at).unwrap();
            assert_eq!(unpacked.manifest.differences(&figures), Vec::<String>::new());
            target.swap(&context(&at)).unwrap();
        }));
        let mut later = live_of_owner(&server, folder.path());
        if step == "none" {
            killed.unwrap();
            later.swap(&context(&Silent)).unwrap();
            // Nothing lies beside: an undo writes the pre-restore backup back.
            assert_eq!(later.swap_back(&context(&Silent)).unwrap_err().kind(), ErrorKind::Refused);
            assert_eq!(later.way_back().unwrap(), target::WayBack::Backup);
            assert_eq!(state(&server), "backup 5000");
            let present = "SELECT to_regclass('later') IS NULL AND has_table_privilege('guest', 'rows', 'SELECT')";
            assert_eq!(server.sql("crm", present), "t");
        } else {
            assert!(killed.is_err());
            assert_eq!(later.swap(&context(&Silent)).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(state(&server), "live 10");
        }
        later.discard(&context(&Silent)).unwrap();
        assert_eq!(databases(&server), "crm postgres");
    }
}
