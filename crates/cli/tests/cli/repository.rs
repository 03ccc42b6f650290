//! Backups as snapshots of a repository, and stock restic on the same repository.

use crate::support::{App, KEY, Outcome, dump};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
fn parts_of_a_snapshot_come_back_and_a_pin_holds() {
    let app = App::new();
    let record = repository_backup(&app);
    let id = record["id"].as_str().unwrap();
    let wanted = app.ok(&["files", id, "uploads"]);
    let file = wanted.as_array().unwrap().iter().find(|entry| entry["kind"] == "file").unwrap();
    let path = file["path"].as_str().unwrap();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("out");
    app.ok(&["restore", id, "--path", path, "--to", to.to_str().unwrap()]);
    assert_eq!(std::fs::read(to.join(path)).unwrap(), std::fs::read(app.path().join(path)).unwrap());
    assert!(!to.join("database").exists());
    let to = target.path().join("component");
    app.ok(&["restore", id, "--component", "uploads", "--to", to.to_str().unwrap()]);
    assert!(to.join("uploads").is_dir() && !to.join("database").exists());
    app.ok(&["pin", id]);
    app.fails(1, &["delete", id]);
    app.ok(&["unpin", id]);
    repository_backup(&app);
    app.ok(&["delete", id]);
    assert_eq!(app.fails(4, &["show", id]), "not_found");
    restic(&app, &["check", "--read-data"]);
}

