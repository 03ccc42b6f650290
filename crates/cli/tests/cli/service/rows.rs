//! The endpoints of the two systems that Strongroom takes the place of, spelt as their documents spell them, and what each
//! answers to a wrong input.

use super::{Service, document, token};
use crate::support::App;
use reqwest::Method;
use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn scheduled_backups_are_shown_started_triggered_and_stopped() {
    let app = App::new();
    let service = Service::with(&app, &token(&app), &[("TZ", "America/New_York")]);
    let path = "/api/admin/scheduled-backups";
    let (status, shown) = service.call(Method::GET, path, None);
    assert_eq!((status, keys(&shown)), (200, vec!["data", "success"]));
    assert_eq!(keys(&shown["data"]), ["isRunning", "nextRun", "schedule"]);
    assert_eq!((&shown["data"]["isRunning"], &shown["data"]["schedule"]), (&json!(true), &json!("Daily at 2:00 AM")));
    // 02:00 in New York is 06:00 or 07:00 in UTC, in the document's own form. Sunday's and the first's runs are earlier.
    let next = shown["data"]["nextRun"].as_str().unwrap();
    assert_eq!((next.len(), &next[13..]), (24, ":00:00.000Z"));
    assert!(["04", "05", "06", "07"].contains(&&next[11..13]), "{next}");
    assert_eq!(service.call(Method::DELETE, path, None).0, 200);
    let stopped = service.get(path);
    assert_eq!((&stopped["isRunning"], &stopped["nextRun"]), (&json!(false), &json!(null)));
    assert_eq!(service.post(path, &json!({"action": "start"}))["isRunning"], true);
    let triggered = service.post(path, &json!({"action": "trigger"}));
    assert_eq!(service.job_over(triggered["job"]["id"].as_str().unwrap())["state"], "succeeded");
}

#[test]
fn backups_are_made_listed_fetched_restored_and_deleted() {
    let app = App::new();
    let service = Service::start(&app);
    let wanted = json!({"type": "manual", "description": "Manual backup before system update"});
    let (status, started) = service.call(Method::POST, "/api/backup/create", Some(&wanted));
    assert_eq!(status, 202);
    let id = started["data"]["id"].as_str().unwrap();
    assert_eq!(service.job_over(id)["state"], "succeeded");

    let list = service.get("/api/backup");
    assert_eq!(keys(&list), ["backups", "next", "total"]);
    let backup = &list["backups"][0];
    assert_eq!(
        (&backup["id"], &backup["type"], &backup["description"]),
        (&json!(id), &json!("manual"), &wanted["description"])
    );
    for field in ["name", "sha256", "startedAt", "finishedAt", "bytes", "durationMs", "components", "trust"] {
        assert!(!backup[field].is_null(), "{field}: {backup}");
    }
    let answer = service.request(Method::GET, &format!("/api/backup/{id}/download")).send().unwrap();
    assert_eq!(answer.headers()["x-checksum-sha256"], backup["sha256"].as_str().unwrap());
    assert_eq!(answer.headers()["content-length"], backup["bytes"].to_string());
    let archive = app.path().join("backups").join(backup["location"].as_str().unwrap());
    assert_eq!(answer.bytes().unwrap(), std::fs::read(archive).unwrap());

    let status = service.get("/api/backup/status");
    assert_eq!((&status["scheduler"]["initialized"], &status["totalBackups"]), (&json!(true), &json!(1)));
    assert_eq!((&status["backupsByType"], &status["lastBackup"]["id"]), (&json!({"manual": 1}), &json!(id)));
    assert!(status["disk"]["freeBytes"].as_u64().unwrap() > 0 && status["email"]["enabled"] == false);

    let intact = app.query("SELECT count(*) FROM customers");
    app.execute("DELETE FROM customers");
    let body =
        json!({"backupId": id, "components": ["database", "uploads", "config"], "confirmToken": "CONFIRM_RESTORE"});
    assert_eq!(service.job_over(&service.begin("/api/backup/restore", &body))["state"], "succeeded");
    assert_eq!(app.query("SELECT count(*) FROM customers"), intact);
    let tiers: Vec<Value> =
        service.get("/api/backup")["backups"].as_array().unwrap().iter().map(|one| one["type"].clone()).collect();
    assert_eq!(tiers, ["pre-restore", "manual"], "what was there before is backed up first");

    assert_eq!(service.job_over(&service.begin("/api/backup/cleanup", &json!({})))["state"], "succeeded");
    let (status, refused) = service.call(Method::POST, "/api/backup/test-email", Some(&json!({})));
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("not_configured")));
    let (status, refused) = service.call(Method::DELETE, &format!("/api/backup/{id}"), None);
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("refused")), "the only good copy");
    service.job_over(&service.begin("/api/backup/create", &json!({})));
    assert_eq!(service.call(Method::DELETE, &format!("/api/backup/{id}"), None).0, 200);
    assert_eq!(service.call(Method::DELETE, &format!("/api/backup/{id}"), None).0, 404);
}

