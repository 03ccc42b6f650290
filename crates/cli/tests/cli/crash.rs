//! `kill -9` at every step of backup, restore, undo and cleanup. A first run tells which steps there are; then each is
//! where the process dies once. Afterwards the next command finds everything wholly old or wholly new.

use crate::support::{App, Outcome, Snapshot, assert_same};

/// Runs a command that dies at `step`.
fn die_at(app: &App, step: &str, arguments: &[&str]) {
    let outcome = Outcome::of(app.command(arguments).env("STRONGROOM_KILL_AT", step));
    assert_eq!(outcome.exit, 128 + 9, "it did not die at {step}: {outcome:?}");
}

/// The steps that a command passes, each with its number.
fn steps(app: &App, arguments: &[&str]) -> Vec<String> {
    let log = app.path().join("steps.log");
    let outcome = Outcome::of(app.command(arguments).env("STRONGROOM_STEP_LOG", &log));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let steps: Vec<String> = std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    assert!(steps.len() > 3, "{steps:?}");
    steps
}

fn nothing_is_left_over(app: &App, step: &str) {
    let litter = Outcome::of(std::process::Command::new("find").arg(app.path()).args([
        "-name",
        "*.strongroom-*",
        "-o",
        "-name",
        ".strongroom-*",
        "-o",
        "-name",
        ".tmp-*",
        "-o",
        "-path",
        "*/backups/temp/*",
    ]));
    assert_eq!(litter.stdout, "", "left over after dying at {step}");
}

#[test]
fn a_backup_that_dies_anywhere_costs_no_other_backup() {
    let plan = ["backup", "--json"];
    for step in steps(&App::new(), &plan) {
        let app = App::new();
        let before = app.backup(&[]);
        die_at(&app, &step, &plan);
        let list = app.ok(&["list"]);
        for record in list.as_array().unwrap() {
            assert_ne!(record["state"], "running", "after dying at {step}");
            if record["state"] == "succeeded" {
                app.ok(&["drill", record["id"].as_str().unwrap()]);
            }
        }
        assert!(list.as_array().unwrap().iter().any(|record| record["id"] == before["id"]));
        nothing_is_left_over(&app, &step);
        app.backup(&[]);
    }
}

#[test]
fn a_restore_that_dies_anywhere_leaves_each_component_old_or_new() {
    let prepare = || {
        let app = App::new();
        let intact = app.snapshot();
        app.backup(&[]);
        app.execute("DELETE FROM customers WHERE id % 2 = 0");
        std::fs::write(app.path().join("package.json"), "{}").unwrap();
        std::fs::remove_dir_all(app.path().join("uploads")).unwrap();
        std::fs::create_dir(app.path().join("uploads")).unwrap();
        let damaged = app.snapshot();
        (app, intact, damaged)
    };
    let plan = ["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"];
    for step in steps(&prepare().0, &plan) {
        let (app, intact, damaged) = prepare();
        die_at(&app, &step, &plan);
        app.ok(&["list"]);
        let now = app.snapshot();
        assert!(
            now == intact || now == damaged,
            "after dying at {step} it is neither old nor new: {}",
            difference(&now, &intact, &damaged)
        );
        if now == damaged {
            nothing_is_left_over(&app, &step);
        }
        app.ok(&["restore", "latest", "--confirm", "CONFIRM_RESTORE"]);
        assert_same(&app.snapshot(), &intact);
    }
}

#[test]
fn an_undo_that_dies_anywhere_leaves_each_component_old_or_new() {
    let prepare = || {
        let app = App::new();
        let intact = app.snapshot();
        app.backup(&[]);
        app.execute("DELETE FROM customers WHERE id % 2 = 0");
        std::fs::write(app.path().join("package.json"), "{}").unwrap();
        let damaged = app.snapshot();
        app.ok(&["restore", "latest", "--confirm", "CONFIRM_RESTORE"]);
        (app, intact, damaged)
    };
    let plan = ["undo", "latest", "--json"];
    for step in steps(&prepare().0, &plan) {
        let (app, intact, damaged) = prepare();
        die_at(&app, &step, &plan);
        app.ok(&["list"]);
        let now = app.snapshot();
        assert!(now == intact || now == damaged, "after dying at {step}: {}", difference(&now, &intact, &damaged));
    }
}

#[test]
fn a_cleanup_that_dies_anywhere_deletes_no_backup_that_it_was_to_keep() {
    let prepare = || {
        let app = App::new();
        app.configure("[retention]\ndaily = 1\n");
        let records: Vec<_> = (0..3).map(|_| app.backup(&["--tier", "daily", "--component", "config"])).collect();
        (app, records)
    };
    let plan = ["cleanup", "--json"];
    for step in steps(&prepare().0, &plan) {
        let (app, records) = prepare();
        die_at(&app, &step, &plan);
        app.ok(&["verify", records[2]["id"].as_str().unwrap()]);
        app.ok(&["cleanup"]);
        let list = app.ok(&["list"]);
        assert_eq!(list.as_array().unwrap().len(), 1, "after dying at {step}: {list}");
        app.ok(&["verify", "--all"]);
        for record in &records[..2] {
            assert!(!app.archive(record).exists(), "after dying at {step}");
        }
    }
}

fn difference(now: &Snapshot, intact: &Snapshot, damaged: &Snapshot) -> String {
    let show = |name: &String| {
        format!("{name}: {}", now.get(name).map_or("missing", |text| if text.len() > 100 { "…" } else { text }))
    };
    let lines = |other: &Snapshot| {
        now.keys()
            .chain(other.keys())
            .filter(|name| now.get(*name) != other.get(*name))
            .map(show)
            .collect::<Vec<_>>()
            .join("\n  ")
    };
    format!("\nagainst the intact one:\n  {}\nagainst the damaged one:\n  {}", lines(intact), lines(damaged))
}