#[test]
fn the_repository_is_checked_as_a_whole_or_in_part() {
    let app = App::new();
    assert_eq!(app.fails(4, &["verify", "--repository"]), "not_found");
    repository_backup(&app);
    repository_backup(&app);
    let whole = app.ok(&["verify", "--repository"]);
    assert_eq!((&whole["sound"], &whole["snapshots"]), (&Value::Bool(true), &Value::from(2)));
    assert_eq!(whole["packsRead"], whole["packs"]);
    assert_eq!(app.ok(&["verify", "--read-data-subset", "1/1"])["packsRead"], whole["packs"]);
    let index = app.ok(&["verify", "--repository", "--depth", "stored"]);
    assert_eq!((&index["packsRead"], &index["blobs"]), (&Value::from(0), &whole["blobs"]));
    assert_eq!(app.ok(&["verify", "--read-data-subset", "5%"])["packsRead"], 1);
    // A pack of trees may be smaller than that: another one is read then, whichever were drawn.
    let some = app.ok(&["verify", "--read-data-subset", "1K"]);
    assert!(some["bytesRead"].as_u64() >= Some(1 << 10), "{some}");
    assert!(some["packsRead"].as_u64() < whole["packs"].as_u64(), "{some}");
    for wrong in ["0%", "2/1", "5"] {
        assert_eq!(app.run(&["verify", "--read-data-subset", wrong]).exit, 2, "{wrong}");
    }
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
    assert_eq!(app.ok(&["cleanup", "--dry-run"])["repository"]["unusedBytes"], 0, "both are there");
    let cleaned = app.ok(&["cleanup"]);
    assert_eq!(cleaned["freedBytes"], 0, "what is marked is still there: {cleaned}");
    let waiting = &cleaned["repository"]["waitingBytes"];
    assert!(waiting.as_u64().unwrap() > 0, "{cleaned}");
    assert_eq!(&app.ok(&["cleanup", "--dry-run"])["repository"]["unusedBytes"], waiting);
    let said = app.run(&["cleanup"]).stdout;
    assert!(said.contains("are used by no backup") && said.ends_with("\n0 B freed.\n"), "{said}");
    let (index, away) = (app.path().join("backups/repository/index"), app.path().join("index-away"));
    std::fs::rename(&index, &away).unwrap();
    std::fs::create_dir(&index).unwrap();
    let planned = app.ok(&["cleanup", "--dry-run"]);
    assert!(planned["obstacle"].is_string(), "a plan without its repository: {planned}");
    std::fs::remove_dir(&index).unwrap();
    std::fs::rename(&away, &index).unwrap();
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
    assert_eq!(list[0]["bytes"], record["bytes"], "what the run added stands in its snapshot");
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

#[test]
fn a_key_that_was_changed_in_the_environment_opens_the_repository_too() {
    let app = App::new();
    let record = repository_backup(&app);
    let new = "ab".repeat(32);
    let with = |current: &str, previous: &str, arguments: &[&str]| {
        let mut command = app.command(arguments);
        Outcome::of(command.env("BACKUP_ENCRYPTION_KEY", current).env("BACKUP_PREVIOUS_KEYS", previous))
    };
    let opens = |key: &str| {
        let mut restic = Command::new("restic");
        restic.args(["--no-cache", "-r"]).arg(app.path().join("backups/repository"));
        Outcome::of(restic.arg("snapshots").env("RESTIC_PASSWORD", key)).exit == 0
    };
    assert_eq!(with(&new, KEY, &["backup", "--format", "repository"]).exit, 0);
    assert!(opens(&new) && opens(KEY), "a key file too many does no harm");
    assert_eq!(with(&new, KEY, &["key", "rotate"]).exit, 0);
    assert!(opens(&new) && !opens(KEY), "the retired key is withdrawn");
    assert_eq!(with(&new, "", &["drill", record["id"].as_str().unwrap()]).exit, 0);
    assert_ne!(with(&new, "", &["key", "rotate"]).exit, 0, "there is nothing left to withdraw");
}

#[test]
fn a_snapshot_that_restic_took_is_listed_and_fetched_as_a_whole_or_in_part() {
    let app = App::new();
    let place = app.path().join("theirs");
    let restic = |arguments: &[&str]| {
        let mut restic = Command::new("restic");
        restic.args(["--no-cache", "-r"]).arg(&place).args(arguments).env("RESTIC_PASSWORD", KEY);
        let outcome = Outcome::of(restic.current_dir(app.path()));
        assert_eq!(outcome.exit, 0, "restic {arguments:?}: {outcome:?}");
        outcome.stdout
    };
    std::fs::create_dir_all(app.path().join("mine/deep")).unwrap();
    std::fs::write(app.path().join("mine/deep/file"), "content").unwrap();
    std::fs::write(app.path().join("alone"), "at the top").unwrap();
    for version in ["1", "2"] {
        restic(&["init", "--repository-version", version]);
        restic(&["backup", "mine", "alone"]);
        let snapshots: Value = serde_json::from_str(&restic(&["snapshots", "--json"])).unwrap();
        let location = format!("{}#{}", place.display(), snapshots[0]["id"].as_str().unwrap());
        assert!(app.ok(&["files", &location]).to_string().contains("mine/deep/file"));
        let (whole, part) = (app.path().join(format!("whole-{version}")), app.path().join(format!("part-{version}")));
        let told = app.ok(&["restore", &location, "--to", whole.to_str().unwrap()]);
        assert_eq!(told["hasManifest"], false, "nothing says what the snapshot should hold");
        app.ok(&["restore", &location, "--path", "mine/deep", "--to", part.to_str().unwrap()]);
        let text = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(text(whole.join("mine/deep/file")), "content");
        assert_eq!(text(whole.join("alone")), "at the top");
        assert_eq!(text(part.join("mine/deep/file")), "content");
        assert!(!part.join("alone").exists());
        std::fs::remove_dir_all(&place).unwrap();
    }
}

/// Packs of more than 100 KiB.
fn large_packs(app: &App) -> BTreeSet<PathBuf> {
    let data = app.path().join("backups/repository/data");
    let found = Outcome::of(Command::new("find").arg(&data).args(["-type", "f", "-size", "+100k"]));
    found.stdout.lines().map(PathBuf::from).collect()
}

fn flip_a_bit(pack: &Path) {
    let mut bytes = std::fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(pack, bytes).unwrap();
}

#[test]
fn all_snapshots_are_verified_and_damage_is_told_of_those_that_have_it() {
    let app = App::new();
    let first = repository_backup(&app);
    let packs = large_packs(&app);
    let random: Vec<u8> =
        (0_u64..40_000).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n << 29).to_le_bytes()).collect();
    std::fs::write(app.path().join("uploads/new.bin"), random).unwrap();
    let second = repository_backup(&app);
    let archive = app.backup(&[]);
    let ids = [&archive, &second, &first].map(|record| record["id"].as_str().unwrap());
    let states = |verified: &Value| -> Vec<(String, bool)> {
        let state = |one: &Value| (one["id"].as_str().unwrap().to_owned(), one["ok"].as_bool().unwrap());
        verified.as_array().unwrap().iter().map(state).collect()
    };
    assert_eq!(states(&app.ok(&["verify", "--all"])), ids.map(|id| (id.to_owned(), true)));
    for id in ids {
        let trust = &app.ok(&["show", id])["trust"];
        assert!(trust["reRead"].is_string() && trust["opened"].is_string(), "{trust}");
    }
    let new: Vec<_> = large_packs(&app).difference(&packs).cloned().collect();
    assert_eq!(new.len(), 1, "the new file alone takes a large pack");
    flip_a_bit(&new[0]);
    let verified = app.run(&["verify", "--all", "--json"]);
    assert_eq!(verified.exit, 6, "{verified:?}");
    let expected = [(ids[0], true), (ids[1], false), (ids[2], true)].map(|(id, ok)| (id.to_owned(), ok));
    assert_eq!(states(&verified.json()), expected);
    let damaged = new[0].file_name().unwrap().to_str().unwrap();
    assert!(verified.json()[1]["error"]["message"].as_str().unwrap().contains(damaged), "{verified:?}");
    assert!(app.ok(&["show", ids[1]])["trust"]["opened"].is_null());
    assert!(app.ok(&["show", ids[2]])["trust"]["opened"].is_string());
}

#[test]
fn a_damaged_pack_is_found_named_and_mended() {
    let app = App::new();
    let record = repository_backup(&app);
    let id = record["id"].as_str().unwrap();
    app.ok(&["drill", id]);
    flip_a_bit(large_packs(&app).first().unwrap());
    assert_eq!(app.fails(6, &["verify", id]), "damaged");
    assert!(app.ok(&["show", id])["trust"]["restored"].is_null(), "what was found bad is trusted no more");
    let check = app.run(&["verify", "--repository", "--json"]);
    assert_eq!(check.exit, 6, "{check:?}");
    let found = check.json();
    let lost = found["lost"][0].as_str().unwrap();
    assert!(lost.contains(&format!("backup {id}, snapshot ")), "{lost}");
    let outcome = app.run(&["repair", "--json"]);
    assert_eq!(outcome.exit, 3, "{outcome:?}");
    let repaired = outcome.json();
    assert_eq!(repaired["lost"], found["lost"], "what is lost is lost by the damage, not by the repair");
    let again = app.backup(&["--format", "repository", "--force-reread"]);
    app.ok(&["drill", again["id"].as_str().unwrap()]);
}
