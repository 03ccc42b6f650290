//! What runs by itself, under a clock of the tests' own.

use crate::kit::{FakeClock, Kit, Setup};
use engine::catalog::jobs::{Job, JobFilter, JobState};
use engine::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;

fn start(zone: &str, at: &str) -> (Kit, Arc<FakeClock>) {
    let clock = FakeClock::at(at);
    let setup = Setup { schedules: true, ..Setup::default() }
        .env("TZ", zone)
        .env("BACKUP_WEEKLY_SCHEDULE", "0 1 * * 0")
        .env("BACKUP_MONTHLY_SCHEDULE", "0 0 1 * *");
    let kit = setup.start_at(clock.clone());
    (kit, clock)
}

/// Jobs of one tier, oldest first, with their local dates.
fn backups(kit: &Kit, tier: &str) -> Vec<Job> {
    let filter = JobFilter { limit: 5000, ..JobFilter::default() };
    let mut jobs = kit.catalog.jobs(&filter).unwrap().0;
    jobs.retain(|job| job.request["tier"] == tier);
    jobs.reverse();
    jobs
}

/// Lets time pass in steps and looks after each.
fn pass(kit: &Kit, clock: &FakeClock, until: &str, step: SignedDuration) {
    let until: Timestamp = until.parse().unwrap();
    while clock.now() < until {
        clock.advance(step);
        server::scheduler::look(kit.app()).unwrap();
    }
}

#[test]
fn a_month_with_a_clock_change_has_one_daily_run_a_day_in_every_zone() {
    for (zone, from, until, days) in [
        ("America/New_York", "2026-03-01T12:00:00Z", "2026-03-31T12:00:00Z", 30),
        ("America/New_York", "2026-10-20T12:00:00Z", "2026-11-19T12:00:00Z", 30),
        ("Europe/London", "2026-03-15T12:00:00Z", "2026-04-14T12:00:00Z", 30),
        ("Australia/Lord_Howe", "2026-03-20T12:00:00Z", "2026-04-19T12:00:00Z", 30),
        ("UTC", "2026-03-01T12:00:00Z", "2026-03-31T12:00:00Z", 30),
    ] {
        let (kit, clock) = start(zone, from);
        kit.fake.gate.close();
        server::scheduler::look(kit.app()).unwrap();
        pass(&kit, &clock, until, SignedDuration::from_mins(30));
        let tz = jiff::tz::TimeZone::get(zone).unwrap();
        let jobs = backups(&kit, "daily");
        let dates: Vec<_> = jobs.iter().map(|job| job.created_at.to_zoned(tz.clone()).date()).collect();
        assert_eq!(dates.len(), days, "{zone} from {from}: {dates:?}");
        assert!(dates.windows(2).all(|pair| pair[0].tomorrow().unwrap() == pair[1]), "{zone}: {dates:?}");
        assert!(
            jobs.iter().all(|job| job.request["late"] == false || job.created_at.as_second() % 3600 > 300),
            "{zone}"
        );
    }
}

#[test]
fn a_run_missed_while_the_service_was_down_is_made_up_for_once_and_marked_late() {
    let (kit, clock) = start("UTC", "2026-05-01T12:00:00Z");
    server::scheduler::look(kit.app()).unwrap();
    clock.set("2026-05-06T09:00:00Z".parse().unwrap());
    let kit = kit.restart();
    server::scheduler::look(kit.app()).unwrap();
    server::scheduler::look(kit.app()).unwrap();
    let jobs = backups(&kit, "daily");
    assert_eq!(jobs.len(), 1, "five days were missed, one run makes up for them");
    assert_eq!(jobs[0].request["late"], true);
    pass(&kit, &clock, "2026-05-07T03:00:00Z", SignedDuration::from_mins(30));
    let jobs = backups(&kit, "daily");
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[1].request["late"], false);
}

#[test]
fn a_new_service_has_missed_nothing() {
    let (kit, _) = start("UTC", "2026-05-01T12:00:00Z");
    server::scheduler::look(kit.app()).unwrap();
    assert!(kit.catalog.jobs(&JobFilter { limit: 10, ..JobFilter::default() }).unwrap().0.is_empty());
}

#[test]
fn what_was_stopped_on_purpose_was_not_missed() {
    let (kit, clock) = start("UTC", "2026-05-01T12:00:00Z");
    let admin = kit.admin();
    server::scheduler::look(kit.app()).unwrap();
    admin.post("/api/schedules/stop", &json!({})).expect(200);
    pass(&kit, &clock, "2026-05-04T12:00:00Z", SignedDuration::from_hours(1));
    assert!(backups(&kit, "daily").is_empty());
    let list = admin.post("/api/schedules/start", &json!({})).expect(200);
    assert_eq!(list["running"], true);
    server::scheduler::look(kit.app()).unwrap();
    assert!(backups(&kit, "daily").is_empty());
    pass(&kit, &clock, "2026-05-05T12:00:00Z", SignedDuration::from_hours(1));
    assert_eq!(backups(&kit, "daily").len(), 1);
}

