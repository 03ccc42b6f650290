use super::*;
use crate::catalog::{BackupRecord, Collapse, TrustStep};
use crate::config::{ConfigInputs, Found};
use crate::id::Id;
use crate::manifest::{State, Tier};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const KEY: &str = "BACKUP_ENCRYPTION_KEY=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn config(folder: &Path, toml: &str, dotenv: &str) -> Config {
    let inputs = ConfigInputs {
        folder: folder.to_owned(),
        toml: Some((folder.join("strongroom.toml"), toml.to_owned())),
        dotenv: Some((folder.join(".env"), dotenv.to_owned())),
        ..ConfigInputs::default()
    };
    Config::load(&inputs, |_, _| Ok(Found::default())).unwrap()
}

fn of<'c>(checks: &'c [Check], name: &str) -> &'c Check {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
}

const APP: &str = "[components.database]\nkind = \"sqlite\"\npath = \"app.db\"\n[components.uploads]\nkind = \"files\"\npath = \"uploads\"\n";

fn app() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("uploads")).unwrap();
    fs::write(folder.path().join("app.db"), "").unwrap();
    folder
}

fn backup(catalog: &Catalog, at: Timestamp) -> BackupRecord {
    let record = BackupRecord::running(Id::generate().unwrap(), "default", Tier::Daily, at);
    catalog.backup_start(&record).unwrap();
    let record = record.finished(State::Succeeded, at);
    catalog.backup_finish(&record, None).unwrap();
    record
}

#[test]
fn a_healthy_application_has_no_failed_check() {
    let app = app();
    let config = config(app.path(), &format!("{APP}[notify.ping]\nfailure = \"https://hc.example/x\""), KEY);
    let catalog = Catalog::in_memory().unwrap();
    let record = backup(&catalog, now() - SignedDuration::from_hours(3));
    catalog.backup_trust(&record.id, TrustStep::Restored, now()).unwrap();
    let checks = checks(&config, Some(&catalog), now(), &[]);
    let bad: Vec<_> = checks
        .iter()
        .filter(|check| check.state != CheckState::Ok && !["disk", "space"].contains(&&*check.name))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(of(&checks, "newest backup of default").message, "it is 3 hours old");
    assert!(fs::read_dir(app.path()).unwrap().count() == 2, "nothing is left behind");
}

#[test]
fn every_problem_has_a_remedy() {
    let app = app();
    let config = config(
        app.path(),
        "[server]\nlisten = \"0.0.0.0:80\"\n[components.gone]\nkind = \"files\"\npath = \"gone\"",
        "",
    );
    let checks = checks(&config, None, Timestamp::UNIX_EPOCH, &[]);
    assert_eq!(worst(&checks), CheckState::Fail);
    for name in ["key", "clock", "service", "component gone"] {
        assert_eq!(of(&checks, name).state, CheckState::Fail, "{name}");
    }
    for check in checks.iter().filter(|check| check.state != CheckState::Ok) {
        assert!(!check.remedy.is_empty(), "{check:?}");
    }
}

#[test]
fn nothing_to_back_up_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(of(&checks(&config(folder.path(), "", KEY), None, now(), &[]), "components").state, CheckState::Fail);
}

