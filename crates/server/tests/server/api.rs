//! The right shape of each endpoint, and what wrong inputs get.

use crate::fake::Fate;
use crate::kit::{Kit, Setup, checked};
use reqwest::Method;
use serde_json::{Value, json};

#[test]
fn the_erps_three_calls_answer_as_its_document_shows() {
    let kit = Setup { schedules: true, ..Setup::default() }.env("TZ", "America/New_York").start();
    let admin = kit.admin();
    let status = admin.get("/api/admin/scheduled-backups").expect(200);
    let fields: Vec<&String> = status.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["isRunning", "nextRun", "schedule"]);
    assert_eq!(status["isRunning"], true);
    assert_eq!(status["schedule"], "Daily at 2:00 AM");
    let next = status["nextRun"].as_str().unwrap();
    assert!(next.len() == 24 && next.ends_with(":00.000Z"), "{next}");

    admin.delete("/api/admin/scheduled-backups").expect(200);
    let kit = kit.restart();
    let admin = kit.admin();
    let status = admin.get("/api/admin/scheduled-backups").expect(200);
    assert_eq!((&status["isRunning"], &status["nextRun"]), (&json!(false), &Value::Null));

    let started = admin.post("/api/admin/scheduled-backups", &json!({"action": "start"})).expect(200);
    assert_eq!(started["isRunning"], true);
    let triggered = admin.post("/api/admin/scheduled-backups", &json!({"action": "trigger"})).expect(202);
    kit.wait_for(triggered["job"]["id"].as_str().unwrap(), "succeeded");
    for wrong in [json!({}), json!({"action": "explode"}), json!({"action": 1}), json!([]), json!("start")] {
        assert_eq!(admin.post("/api/admin/scheduled-backups", &wrong).refused(400), "usage", "{wrong}");
    }
}

#[test]
fn the_configuration_beats_a_start_through_the_api() {
    let kit = Setup { schedules: true, ..Setup::default() }.env("ENABLE_SCHEDULED_BACKUPS", "false").start();
    let admin = kit.admin();
    assert_eq!(admin.get("/api/admin/scheduled-backups").expect(200)["isRunning"], false);
    assert_eq!(admin.post("/api/admin/scheduled-backups", &json!({"action": "start"})).refused(409), "refused");
    assert_eq!(admin.get("/api/schedules").expect(200)["disabledByConfiguration"], true);
}

#[test]
fn a_backup_is_made_listed_shown_pinned_and_deleted() {
    let kit = Kit::start();
    let admin = kit.admin();
    let body = json!({"type": "manual", "description": "Manual backup before system update"});
    let started = admin.post("/api/backup/create", &body).expect(202);
    let id = started["id"].as_str().unwrap();
    assert_eq!(id.len(), 12);
    assert_eq!((&started["backupId"], &started["jobId"]), (&json!(id), &json!(id)));
    kit.wait_for(id, "succeeded");

    let page = admin.get("/api/backup").expect(200);
    assert_eq!((&page["total"], &page["next"]), (&json!(1), &Value::Null));
    let backup = &page["backups"][0];
    assert_eq!(backup["id"], id);
    assert_eq!(backup["type"], "manual");
    assert_eq!(backup["description"], "Manual backup before system update");
    assert_eq!(backup["state"], "succeeded");
    assert_eq!(admin.get("/api/backups").expect(200), page);
    assert_eq!(&admin.get("/api/backup/latest").expect(200), backup);

    assert_eq!(admin.put(&format!("/api/backup/{id}/pin"), &json!({})).expect(200)["pinned"], true);
    assert_eq!(admin.delete(&format!("/api/backup/{id}")).refused(409), "refused");
    assert_eq!(admin.delete(&format!("/api/backup/{id}/pin")).expect(200)["pinned"], false);
    assert_eq!(admin.delete(&format!("/api/backup/{id}")).expect(200)["deleted"], true);
    assert_eq!(admin.delete(&format!("/api/backup/{id}")).refused(404), "not_found");
    assert_eq!(admin.get("/api/backup").expect(200)["total"], 0);
}

