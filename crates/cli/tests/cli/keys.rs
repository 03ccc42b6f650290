//! Keys: making, rotating, losing.

use crate::support::{App, KEY, Outcome};
use std::os::unix::fs::PermissionsExt;

#[test]
fn backups_of_an_older_key_stay_readable_after_a_rotation() {
    let app = App::new();
    let old = app.backup(&[]);
    let rotated = app.ok(&["key", "rotate"]);
    assert_ne!(rotated["fingerprint"], old["keyFingerprint"]);
    let new = app.backup(&[]);
    assert_ne!(new["keyFingerprint"], old["keyFingerprint"]);
    for record in [&old, &new] {
        app.ok(&["verify", record["id"].as_str().unwrap()]);
        app.ok(&["drill", record["id"].as_str().unwrap()]);
    }
    assert_eq!(app.ok(&["key", "list"]).as_array().unwrap().len(), 2);
    let env = std::fs::read_to_string(app.path().join(".env")).unwrap();
    assert!(env.contains("DATABASE_URL"), "the rest of .env stays: {env}");
}

#[test]
fn a_generated_key_is_64_digits_and_never_the_same() {
    let app = App::empty();
    let make = || app.run(&["key", "generate"]).stdout.trim().to_owned();
    let (one, two) = (make(), make());
    assert_eq!(one.len(), 64);
    assert_ne!(one, two);
}

#[test]
fn the_wrong_key_is_said_so() {
    let app = App::new();
    let record = app.backup(&[]);
    let before = app.snapshot();
    let wrong = "ff".repeat(32);
    for command in [
        &["verify", "latest", "--json"][..],
        &["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"],
        &["drill", "--json"],
    ] {
        let outcome = Outcome::of(app.command(command).env("BACKUP_ENCRYPTION_KEY", &wrong));
        assert_eq!(outcome.exit, 7, "{outcome:?}");
        assert_eq!(outcome.error_code(), "wrong_key");
        assert!(
            outcome.stderr.contains(record["keyFingerprint"].as_str().unwrap()),
            "it says which key is wanted: {outcome:?}"
        );
    }
    assert_eq!(app.snapshot(), before);
}

#[test]
fn the_recovery_kit_restores_by_itself() {
    let app = App::new();
    app.backup(&[]);
    let file = app.path().join("kit.txt");
    app.ok(&["key", "recovery-kit", "--output", file.to_str().unwrap()]);
    let kit = std::fs::read_to_string(&file).unwrap();
    assert!(kit.contains(KEY));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}