#[test]
fn a_key_that_others_can_read_and_an_open_backup_folder_are_told() {
    let app = app();
    fs::write(app.path().join(".env"), KEY).unwrap();
    fs::create_dir(app.path().join("backups")).unwrap();
    let set = |name: &str, mode| fs::set_permissions(app.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    let state = |name: &str| of(&checks(&config(app.path(), APP, KEY), None, now(), &[]), name).state;
    set(".env", 0o644);
    set("backups", 0o755);
    assert_eq!((state(".env"), state("backup folder")), (CheckState::Warn, CheckState::Warn));
    set(".env", 0o600);
    set("backups", 0o700);
    assert_eq!((state(".env"), state("backup folder")), (CheckState::Ok, CheckState::Ok));
}

#[test]
fn a_file_that_is_no_database_is_told() {
    let app = app();
    fs::write(app.path().join("app.db"), "hello, this is no database").unwrap();
    let checks = checks(&config(app.path(), APP, KEY), None, now(), &[]);
    let check = of(&checks, "component database");
    assert!(check.state == CheckState::Fail && check.message.contains("no SQLite database"), "{check:?}");
}

#[test]
fn stale_unproven_collapsed_and_future_backups_are_told() {
    let app = app();
    let config = config(app.path(), APP, KEY);
    let catalog = Catalog::in_memory().unwrap();
    let old = backup(&catalog, now() - SignedDuration::from_hours(24 * 9));
    let all = checks(&config, Some(&catalog), now(), &[]);
    let stale = of(&all, "newest backup of default");
    assert_eq!((stale.state, &*stale.message), (CheckState::Fail, "it is 9 days old"));
    assert_eq!(of(&all, "newest proven backup of default").state, CheckState::Warn);
    let collapsed =
        BackupRecord { collapsed: Some(Collapse { reason: "half".to_owned(), acknowledged: false }), ..old };
    catalog.backup_finish(&collapsed, None).unwrap();
    backup(&catalog, now() + SignedDuration::from_hours(1));
    let all = checks(&config, Some(&catalog), now(), &[]);
    assert_eq!(of(&all, "collapsed backups").state, CheckState::Warn);
    assert_eq!(of(&all, "clock").state, CheckState::Fail);
}

#[test]
fn mail_without_a_server_fails_and_no_channel_warns() {
    let app = app();
    let state = |dotenv: &str| of(&checks(&config(app.path(), APP, dotenv), None, now(), &[]), "notifications").state;
    assert_eq!(state(KEY), CheckState::Warn);
    assert_eq!(state("BACKUP_EMAIL_ENABLED=true"), CheckState::Fail);
    assert_eq!(state("BACKUP_EMAIL_ENABLED=true\nSMTP_HOST=h"), CheckState::Fail);
    assert_eq!(state("BACKUP_EMAIL_ENABLED=true\nSMTP_HOST=h\nBACKUP_EMAIL_TO=a@b"), CheckState::Ok);
}

#[test]
fn failures_that_reach_nobody_are_found_whatever_else_is_sent() {
    let app = app();
    let catalog = Catalog::in_memory().unwrap();
    let check = |toml: &str| {
        let config = config(app.path(), &format!("{APP}{toml}"), KEY);
        of(&checks(&config, Some(&catalog), now(), &[]), "notifications").state
    };
    let mail = "[notify]\nemail_enabled = true\n[notify.smtp]\nhost = \"h\"\n";
    let hook = "[[notify.webhook]]\nurl = \"https://h.example/x\"\n";
    assert_eq!(check(&format!("{mail}to = [\"a@b\"]\nevents = [\"success\", \"start\"]")), CheckState::Warn);
    assert_eq!(check(&format!("{hook}events = [\"success\"]")), CheckState::Warn);
    assert_eq!(check(hook), CheckState::Ok);
    assert_eq!(check("[notify.ping]\nstart = \"https://h.example/x\""), CheckState::Warn);
    assert_eq!(check("[notify.ping]\nsuccess = \"https://h.example/x\""), CheckState::Ok);
    assert_eq!(check(mail), CheckState::Fail, "there is no receiver");
    let admin = crate::catalog::users::User {
        name: "ann".to_owned(),
        role: crate::catalog::users::Role::Admin,
        password_hash: None,
        email: Some("ann@example.com".to_owned()),
        created_at: now(),
        signed_in_at: None,
    };
    catalog.user_add(&admin).unwrap();
    assert_eq!(check(mail), CheckState::Ok, "the administrators' own addresses");
}

#[test]
fn messages_that_do_not_arrive_are_found() {
    let app = app();
    let catalog = Catalog::in_memory().unwrap();
    // Nothing listens on the discard port of the loopback interface.
    let config = config(app.path(), &format!("{APP}[[notify.webhook]]\nurl = \"http://127.0.0.1:9/x\""), KEY);
    let delivery = || of(&checks(&config, Some(&catalog), now(), &[]), "delivery").clone();
    assert_eq!(delivery().state, CheckState::Ok);
    let notice = crate::notify::Notice::new(crate::config::Event::Failure, now(), "failed", "");
    crate::notify::post(&catalog, &config.notify, &notice).unwrap();
    crate::notify::deliver_due(&catalog, &config.notify, &now, &|| false).unwrap();
    assert_eq!(delivery().state, CheckState::Fail);
    assert!(delivery().message.contains("127.0.0.1:9"), "{}", delivery().message);
}

#[test]
fn probes_of_others_are_asked() {
    struct Server;
    impl Probe for Server {
        fn check(&self, _: &Config) -> Vec<Check> {
            vec![Check::fail("server", "does not answer", "start it")]
        }
    }
    let app = app();
    let checks = checks(&config(app.path(), APP, KEY), None, now(), &[&Server]);
    assert_eq!(of(&checks, "server").state, CheckState::Fail);
}