#[test]
fn the_list_is_filtered_and_paged_newest_first() {
    let kit = Kit::start();
    let ids: Vec<String> = (0..5).map(|_| kit.backup()).collect();
    *kit.fake.fate.lock().unwrap() = Fate::Fail;
    let admin = kit.admin();
    let failed = admin.post("/api/backup/create", &json!({"type": "daily"})).expect(202);
    kit.wait_for(failed["id"].as_str().unwrap(), "failed");

    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin.get(&format!("/api/backup?state=succeeded&limit=2{next}")).expect(200);
        assert_eq!(page["total"], 5);
        seen.extend(page["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&next={cursor}"),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, ids);
    assert_eq!(admin.get("/api/backup?tier=daily").expect(200)["total"], 1);
    assert_eq!(admin.get("/api/backup?from=2001-01-01T00:00:00Z&to=2002-01-01T00:00:00Z").expect(200)["total"], 0);
    for wrong in ["limit=0", "limit=501", "limit=x", "tier=hourly", "state=odd", "from=yesterday", "next=nonsense"] {
        assert_eq!(admin.get(&format!("/api/backup?{wrong}")).refused(400), "usage", "{wrong}");
    }
}

#[test]
fn a_restore_needs_its_confirmation_and_can_be_undone() {
    let kit = Kit::start();
    let admin = kit.admin();
    let id = kit.backup();
    let wanted = |token: Value| json!({"backupId": id, "components": ["database"], "confirmToken": token});
    for wrong in [json!(null), json!("confirm_restore"), json!("")] {
        assert_eq!(admin.post("/api/backup/restore", &wanted(wrong)).refused(400), "confirmation_required");
    }
    let confirmed = |backup: &str, components: Value| json!({"backupId": backup, "components": components, "confirmToken": "CONFIRM_RESTORE"});
    assert_eq!(admin.post("/api/backup/restore", &confirmed(&id, json!(["nothing"]))).refused(400), "usage");
    assert_eq!(admin.post("/api/backup/restore", &confirmed(&id, json!([]))).refused(400), "usage");
    assert_eq!(
        admin.post("/api/backup/restore", &confirmed("0123456789ab", json!(["database"]))).refused(404),
        "not_found"
    );
    assert_eq!(
        admin.post("/api/backup/restore", &confirmed("../../etc", json!(["database"]))).refused(404),
        "not_found"
    );

    let plan = admin.post(&format!("/api/backup/{id}/restore-plan"), &json!({})).expect(200);
    assert_eq!(plan["backup"]["id"], id);
    let started = admin.post("/api/backup/restore", &confirmed("latest", json!(["database"]))).expect(202);
    assert_eq!(started["backupId"], id);
    let restore = started["id"].as_str().unwrap();
    kit.wait_for(restore, "succeeded");
    let page = admin.get("/api/restores").expect(200);
    assert_eq!((&page["total"], &page["restores"][0]["id"]), (&json!(1), &json!(restore)));
    assert!(page["restores"][0].get("journal").is_none(), "paths of this machine stay here");
    let undone = admin.post("/api/restores/latest/undo", &json!({})).expect(202);
    kit.wait_for(undone["id"].as_str().unwrap(), "succeeded");
    assert_eq!(admin.get("/api/restores").expect(200)["restores"][0]["state"], "undone");
    assert_eq!(admin.post("/api/restores/000000000000/undo", &json!({})).refused(404), "not_found");
}

#[test]
fn every_wrong_request_gets_an_envelope() {
    let kit = Kit::start();
    let admin = kit.admin();
    let id = kit.backup();
    assert_eq!(admin.get("/api/nothing").refused(404), "not_found");
    assert_eq!(admin.get("/api").refused(404), "not_found");
    assert_eq!(admin.patch("/api/backup", &json!({})).refused(405), "method_not_allowed");
    assert_eq!(admin.get("/api/backup/0123456789ab").refused(404), "not_found");
    for path in ["/api/backup/..%2f..%2fetc%2fpasswd", "/api/backup/%00", "/api/jobs/%ff", "/api/backup/A1B2C3D4E5F6"] {
        assert_eq!(admin.get(path).refused(404), "not_found", "{path}");
    }
    for path in ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "uploads%2f..%2f..%2fx", "a%00b", ""] {
        assert_eq!(admin.get(&format!("/api/backup/{id}/file?path={path}")).refused(400), "usage", "{path}");
    }
    assert_eq!(admin.get(&format!("/api/backup/{id}/file?path=uploads/none")).refused(404), "not_found");
    assert_eq!(admin.get(&format!("/api/backup/{id}/file")).refused(400), "usage");

    let create = |body: &'static str, kind: &str| {
        checked(
            admin.request(Method::POST, "/api/backup/create").header("content-type", kind).body(body).send().unwrap(),
        )
    };
    assert_eq!(create("{", "application/json").refused(400), "usage");
    assert_eq!(create("", "application/json").refused(400), "usage");
    let without = checked(admin.request(Method::POST, "/api/backup/create").send().unwrap());
    assert_eq!(without.status, 202, "a body may be left out");
    assert_eq!(create("{}", "text/plain").refused(415), "unsupported_media_type");
    assert_eq!(create("[1]", "application/json").refused(400), "usage");
    for wrong in [
        json!({"type": "hourly"}),
        json!({"type": "pre-restore"}),
        json!({"description": 7}),
        json!({"description": "x".repeat(1001)}),
        json!({"plan": "nothing"}),
        json!({"components": ["nothing"]}),
        json!({"components": []}),
        json!({"format": "zip"}),
    ] {
        assert_eq!(admin.post("/api/backup/create", &wrong).refused(400), "usage", "{wrong}");
    }
    let large = json!({"description": "x".repeat(300_000)});
    assert_eq!(admin.post("/api/backup/create", &large).refused(413), "payload_too_large");
}

