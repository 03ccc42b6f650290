//! Back up, prove, put back: the main job on the sample application.

use crate::support::{App, dump};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_backup_reports_everything_the_document_promises() {
    let app = App::new();
    let record = app.backup(&["--description", "before the update"]);
    for field in [
        "id",
        "plan",
        "tier",
        "description",
        "state",
        "startedAt",
        "finishedAt",
        "durationMs",
        "location",
        "bytes",
        "sha256",
        "components",
        "trust",
        "keyFingerprint",
    ] {
        assert!(!record[field].is_null(), "{field} is missing in {record}");
    }
    assert_eq!(record["state"], "succeeded");
    assert_eq!(record["tier"], "manual");
    assert_eq!(record["description"], "before the update");
    assert_eq!(record["id"].as_str().unwrap().len(), 12);
    let names: Vec<_> =
        record["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["database", "config", "logs", "uploads"]);
    let archive = app.archive(&record);
    let stored = std::fs::read(&archive).unwrap();
    assert_eq!(stored.len() as u64, record["bytes"].as_u64().unwrap());
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(
        name.starts_with("backup-20") && name.ends_with(&format!("Z-{}.tar.gz.enc", record["id"].as_str().unwrap())),
        "{name}"
    );
    assert!(!record["trust"]["stored"].is_null() && !record["trust"]["reRead"].is_null());
    assert!(
        record["trust"]["opened"].is_null() && record["trust"]["restored"].is_null(),
        "nothing is claimed that was not done"
    );
}

#[test]
fn trust_grows_step_by_step() {
    let app = App::new();
    let id = app.backup(&[])["id"].as_str().unwrap().to_owned();
    app.ok(&["verify", "latest"]);
    let record = app.ok(&["show", &id]);
    assert!(!record["trust"]["opened"].is_null() && record["trust"]["restored"].is_null(), "{record}");
    app.ok(&["drill", "latest"]);
    let shown = app.ok(&["show", &id]);
    assert!(!shown["trust"]["restored"].is_null());
    // The recovery time to expect: measured, kept, and shown for every backup of the plan.
    assert!(shown["trust"]["restoreDurationMs"].as_u64().is_some_and(|duration_ms| duration_ms > 0), "{shown}");
    assert_eq!(shown["expectedRestoreMs"], shown["trust"]["restoreDurationMs"]);
}

#[test]
fn the_json_archive_carries_the_erps_name_and_lies_in_the_backup_folder() {
    let app = App::new();
    let record = app.backup(&["--format", "json", "--component", "database", "--description", "before the update"]);
    let id = record["id"].as_str().unwrap();
    let path = app.archive(&record);
    assert_eq!(path.parent().unwrap(), app.path().join("backups"));
    let location = path.file_name().unwrap().to_str().unwrap();
    assert!(location.starts_with("backup-") && location.ends_with(&format!("Z-{id}.enc")), "{location}");
    app.ok(&["verify", "latest"]);
    app.ok(&["drill", "latest"]);
    let before = dump(&app.database());
    app.execute("DELETE FROM customers; DROP VIEW IF EXISTS revenue;");
    app.ok(&["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"]);
    // Every statement comes back; where a virtual table stands among them does not matter.
    let sorted = |dump: &str| {
        let mut lines: Vec<_> = dump.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&dump(&app.database())), sorted(&before));
}

#[test]
fn a_json_archive_of_files_is_refused_not_pretended() {
    let app = App::new();
    assert_eq!(app.fails(2, &["backup", "--format", "json", "--component", "uploads"]), "usage");
}

#[test]
fn list_show_and_files_agree() {
    let app = App::new();
    let first = app.backup(&[]);
    let second = app.backup(&[]);
    let list = app.ok(&["list"]);
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|record| record["id"].clone()).collect();
    assert_eq!(ids, [second["id"].clone(), first["id"].clone()], "newest first");
    let files = app.ok(&["files", "latest", "uploads/"]);
    let files = files.as_array().unwrap();
    assert!(files.len() > 5);
    assert!(files.iter().all(|file| file["path"].as_str().unwrap().starts_with("uploads")));
    assert!(!app.run(&["list"]).stdout.is_empty());
    assert!(app.run(&["show", "latest"]).stdout.contains(second["id"].as_str().unwrap()));
}

#[test]
fn zstd_and_plain_archives_work_like_gzip() {
    let app = App::new();
    for compression in ["zstd", "none"] {
        let setting = format!("plans.default.compression={compression}");
        let record = app.backup(&["--set", &setting]);
        app.ok(&["verify", record["id"].as_str().unwrap()]);
        app.ok(&["drill", record["id"].as_str().unwrap()]);
    }
}

#[test]
fn every_component_can_be_left_out() {
    let app = App::new();
    let record = app.backup(&["--component", "uploads"]);
    assert_eq!(record["components"].as_array().unwrap().len(), 1);
    assert_eq!(app.fails(4, &["backup", "--component", "uplaods"]), "not_found");
}

#[test]
fn env_is_never_in_a_backup() {
    let app = App::new();
    std::fs::write(app.path().join("uploads/.env"), "SECRET=1").unwrap();
    let outcome = app.run(&["backup", "--json"]);
    let record = outcome.json();
    let files = app.ok(&["files", record["id"].as_str().unwrap()]);
    let names: Vec<_> = files
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    assert!(names.contains(&".env.example".to_owned()));
    assert!(!names.contains(&".env".to_owned()), "{names:?}");
}