/// Every endpoint of both documents, with a body that it takes.
fn endpoints() -> Vec<(Method, &'static str, Option<Value>)> {
    vec![
        (Method::GET, "/api/admin/scheduled-backups", None),
        (Method::POST, "/api/admin/scheduled-backups", Some(json!({"action": "start"}))),
        (Method::DELETE, "/api/admin/scheduled-backups", None),
        (Method::GET, "/api/backup", None),
        (Method::POST, "/api/backup/create", Some(json!({"type": "manual", "description": "by hand"}))),
        (Method::GET, "/api/backup/0123456789ab/download", None),
        (Method::DELETE, "/api/backup/0123456789ab", None),
        (Method::GET, "/api/backup/status", None),
        (
            Method::POST,
            "/api/backup/restore",
            Some(json!({"backupId": "0123456789ab", "components": ["database"], "confirmToken": "CONFIRM_RESTORE"})),
        ),
        (Method::POST, "/api/backup/test-email", Some(json!({}))),
        (Method::POST, "/api/backup/cleanup", Some(json!({}))),
    ]
}

#[test]
fn each_endpoint_refuses_each_wrong_input_in_the_same_envelope() {
    let app = App::new();
    let service = Service::start(&app);
    let reader = app.ok(&["token", "create", "reader", "--scope", "metrics"])["token"].as_str().unwrap().to_owned();
    let anonymous =
        |method: &Method, path: &str| service.client.request(method.clone(), format!("{}{path}", service.base));
    let refused = |what: &str, request: RequestBuilder, wanted: u16| {
        let (status, document) = document(request.send().unwrap());
        assert_eq!(status, wanted, "{what}: {document}");
        assert_eq!(keys(&document), ["error", "success"], "{what}");
        assert_eq!(keys(&document["error"]), ["code", "hint", "message"], "{what}");
    };
    for (method, path, body) in endpoints() {
        let what = |wrong: &str| format!("{method} {path}, {wrong}");
        refused(&what("nobody"), anonymous(&method, path), 401);
        for token in ["srt_0000", "", "eyJhbGciOiJub25lIn0.e30.", &reader[..reader.len() - 1]] {
            refused(&what(token), anonymous(&method, path).bearer_auth(token), 401);
        }
        refused(&what("a token for something else"), anonymous(&method, path).bearer_auth(&reader), 403);
        refused(&what("an unknown method"), service.request(Method::from_bytes(b"BREW").unwrap(), path), 405);
        let large = "x".repeat(300_000);
        refused(&what("too large"), service.request(method.clone(), path).body(large), 413);
        if let Some(good) = &body {
            let json = |text: &'static str| {
                service.request(method.clone(), path).header("content-type", "application/json").body(text)
            };
            // What takes no fields reads no body.
            let reads = good.as_object().is_some_and(|fields| !fields.is_empty());
            for wrong in
                ["{", "[]", "7", "{\"type\": 7, \"action\": 7, \"backupId\": 7}", "\u{0}"].into_iter().filter(|_| reads)
            {
                refused(&what(wrong), json(wrong), 400);
            }
            for field in good.as_object().unwrap().keys().filter(|field| *field != "description" && *field != "type") {
                let mut less = good.clone();
                less.as_object_mut().unwrap().remove(field);
                // Without components everything is restored; the unknown id is found out then.
                let wanted = if field == "components" { 404 } else { 400 };
                refused(&what(field), service.request(method.clone(), path).json(&less), wanted);
            }
        }
        if path.contains("0123456789ab") {
            refused(&what("an unknown id"), service.request(method.clone(), path), 404);
            for id in ["..%2f..%2fetc%2fpasswd", "%2e%2e", "A1B2C3D4E5F6", "0123456789abc", "%00", "*"] {
                refused(&what(id), service.request(method.clone(), &path.replace("0123456789ab", id)), 404);
            }
        }
    }
    assert_eq!(service.get("/api/backup")["total"], 0, "nothing was made by accident");
    let audited = service.get("/api/audit?action=access.denied")["total"].as_u64().unwrap();
    assert!(audited > 0, "refusals are in the audit log");
}