#[test]
fn a_panic_of_the_engine_is_an_honest_failure() {
    let kit = Kit::start();
    *kit.fake.fate.lock().unwrap() = Fate::Panic;
    let admin = kit.admin();
    let started = admin.post("/api/backup/create", &json!({})).expect(202);
    let job = kit.wait_for(started["id"].as_str().unwrap(), "failed");
    assert_eq!(job.error.unwrap().code, "internal");
    *kit.fake.fate.lock().unwrap() = Fate::Succeed;
    kit.backup();
}

#[test]
fn everything_else_answers_in_its_shape() {
    let kit = Setup { schedules: true, ..Setup::default() }.start();
    kit.ready();
    let admin = kit.admin();
    let id = kit.backup();
    let status = admin.get("/api/backup/status").expect(200);
    assert_eq!(status["scheduler"]["initialized"], true);
    assert_eq!(status["totalBackups"], 1);
    assert_eq!(status["backupsByType"], json!({"manual": 1}));
    assert_eq!(status["lastBackup"]["id"], id);
    assert_eq!(status["disk"]["freeBytes"], 500);
    assert_eq!(status["email"]["enabled"], false);
    assert_eq!(admin.get("/api/overview").expect(200)["totalBackups"], 1);
    assert_eq!(admin.get(&format!("/api/backup/{id}/files")).expect(200)["files"][0]["path"], "uploads/a.txt");
    let days = admin.get("/api/statistics?days=7").expect(200);
    assert_eq!(days["days"][0]["succeeded"], 1);
    assert_eq!(admin.get("/api/statistics?days=0").refused(400), "usage");
    assert_eq!(admin.get("/api/plans").expect(200)["plans"][0]["components"], json!(["database", "uploads"]));
    let settings = admin.get("/api/settings").expect(200);
    let daily = settings["settings"].as_array().unwrap().iter().find(|one| one["key"] == "schedule.daily").unwrap();
    assert!(daily["origin"].as_str().unwrap().contains("BACKUP_DAILY_SCHEDULE"), "{daily}");
    assert_eq!(admin.get("/api/doctor").expect(200)["healthy"], true);
    assert_eq!(admin.get("/api/backup/cleanup").expect(200)["backups"], json!([]));
    let cleanup = admin.post("/api/backup/cleanup", &json!({})).expect(202);
    kit.wait_for(cleanup["id"].as_str().unwrap(), "succeeded");
    let drill = admin.post(&format!("/api/backup/{id}/drill"), &json!({})).expect(202);
    assert_eq!(kit.wait_for(drill["id"].as_str().unwrap(), "succeeded").result.unwrap()["good"], true);
    let verify = admin.post("/api/verify", &json!({"depth": "read"})).expect(202);
    kit.wait_for(verify["id"].as_str().unwrap(), "succeeded");
    assert_eq!(admin.post("/api/verify", &json!({"depth": "deep"})).refused(400), "usage");
    let jobs = admin.get("/api/jobs?kind=drill").expect(200);
    assert_eq!((&jobs["total"], &jobs["jobs"][0]["state"]), (&json!(1), &json!("succeeded")));
    assert_eq!(admin.get("/healthz").expect(200)["status"], "ok");
    assert_eq!(admin.get("/readyz").expect(200)["status"], "ok");
}

