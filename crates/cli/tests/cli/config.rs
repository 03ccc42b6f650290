//! Configuration, init and doctor.

use crate::support::{App, KEY, Outcome};
use std::os::unix::fs::PermissionsExt;

#[test]
fn init_makes_a_key_that_nobody_else_can_read_and_a_backup_works_after_it() {
    let app = App::empty();
    engine::sample::SampleApp::create(app.path()).unwrap();
    assert_eq!(app.fails(2, &["backup"]), "no_key");
    let outcome = app.run(&["init"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("RECOVERY KIT"));
    let env = app.path().join(".env");
    assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&env).unwrap().contains("DATABASE_URL"), "what was there stays");
    assert!(app.path().join("strongroom.toml").exists());
    app.backup(&[]);
    let again = app.run(&["init"]);
    assert_ne!(again.exit, 0, "a second init must not make a second key: {again:?}");
}

#[test]
fn an_unknown_key_is_an_error_with_a_suggestion() {
    let app = App::new();
    app.configure("backup_dri = 'x'\n");
    let outcome = app.run(&["list"]);
    assert_eq!(outcome.exit, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("backup_dir"), "{outcome:?}");
}

#[test]
fn a_malformed_variable_is_named() {
    let app = App::new();
    for (variable, value) in [
        ("BACKUP_RETENTION_DAILY", "many"),
        ("BACKUP_DAILY_SCHEDULE", "0 25 * * *"),
        ("TZ", "Mars/Olympus"),
        ("BACKUP_ENCRYPTION_KEY", "abc"),
        ("ENABLE_SCHEDULED_BACKUPS", "perhaps"),
    ] {
        let outcome = Outcome::of(app.command(&["list"]).env(variable, value));
        assert_eq!(outcome.exit, 2, "{variable}: {outcome:?}");
        assert!(outcome.stderr.contains(variable), "{outcome:?}");
        if variable == "BACKUP_ENCRYPTION_KEY" {
            assert!(!outcome.stderr.contains("abc"), "no secret is repeated");
        }
    }
}

#[test]
fn config_show_says_where_values_come_from_and_no_secret() {
    let app = App::new();
    let outcome = Outcome::of(app.command(&["config", "show"]).env("BACKUP_RETENTION_DAILY", "5"));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("BACKUP_RETENTION_DAILY"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains(KEY), "{}", outcome.stdout);
    app.ok(&["config", "check"]);
}

#[test]
fn the_environment_beats_the_file_and_the_command_line_beats_both() {
    let app = App::new();
    app.configure("backup_dir = 'from-toml'\n");
    app.backup(&["--component", "config"]);
    assert!(app.path().join("from-toml/manual").exists());
    let outcome = Outcome::of(app.command(&["backup", "--component", "config"]).env("BACKUP_DIR", "from-env"));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(app.path().join("from-env/manual").exists());
    let outcome = Outcome::of(
        app.command(&["backup", "--component", "config", "--set", "backup_dir=from-line"])
            .env("BACKUP_DIR", "from-env"),
    );
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(app.path().join("from-line/manual").exists());
}

#[test]
fn encryption_none_must_be_said_and_development_warns() {
    let app = App::empty();
    engine::sample::SampleApp::create(app.path()).unwrap();
    let outcome = Outcome::of(app.command(&["backup", "--json"]).env("BACKUP_ENCRYPTION", "none"));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let location = outcome.json()["location"].as_str().unwrap().to_owned();
    assert!(location.ends_with(".tar.gz"), "{location}");
    let listed =
        Outcome::of(std::process::Command::new("tar").arg("-tzf").arg(app.path().join("backups").join(location)));
    assert!(listed.stdout.contains("manifest.json") && listed.stdout.contains("uploads/"), "{listed:?}");
    let outcome = Outcome::of(app.command(&["backup"]).env("NODE_ENV", "development"));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("not encrypted") || outcome.stderr.contains("unencrypted"), "{outcome:?}");
}

#[test]
fn doctor_names_each_trouble_with_its_remedy() {
    let app = App::new();
    let healthy = app.run(&["doctor", "--json"]);
    assert_eq!(healthy.exit, 0, "{healthy:?}");
    std::fs::remove_file(app.database()).unwrap();
    let outcome = app.run(&["doctor"]);
    assert_ne!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("dev.db"), "{}", outcome.stdout);
}

#[test]
fn completions_and_the_manual_page_are_made() {
    let app = App::empty();
    assert!(app.run(&["completions", "bash"]).stdout.contains("strongroom"));
    assert!(app.run(&["man"]).stdout.contains(".TH"));
}

#[test]
fn logs_are_written_and_hold_no_secret() {
    let app = App::new();
    app.backup(&["-v"]);
    let mut text = String::new();
    for entry in std::fs::read_dir(app.path().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("combined-") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(text.contains("uploads"), "{text}");
    assert!(!text.contains(KEY));
}

#[test]
fn the_service_is_not_offered_to_the_network_without_tls() {
    let app = App::new();
    assert_eq!(app.fails(2, &["serve", "--listen", "0.0.0.0:0"]), "config_invalid");
}
