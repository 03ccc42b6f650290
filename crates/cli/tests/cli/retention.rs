//! What is kept, what goes, and what never goes.

use crate::support::App;
use serde_json::Value;

fn daily(app: &App) -> Value {
    app.backup(&["--tier", "daily", "--component", "config"])
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn cleanup_shows_first_and_then_does_exactly_that() {
    let app = App::new();
    app.configure("[retention]\ndaily = 2\n");
    let records: Vec<_> = (0..4).map(|_| daily(&app)).collect();
    let plan = app.ok(&["cleanup", "--dry-run"]);
    assert_eq!(plan["remove"].as_array().unwrap().len(), 2, "{plan}");
    assert!(plan["keep"].as_array().unwrap().iter().all(|keep| !keep["reasons"].as_array().unwrap().is_empty()));
    assert_eq!(ids(&app.ok(&["list"])).len(), 4, "a dry run removes nothing");
    app.ok(&["cleanup"]);
    assert_eq!(ids(&app.ok(&["list"])), [records[3]["id"].as_str().unwrap(), records[2]["id"].as_str().unwrap()]);
    for (record, there) in records.iter().zip([false, false, true, true]) {
        let archive = app.archive(record);
        let sidecar = format!("{}.manifest.json", archive.display());
        assert_eq!(archive.exists(), there);
        assert_eq!(std::path::Path::new(&sidecar).exists(), there);
    }
}

#[test]
fn a_pinned_backup_stays_until_unpinned() {
    let app = App::new();
    app.configure("[retention]\ndaily = 1\n");
    let first = daily(&app);
    let id = first["id"].as_str().unwrap();
    app.ok(&["pin", id]);
    daily(&app);
    app.ok(&["cleanup"]);
    assert!(app.archive(&first).exists());
    assert_eq!(app.fails(1, &["delete", id]), "refused");
    app.ok(&["unpin", id]);
    app.ok(&["cleanup"]);
    assert!(!app.archive(&first).exists());
}

#[test]
fn the_newest_good_backup_is_not_deleted_unforced() {
    let app = App::new();
    let record = daily(&app);
    let id = record["id"].as_str().unwrap();
    assert_eq!(app.fails(1, &["delete", id]), "refused");
    assert!(app.archive(&record).exists());
    app.ok(&["delete", id, "--force"]);
    assert!(!app.archive(&record).exists());
    assert_eq!(app.fails(4, &["show", id]), "not_found");
}

#[test]
fn a_backup_that_collapsed_blocks_the_removal_of_its_predecessors() {
    let app = App::new();
    app.configure("[retention]\ndaily = 1\n");
    let full = app.backup(&["--tier", "daily"]);
    app.execute("DELETE FROM customers");
    std::fs::remove_dir_all(app.path().join("uploads")).unwrap();
    std::fs::create_dir(app.path().join("uploads")).unwrap();
    let small = app.backup(&["--tier", "daily"]);
    assert!(!small["collapsed"].is_null(), "{small}");
    app.ok(&["cleanup"]);
    assert!(app.archive(&full).exists(), "the only full backup is kept until somebody has looked");
    app.ok(&["acknowledge", small["id"].as_str().unwrap()]);
    app.ok(&["cleanup"]);
    assert!(!app.archive(&full).exists());
}

#[test]
fn files_of_other_people_in_the_folder_are_never_touched() {
    let app = App::new();
    app.configure("[retention]\ndaily = 1\n");
    daily(&app);
    let foreign = app.path().join("backups/daily/backup-of-my-novel.tar.gz");
    std::fs::write(&foreign, "chapter one").unwrap();
    daily(&app);
    app.ok(&["cleanup"]);
    assert!(foreign.exists());
}