#[test]
fn a_damaged_backup_fails_its_verification() {
    let kit = Kit::start();
    let id = kit.backup();
    *kit.fake.fate.lock().unwrap() = Fate::Fail;
    let started = kit.admin().post(&format!("/api/backup/{id}/verify"), &json!({})).expect(202);
    let job = kit.wait_for(started["id"].as_str().unwrap(), "failed");
    assert_eq!(job.result.unwrap()["backups"][0]["problems"][0], "its SHA-256 differs");
}

#[test]
fn metrics_have_their_names_and_units() {
    let kit = Setup { schedules: true, ..Setup::default() }.start();
    kit.backup();
    let metrics = kit.bearer(kit.token(&[engine::catalog::tokens::Scope::Metrics]));
    let answer = metrics.request(Method::GET, "/metrics").send().unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = answer.text().unwrap();
    for line in [
        "strongroom_backups{plan=\"default\",tier=\"manual\"} 1",
        "strongroom_disk_free_bytes 500",
        "strongroom_scheduler_running 1",
        "strongroom_outbox_messages{state=\"pending\"} 0",
        "strongroom_jobs{state=\"succeeded\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
    }
    let prefix = "strongroom_backup_last_success_timestamp_seconds{plan=\"default\",tier=\"manual\"} ";
    let value: f64 = text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap().parse().unwrap();
    assert!(value > 1.7e9);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(name.starts_with("strongroom_") || name.starts_with("process_"), "{line}");
    }
}

#[test]
fn the_page_is_served_everywhere_that_is_no_api_with_a_strict_policy() {
    let kit = Kit::start();
    for path in ["/", "/frontend/backup.html", "/settings/backups", "/backups/a1b2c3d4e5f6", "/setup"] {
        let answer = kit.anonymous().request(Method::GET, path).send().unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(!answer.text().unwrap().contains("__CSP_NONCE__"));
    }
    assert_eq!(kit.anonymous().get("/assets/none.js").refused(404), "not_found");
    assert_eq!(kit.anonymous().post("/", &json!({})).refused(405), "method_not_allowed");
    let headers = kit.anonymous().get("/healthz").headers;
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store")]
    {
        assert_eq!(headers[name], value);
    }
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_stays() {
    let kit = Kit::start();
    let admin = kit.admin();
    let wrong = engine::Error::new(engine::ErrorKind::Config, "TZ: no such zone", "Correct it.");
    *kit.fake.next_config.lock().unwrap() = Some(Err(wrong));
    assert_eq!(admin.post("/api/settings/reload", &json!({})).refused(422), "config_invalid");
    assert_eq!(admin.get("/api/plans").expect(200)["plans"].as_array().unwrap().len(), 1);
    let config = Setup { second_plan: true, ..Setup::default() }.config(kit.folder.as_ref().unwrap().path());
    *kit.fake.next_config.lock().unwrap() = Some(Ok(config));
    admin.post("/api/settings/reload", &json!({})).expect(200);
    assert_eq!(admin.get("/api/plans").expect(200)["plans"].as_array().unwrap().len(), 2);
    assert_eq!(admin.post("/api/backup/create", &json!({"plan": "second"})).status, 202);
}

/// Prints how fast the list is: `cargo test -p server --release -- --ignored the_list_is_fast --nocapture`.
#[test]
#[ignore = "a measurement"]
fn the_list_is_fast_over_ten_thousand_backups() {
    let kit = Kit::start();
    let begin: jiff::Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    for number in 0..10_000 {
        let started = begin + jiff::SignedDuration::from_hours(number);
        let id = engine::id::Id::generate().unwrap();
        let record =
            engine::catalog::backups::BackupRecord::running(id, "default", engine::manifest::Tier::Daily, started);
        kit.catalog.backup_finish(&record.finished(engine::manifest::State::Succeeded, started), None).unwrap();
    }
    let token = kit.token(&[engine::catalog::tokens::Scope::Read]);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let caller = kit.bearer(token.clone());
            std::thread::spawn(move || {
                let time = |path: &str| {
                    let started = std::time::Instant::now();
                    let answer = caller.request(Method::GET, path).send().unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().unwrap();
                    started.elapsed()
                };
                (0..250).map(|_| time("/api/backup")).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut times: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    times.sort();
    println!("list: median {:?}, p99 {:?}, worst {:?}", times[1000], times[1980], times[1999]);
    let admin = kit.admin();
    for path in ["/api/overview", "/api/statistics", "/metrics", "/api/backup?limit=500"] {
        let started = std::time::Instant::now();
        admin.request(Method::GET, path).send().unwrap().bytes().unwrap();
        println!("{path}: {:?}", started.elapsed());
    }
}
