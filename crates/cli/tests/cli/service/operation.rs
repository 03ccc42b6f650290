//! Stopping, reloading, systemd, crowds, and doctor's word on who hears of failures.

use super::{LONG, Service, token};
use crate::support::App;
use reqwest::Method;
use serde_json::json;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn a_stop_lets_the_running_backup_finish() {
    let app = App::new();
    let service = Service::start(&app);
    let id = service.begin("/api/backup/create", &json!({}));
    assert!(service.stopped().success());
    let service = Service::start_again(&app);
    let state = service.job_over(&id)["state"].clone();
    assert_eq!(state, "succeeded", "queued work is done after the next start, running work before the stop");
    assert_eq!(app.ok(&["list"])[0]["state"], "succeeded");
}

#[test]
fn a_stop_that_cannot_wait_undoes_the_running_backup_cleanly() {
    let app = App::new();
    // The hook takes longer than a stop may.
    app.configure("[server]\nshutdown_timeout_seconds = 1\n[hooks.before_backup]\ncommand = \"sleep 60\"\n");
    let service = Service::start(&app);
    let id = service.begin("/api/backup/create", &json!({}));
    service.job_that(&id, |job| job["state"] == "running");
    assert!(service.stopped().success());
    app.configure("");
    let service = Service::start_again(&app);
    let job = service.job_over(&id);
    assert!(["cancelled", "failed"].contains(&job["state"].as_str().unwrap()), "{job}");
    assert_ne!(app.ok(&["list"])[0]["state"], "running");
    assert_eq!(std::fs::read_dir(app.path().join("backups/manual")).unwrap().count(), 0);
}

#[test]
fn a_hang_up_takes_a_good_configuration_and_keeps_the_old_one_when_it_is_bad() {
    let app = App::new();
    app.configure("[retention]\ndaily = 11\n");
    let service = Service::start(&app);
    let daily = || {
        let settings = service.get("/api/settings").to_string();
        settings.contains("11").then_some(11).or(settings.contains("12").then_some(12))
    };
    assert_eq!(daily(), Some(11));
    let log = || {
        let files = std::fs::read_dir(app.path().join("logs")).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect::<String>()
    };
    let wait_for = |text: &str| {
        let until = Instant::now() + LONG;
        while !log().contains(text) {
            assert!(Instant::now() < until, "{text:?} is not in the log: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    app.configure("[retention]\ndaily = \"many\"\n");
    service.signal("HUP");
    wait_for("the configuration was not taken; the old one stays");
    assert_eq!(daily(), Some(11));
    app.configure("[retention]\ndaily = 12\n");
    service.signal("HUP");
    wait_for("the configuration was read again");
    assert_eq!(daily(), Some(12));
}

/// What the service tells systemd, in order, as far as it has arrived.
fn told(socket: &UnixDatagram, until: &str) -> String {
    let mut all = String::new();
    while !all.contains(until) {
        let mut bytes = [0; 512];
        let length =
            socket.recv(&mut bytes).unwrap_or_else(|cause| panic!("{until} is missing after {all:?}: {cause}"));
        all.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        all.push('\n');
    }
    all
}

#[test]
fn systemd_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let app = App::new();
    let path = app.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let service = Service::with(&app, &token(&app), &env);
    told(&socket, "READY=1");
    told(&socket, "STATUS=ready");
    told(&socket, "WATCHDOG=1");
    told(&socket, "WATCHDOG=1");
    service.signal("HUP");
    assert!(told(&socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    told(&socket, "READY=1");
    service.signal("TERM");
    told(&socket, "STOPPING=1");
    assert!(service.over().success());
}

#[test]
fn a_flood_of_requests_does_not_harm_the_running_backup() {
    let app = App::new();
    let service = Service::start(&app);
    let id = service.begin("/api/backup/create", &json!({}));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..40 {
                    assert_eq!(service.call(Method::GET, "/api/backup", None).0, 200);
                }
            });
        }
    });
    assert_eq!(service.job_over(&id)["state"], "succeeded");
}

#[test]
fn a_stop_of_the_schedules_survives_a_crash() {
    let app = App::new();
    let service = Service::start(&app);
    let running = |service: &Service| service.get("/api/admin/scheduled-backups")["isRunning"].clone();
    assert_eq!(running(&service), true);
    assert_eq!(service.call(Method::DELETE, "/api/admin/scheduled-backups", None).0, 200);
    let service = service.killed_and_back(&app);
    assert_eq!(running(&service), false);
    service.post("/api/admin/scheduled-backups", &json!({"action": "start"}));
    let service = service.killed_and_back(&app);
    assert_eq!(running(&service), true);
}

#[test]
fn every_metric_that_the_example_alarms_name_exists() {
    let app = App::new();
    let service = Service::start(&app);
    let id = service.begin("/api/backup/create", &json!({}));
    assert_eq!(service.job_over(&id)["state"], "succeeded");
    let drill = service.begin(&format!("/api/backup/{id}/drill"), &json!({}));
    assert_eq!(service.job_over(&drill)["state"], "succeeded");
    // A failed one, for the time of the last failure.
    std::fs::rename(app.database(), app.path().join("elsewhere.db")).unwrap();
    let failing = service.begin("/api/backup/create", &json!({}));
    assert_eq!(service.job_over(&failing)["state"], "failed");
    let metrics = service.request(Method::GET, "/metrics").send().unwrap().text().unwrap();
    let alarms = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts.yml");
    let alarms = std::fs::read_to_string(alarms).unwrap();
    let rules: Vec<&str> = alarms.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let words = rules.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let named: std::collections::BTreeSet<&str> = words.filter(|word| word.starts_with("strongroom_")).collect();
    assert!(named.len() > 6, "{named:?}");
    for name in named {
        let exists =
            metrics.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        assert!(exists, "docs/alerts.yml names {name}, which is not in:\n{metrics}");
    }
}
