//! Long work: queues, cancelling, restarts, idempotency, watching.

use crate::fake::Fate;
use crate::kit::{Caller, Kit, Setup};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;

fn create(caller: &Caller, body: &Value) -> String {
    caller.post("/api/backup/create", body).expect(202)["id"].as_str().unwrap().to_owned()
}

#[test]
fn backups_wait_for_each_other_also_those_of_other_plans() {
    let kit = Setup { second_plan: true, ..Setup::default() }.start();
    let admin = kit.admin();
    kit.fake.gate.close();
    let ids: Vec<String> =
        ["default", "second", "default"].iter().map(|plan| create(&admin, &json!({"plan": plan}))).collect();
    kit.wait_for(&ids[0], "running");
    assert_eq!(admin.get("/api/jobs?state=queued").expect(200)["total"], 2);
    kit.fake.gate.open();
    ids.iter().for_each(|id| drop(kit.wait_for(id, "succeeded")));
    assert!(!kit.fake.overlapped.load(Ordering::SeqCst));
}

#[test]
fn a_restore_does_not_wait_behind_a_long_verification() {
    let kit = Kit::start();
    let id = kit.backup();
    let admin = kit.admin();
    kit.fake.gate.close();
    let verify = admin.post("/api/verify", &json!({})).expect(202);
    let restore = json!({"backupId": id, "confirmToken": "CONFIRM_RESTORE"});
    let restore = admin.post("/api/backup/restore", &restore).expect(202);
    kit.wait_for(verify["id"].as_str().unwrap(), "running");
    kit.wait_for(restore["id"].as_str().unwrap(), "running");
    kit.fake.gate.open();
}

#[test]
fn a_job_can_be_cancelled_while_it_waits_and_while_it_runs() {
    let kit = Kit::start();
    let admin = kit.admin();
    kit.fake.gate.close();
    let (first, second) = (create(&admin, &json!({})), create(&admin, &json!({})));
    kit.wait_for(&first, "running");
    assert_eq!(admin.post(&format!("/api/jobs/{second}/cancel"), &json!({})).expect(200)["state"], "cancelled");
    admin.post(&format!("/api/jobs/{first}/cancel"), &json!({})).expect(200);
    kit.wait_for(&first, "cancelled");
    assert_eq!(admin.post(&format!("/api/jobs/{first}/cancel"), &json!({})).refused(409), "refused");
    assert_eq!(admin.post("/api/jobs/000000000000/cancel", &json!({})).refused(404), "not_found");
    assert_eq!(admin.get(&format!("/api/backup/{first}")).expect(200)["state"], "cancelled");
}

#[test]
fn the_same_request_with_the_same_key_starts_one_job() {
    let kit = Kit::start();
    let mut admin = kit.admin();
    let other = kit.admin();
    admin.headers.push(("idempotency-key", "k1".to_owned()));
    let first = create(&admin, &json!({"description": "a"}));
    assert_eq!(create(&admin, &json!({"description": "a"})), first);
    kit.wait_for(&first, "succeeded");
    assert_eq!(create(&admin, &json!({"description": "a"})), first, "also when it is over");
    assert_eq!(admin.post("/api/backup/create", &json!({"description": "b"})).refused(409), "idempotency_conflict");
    let mut others = other.clone();
    others.headers.push(("idempotency-key", "k1".to_owned()));
    assert_ne!(create(&others, &json!({"description": "a"})), first, "somebody else's key is another key");
    let mut wrong = other;
    wrong.headers.push(("idempotency-key", "x".repeat(201)));
    assert_eq!(wrong.post("/api/backup/create", &json!({})).refused(400), "usage");
}

#[test]
fn a_crash_fails_a_persons_backup_honestly_and_repeats_proofs() {
    let kit = Kit::start();
    let admin = kit.admin();
    kit.backup();
    kit.fake.gate.close();
    let (running, queued) = (create(&admin, &json!({})), create(&admin, &json!({})));
    let verify = admin.post("/api/verify", &json!({})).expect(202)["id"].as_str().unwrap().to_owned();
    kit.wait_for(&running, "running");
    kit.wait_for(&verify, "running");
    let kit = kit.crash();
    let job = kit.wait_for(&running, "failed");
    assert!(job.error.unwrap().message.contains("ended before"), "says so");
    kit.wait_for(&queued, "succeeded");
    assert_eq!(kit.wait_for(&verify, "succeeded").attempt, 2);
}

#[test]
fn a_stop_lets_a_job_finish_or_stops_it_cleanly() {
    let kit = Kit::start();
    let admin = kit.admin();
    kit.fake.gate.close();
    let id = create(&admin, &json!({}));
    kit.wait_for(&id, "running");
    // The gate stays closed longer than the 200 ms that the configuration gives it.
    let kit = kit.restart();
    kit.wait_for(&id, "cancelled");
    assert_eq!(kit.catalog.backup(&id).unwrap().state.name(), "cancelled");
}

#[test]
fn progress_can_be_watched_to_the_end() {
    let kit = Kit::start();
    let admin = kit.admin();
    kit.fake.gate.close();
    let id = create(&admin, &json!({}));
    kit.wait_for(&id, "running");
    let answer = admin.request(Method::GET, &format!("/api/jobs/{id}/events")).send().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = BufReader::new(answer).lines().map(Result::unwrap).filter(|line| !line.is_empty());
    let mut next = || {
        let name = events.next()?.strip_prefix("event: ")?.to_owned();
        let data: Value = serde_json::from_str(events.next()?.strip_prefix("data: ")?).unwrap();
        Some((name, data))
    };
    loop {
        let (name, job) = next().unwrap();
        assert_eq!(name, "progress");
        if job["progress"]["phase"] == "backing up database" {
            assert_eq!(job["progress"]["percent"], 50.0);
            break;
        }
    }
    kit.fake.gate.open();
    let (_, job) = std::iter::from_fn(&mut next).find(|(name, _)| name == "done").unwrap();
    assert_eq!((&job["state"], &job["result"]["id"]), (&json!("succeeded"), &json!(id)));
    assert_eq!(admin.get("/api/jobs/000000000000/events").refused(404), "not_found");
}

#[test]
fn a_partial_backup_is_a_partial_job() {
    let kit = Kit::start();
    *kit.fake.fate.lock().unwrap() = Fate::Partial;
    let id = create(&kit.admin(), &json!({}));
    kit.wait_for(&id, "partial");
}

#[test]
fn a_second_service_on_the_same_records_is_refused() {
    let kit = Kit::start();
    let config = kit.fake.config.lock().unwrap().clone();
    let fake = crate::fake::Fake::new(kit.catalog.clone(), kit.clock.clone(), engine::config::Config::clone(&config));
    let options = server::ServeOptions {
        catalog: kit.catalog.clone(),
        strongroom: std::sync::Arc::new(fake),
        patience: server::Patience::default(),
        clock: kit.clock.clone(),
        on_ready: Box::new(|_| {}),
    };
    let error = server::serve(options).unwrap_err();
    assert_eq!(error.kind(), engine::ErrorKind::Locked);
}