#[test]
fn an_unreadable_file_makes_the_backup_partial_and_says_which() {
    let app = App::new();
    let owned = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(app.path()).status().unwrap();
    assert!(owned.success(), "this test gives files away, which needs root");
    let secret = app.path().join("uploads/secret.pdf");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let outcome = app.run_as_nobody(&["backup", "--json"]);
    assert_eq!(outcome.exit, 3, "{outcome:?}");
    let record = outcome.json();
    assert_eq!(record["state"], "partial");
    let uploads =
        record["components"].as_array().unwrap().iter().find(|component| component["name"] == "uploads").unwrap();
    assert_eq!(uploads["state"], "partial");
    assert!(uploads["warnings"].to_string().contains("secret.pdf"), "{record}");
    app.ok(&["drill", record["id"].as_str().unwrap()]);
}

#[test]
fn sockets_are_left_out_and_said_so_and_pipes_are_kept() {
    let app = App::new();
    assert!(std::process::Command::new("mkfifo").arg(app.path().join("uploads/pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(app.path().join("uploads/socket")).unwrap();
    let record = app.backup(&["--component", "uploads"]);
    assert!(record["components"].to_string().contains("socket"), "{record}");
    let files = app.ok(&["files", "latest", "uploads/pipe"]);
    assert_eq!(files[0]["kind"], "fifo");
}

#[test]
fn hooks_hear_of_the_backup_and_can_call_it_off() {
    let app = App::new();
    app.configure("[hooks.after_backup]\ncommand = 'echo \"$STRONGROOM_EVENT $STRONGROOM_STATE\" > hook.txt'\n");
    app.backup(&[]);
    let heard = std::fs::read_to_string(app.path().join("hook.txt")).unwrap();
    assert!(heard.contains("succeeded"), "{heard}");
    app.configure("[hooks.before_backup]\ncommand = 'exit 7'\non_error = 'fail'\n");
    assert_eq!(app.fails(1, &["backup"]), "external_failed");
    assert_eq!(app.ok(&["list"])[0]["state"], "failed");
}

#[test]
fn assertions_decide_a_drill() {
    let app = App::new();
    app.configure("[[assert]]\ncomponent = 'database'\nsql = 'SELECT count(*) > 0 FROM customers'\nexpect = 1\n");
    app.backup(&[]);
    app.ok(&["drill", "latest"]);
    app.configure("[[assert]]\ncomponent = 'database'\nsql = 'SELECT count(*) FROM customers'\nexpect = 1\n");
    assert_eq!(app.fails(6, &["drill", "latest"]), "mismatch");
}

#[test]
fn two_backups_at_once_exclude_each_other() {
    let app = App::new();
    app.configure("[hooks.before_backup]\ncommand = 'sleep 2'\n");
    let mut first = app.command(&["backup", "--json"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(900));
    assert_eq!(app.fails(5, &["backup"]), "locked");
    assert!(first.wait().unwrap().success());
}

#[test]
fn the_audit_log_holds_what_happened_and_notices_a_change() {
    let app = App::new();
    app.backup(&[]);
    app.ok(&["restore", "latest", "--component", "uploads", "--confirm", "CONFIRM_RESTORE"]);
    let log = app.ok(&["audit"]).to_string();
    for action in ["backup", "restore"] {
        assert!(log.contains(action), "{log}");
    }
    app.ok(&["audit", "verify"]);
    let catalog = app.path().join("backups/.strongroom/catalog.db");
    let connection = rusqlite::Connection::open(catalog).unwrap();
    let triggers: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'audit%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    let table: String = connection
        .query_row("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'audit%' LIMIT 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    connection.execute_batch(&format!("UPDATE {table} SET outcome = 'refused' WHERE rowid = 1")).unwrap();
    drop(connection);
    app.fails(6, &["audit", "verify"]);
}

#[test]
fn the_history_comes_back_after_the_catalog_is_lost() {
    let app = App::new();
    let records = [app.backup(&[]), app.backup(&["--format", "json", "--component", "database"])];
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(app.path().join("backups/.strongroom").join(file));
    }
    app.ok(&["catalog", "rebuild"]);
    let list = app.ok(&["list"]);
    for record in &records {
        let found = list.as_array().unwrap().iter().find(|found| found["id"] == record["id"]).expect("it is back");
        for field in ["state", "tier", "description", "bytes", "sha256", "startedAt", "components", "keyFingerprint"] {
            assert_eq!(found[field], record[field], "{field}");
        }
    }
    app.ok(&["drill", records[0]["id"].as_str().unwrap()]);
}

#[test]
fn the_demo_runs_to_its_end() {
    let empty = App::empty();
    let outcome = empty.run(&["demo", "--no-serve", "--at", "crm"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    for word in ["backup", "verif", "damage", "restore", "undo"] {
        assert!(outcome.stdout.to_lowercase().contains(word), "{word}: {}", outcome.stdout);
    }
}

#[test]
fn an_interrupted_backup_leaves_nothing_behind() {
    let app = App::new();
    app.configure("[hooks.before_backup]\ncommand = 'sleep 1'\n");
    let child = app
        .command(&["backup", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let status = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let list = app.ok(&["list"]);
    assert_eq!(list[0]["state"], json!("cancelled"));
    assert!(!app.path().join("backups/manual").read_dir().is_ok_and(|mut entries| entries.next().is_some()));
}
