//! `kill -9` in the middle of each kind of job: the next start resumes it or fails it honestly, and nothing is lost.

use super::Service;
use crate::support::{App, assert_same};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read;

/// An application whose uploads keep every job busy for a while.
fn large() -> App {
    let app = App::new();
    let mut state = 1_u64;
    for number in 0..32 {
        let bytes: Vec<u8> = (0..4 << 17)
            .flat_map(|_| {
                // xorshift: bytes that do not compress.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        std::fs::write(app.path().join(format!("uploads/{number}.bin")), bytes).unwrap();
    }
    app
}

fn backup(service: &Service) -> String {
    let id = service.begin("/api/backup/create", &json!({"type": "manual"}));
    assert_eq!(service.job_over(&id)["state"], "succeeded");
    id
}

fn states(service: &Service) -> Vec<(String, String)> {
    let list = service.get("/api/backup");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list["backups"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["state"]))).collect()
}

#[test]
fn a_backup_that_dies_has_failed_and_costs_no_other() {
    let app = large();
    let service = Service::start(&app);
    let good = backup(&service);
    let key = ("Idempotency-Key", "nightly");
    let ask = |service: &Service| -> Value {
        let request = service.request(Method::POST, "/api/backup/create").header(key.0, key.1).json(&json!({}));
        request.send().unwrap().json::<Value>().unwrap()["data"].clone()
    };
    let id = ask(&service)["id"].as_str().unwrap().to_owned();
    service.job_under_way(&id);
    let service = service.killed_and_back(&app);
    let job = service.job_over(&id);
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["error"]["message"].as_str().unwrap().contains("ended before this was over"), "{job}");
    assert_eq!(states(&service), [(id.clone(), "failed".to_owned()), (good.clone(), "succeeded".to_owned())]);
    assert_eq!(ask(&service)["id"], id.as_str(), "the same key is the same job, also after a crash");
    let archives = std::fs::read_dir(app.path().join("backups/manual")).unwrap().count();
    assert_eq!(archives, 2, "one archive and its sidecar");
    assert_eq!(std::fs::read_dir(app.path().join("backups/temp")).unwrap().count(), 0, "no litter");
    let verify = service.begin(&format!("/api/backup/{good}/verify"), &json!({}));
    assert_eq!(service.job_over(&verify)["state"], "succeeded");
    backup(&service);
}

#[test]
fn a_proof_that_dies_is_made_again() {
    let app = large();
    let mut service = Service::start(&app);
    let id = backup(&service);
    for kind in ["verify", "drill"] {
        let job = service.begin(&format!("/api/backup/{id}/{kind}"), &json!({}));
        service.job_under_way(&job);
        service = service.killed_and_back(&app);
        let over = service.job_over(&job);
        assert_eq!((&over["state"], &over["attempt"]), (&json!("succeeded"), &json!(2)), "{over}");
    }
    let trust = service.get(&format!("/api/backup/{id}"))["trust"].clone();
    assert!(trust["restored"].is_string(), "{trust}");
    assert_eq!(std::fs::read_dir(app.path().join("backups/temp")).unwrap().count(), 0, "no scratch place is left");
}

#[test]
fn a_restore_that_dies_leaves_everything_old_or_new_and_says_which() {
    let app = large();
    let service = Service::start(&app);
    let id = backup(&service);
    let intact = app.snapshot();
    app.execute("DELETE FROM customers WHERE id % 2 = 0");
    std::fs::write(app.path().join("uploads/0.bin"), "gone").unwrap();
    let damaged = app.snapshot();
    let body = json!({"backupId": id, "confirmToken": "CONFIRM_RESTORE"});
    let job = service.begin("/api/backup/restore", &body);
    service.job_under_way(&job);
    let service = service.killed_and_back(&app);
    let over = service.job_over(&job);
    match over["state"].as_str().unwrap() {
        "failed" => assert_same(&app.snapshot(), &damaged),
        "succeeded" => assert_same(&app.snapshot(), &intact),
        _ => panic!("{over}"),
    }
    let job = service.begin("/api/backup/restore", &body);
    assert_eq!(service.job_over(&job)["state"], "succeeded");
    assert_same(&app.snapshot(), &intact);
}

#[test]
fn a_cleanup_that_dies_goes_on_and_deletes_nothing_else() {
    let app = App::new();
    app.configure("[retention]\ndaily = 1\n");
    for _ in 0..12 {
        app.backup(&["--tier", "daily", "--component", "config"]);
    }
    let newest = app.ok(&["list"])[0]["id"].clone();
    let service = Service::start(&app);
    let job = service.begin("/api/backup/cleanup", &json!({}));
    let service = service.killed_and_back(&app);
    assert_eq!(service.job_over(&job)["state"], "succeeded");
    assert_eq!(states(&service), [(newest.as_str().unwrap().to_owned(), "succeeded".to_owned())]);
    let job = service.begin("/api/verify", &json!({}));
    assert_eq!(service.job_over(&job)["state"], "succeeded");
}

#[test]
fn a_download_that_dies_goes_on_where_it_broke_off() {
    let app = large();
    let service = Service::start(&app);
    let id = backup(&service);
    let path = format!("/api/backup/{id}/download");
    let mut answer = service.request(Method::GET, &path).send().unwrap();
    let (size, etag) = (answer.content_length().unwrap(), answer.headers()["etag"].clone());
    let mut got = vec![0; 1 << 20];
    answer.read_exact(&mut got).unwrap();
    let service = service.killed_and_back(&app);
    assert!(answer.read_to_end(&mut Vec::new()).is_err(), "what died is not taken for the whole");
    let range = format!("bytes={}-", got.len());
    let rest = service.request(Method::GET, &path).header("Range", range).header("If-Range", etag).send().unwrap();
    assert_eq!(rest.status(), 206);
    got.extend(rest.bytes().unwrap());
    assert_eq!(got.len() as u64, size);
    let record = service.get(&format!("/api/backup/{id}"));
    let archive = app.path().join("backups").join(record["location"].as_str().unwrap());
    assert!(got == std::fs::read(archive).unwrap(), "the same bytes");
    backup(&service);
    assert_eq!(service.call(Method::DELETE, &format!("/api/backup/{id}"), None).0, 200, "nobody reads it any more");
}
