//! Backups as snapshots of a repository, and stock restic on the same repository.

use crate::support::{App, KEY, Outcome, dump};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn repository_backup(app: &App) -> Value {
    app.backup(&["--format", "repository"])
}

fn restic(app: &App, arguments: &[&str]) -> Outcome {
    let outcome = Outcome::of(
        Command::new("restic")
            .args(["--no-cache", "-r"])
            .arg(app.path().join("backups/repository"))
            .args(arguments)
            .env("RESTIC_PASSWORD", KEY),
    );
    assert_eq!(outcome.exit, 0, "restic {arguments:?}: {outcome:?}");
    outcome
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| if entry.path().is_dir() { size_of(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

#[test]
fn a_repository_behaves_as_archives_do() {
    let app = App::new();
    let record = repository_backup(&app);
    let location = record["location"].as_str().unwrap();
    assert!(location.starts_with(app.path().join("backups/repository#").to_str().unwrap()), "{location}");
    let id = record["id"].as_str().unwrap();
    app.ok(&["verify", id]);
    app.ok(&["drill", id]);
    assert!(!app.ok(&["show", id])["trust"]["restored"].is_null());
    assert!(app.ok(&["files", id, "uploads"]).as_array().unwrap().len() > 5);
    let before = app.snapshot();
    app.execute("DELETE FROM customers");
    std::fs::remove_dir_all(app.path().join("uploads")).unwrap();
    app.ok(&["restore", location, "--confirm", "CONFIRM_RESTORE"]);
    crate::support::assert_same(&app.snapshot(), &before);
    app.ok(&["undo", "latest"]);
    assert_eq!(app.query("SELECT count(*) FROM customers"), "0");
}

#[test]
fn an_unchanged_application_adds_next_to_nothing() {
    let app = App::new();
    repository_backup(&app);
    let folder = app.path().join("backups/repository");
    let before = size_of(&folder);
    repository_backup(&app);
    let added = size_of(&folder) - before;
    assert!(added < before / 10, "{added} of {before}");
}

#[test]
fn stock_restic_checks_and_restores_what_we_wrote() {
    let app = App::new();
    repository_backup(&app);
    restic(&app, &["check", "--read-data"]);
    let target = tempfile::tempdir().unwrap();
    restic(&app, &["restore", "latest", "--target", target.path().to_str().unwrap()]);
    assert_eq!(dump(&target.path().join("database/dev.db")), dump(&app.database()));
    let difference = Outcome::of(
        Command::new("diff")
            .arg("-r")
            .arg("--no-dereference")
            .arg(target.path().join("uploads"))
            .arg(app.path().join("uploads")),
    );
    assert_eq!(difference.exit, 0, "{difference:?}");
}

#[test]
fn deleting_and_cleaning_up_leave_a_repository_that_restic_accepts() {
    let app = App::new();
    app.configure("[retention]\ndaily = 1\n");
    let daily = || app.backup(&["--format", "repository", "--tier", "daily"]);
    let first = daily();
    app.execute("UPDATE customers SET city = 'Elsewhere'");
    let second = daily();
    app.ok(&["cleanup"]);
    let list = app.ok(&["list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(app.fails(4, &["verify", first["location"].as_str().unwrap()]), "not_found");
    app.ok(&["drill", second["id"].as_str().unwrap()]);
    restic(&app, &["check", "--read-data"]);
}

#[test]
fn the_history_comes_back_from_the_snapshots() {
    let app = App::new();
    let record = repository_backup(&app);
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(app.path().join("backups/.strongroom").join(file));
    }
    app.ok(&["catalog", "rebuild"]);
    let list = app.ok(&["list"]);
    assert_eq!(list[0]["id"], record["id"]);
    assert_eq!(list[0]["location"], record["location"]);
    app.ok(&["drill", record["id"].as_str().unwrap()]);
}

#[test]
fn a_rotated_key_opens_the_repository_and_the_old_one_no_longer() {
    let app = App::new();
    let record = repository_backup(&app);
    app.ok(&["key", "rotate"]);
    app.ok(&["drill", record["id"].as_str().unwrap()]);
    let outcome = Outcome::of(
        Command::new("restic")
            .args(["--no-cache", "-r"])
            .arg(app.path().join("backups/repository"))
            .arg("snapshots")
            .env("RESTIC_PASSWORD", KEY),
    );
    assert_ne!(outcome.exit, 0, "the retired key is withdrawn");
}