#[test]
fn a_clock_that_jumps_neither_repeats_nor_loses_a_day() {
    let (kit, clock) = start("UTC", "2026-05-01T12:00:00Z");
    server::scheduler::look(kit.app()).unwrap();
    pass(&kit, &clock, "2026-05-02T03:00:00Z", SignedDuration::from_mins(30));
    clock.set("2026-05-02T01:30:00Z".parse().unwrap());
    pass(&kit, &clock, "2026-05-02T04:00:00Z", SignedDuration::from_mins(30));
    assert_eq!(backups(&kit, "daily").len(), 1, "an hour lived twice");
    pass(&kit, &clock, "2026-05-04T04:00:00Z", SignedDuration::from_mins(30));
    assert_eq!(backups(&kit, "daily").len(), 3);
}

#[test]
fn schedules_are_listed_previewed_and_edited() {
    let (kit, clock) = start("America/New_York", "2026-03-01T12:00:00Z");
    let admin = kit.admin();
    let list = admin.get("/api/schedules").expect(200);
    let daily = list["schedules"].as_array().unwrap().iter().find(|one| one["task"] == "daily").unwrap();
    assert_eq!(daily["sentence"], "Daily at 2:00 AM");
    assert_eq!(daily["nextRuns"].as_array().unwrap().len(), 10);
    assert_eq!(daily["nextRuns"][0], "2026-03-02T07:00:00Z");

    let preview = admin
        .get("/api/schedules/preview?expression=30+2+*+*+*&zone=America/New_York&from=2026-03-07T12:00:00Z&count=2")
        .expect(200);
    assert_eq!(preview["nextRuns"][0]["local"], "2026-03-08T03:00:00-04:00");
    assert_eq!((&preview["nextRuns"][0]["moved"], &preview["nextRuns"][1]["moved"]), (&json!(true), &json!(false)));
    assert_eq!(admin.get("/api/schedules/preview?expression=61+2+*+*+*").refused(422), "config_invalid");
    assert_eq!(admin.get("/api/schedules/preview?expression=0+2+*+*+*&zone=Mars").refused(400), "usage");
    assert_eq!(admin.get("/api/schedules/preview").refused(400), "usage");

    server::scheduler::look(kit.app()).unwrap();
    let edit = |path: &str, expression: serde_json::Value| admin.put(path, &json!({"expression": expression}));
    assert_eq!(edit("/api/schedules/default/daily", json!("nonsense")).refused(422), "config_invalid");
    assert_eq!(edit("/api/schedules/nothing/daily", json!("0 4 * * *")).refused(404), "not_found");
    edit("/api/schedules/default/daily", json!("0 4 * * *")).expect(200);
    assert_eq!(admin.get("/api/admin/scheduled-backups").expect(200)["schedule"], "Daily at 4:00 AM");
    pass(&kit, &clock, "2026-03-03T12:00:00Z", SignedDuration::from_mins(30));
    let hours: Vec<String> = backups(&kit, "daily").iter().map(|job| job.created_at.to_string()).collect();
    assert_eq!(hours, ["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]);
    edit("/api/schedules/default/daily", json!(null)).expect(200);
    assert_eq!(admin.get("/api/admin/scheduled-backups").expect(200)["schedule"], "Daily at 2:00 AM");
    edit("/api/schedules/-/drill", json!("off")).expect(200);
    let list = admin.get("/api/schedules").expect(200);
    let drill = list["schedules"].as_array().unwrap().iter().find(|one| one["task"] == "drill").unwrap();
    assert_eq!((&drill["expression"], &drill["edited"]), (&json!(null), &json!(true)));
}

#[test]
fn a_scheduled_backup_that_a_crash_interrupted_is_made_up_for_once() {
    let (kit, clock) = start("UTC", "2026-05-01T01:00:00Z");
    server::scheduler::look(kit.app()).unwrap();
    kit.fake.gate.close();
    clock.set("2026-05-01T02:00:00Z".parse().unwrap());
    server::scheduler::look(kit.app()).unwrap();
    let first = backups(&kit, "daily").remove(0);
    kit.wait_for(first.id.as_str(), "running");
    let kit = kit.crash();
    kit.wait_for(first.id.as_str(), "failed");
    let jobs = backups(&kit, "daily");
    assert_eq!(jobs.len(), 2);
    let second = jobs.iter().find(|job| job.id != first.id).unwrap();
    kit.wait_for(second.id.as_str(), "succeeded");
    assert_eq!((second.attempt, &second.request["late"]), (2, &json!(true)));
    assert_eq!(kit.catalog.job(first.id.as_str()).unwrap().unwrap().state, JobState::Failed);
}
