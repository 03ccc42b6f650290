//! Signing in, cookies, other sites, rate limits, set-up, addresses.

use crate::kit::{Caller, FakeClock, Kit, PASSWORD, Setup, checked};
use engine::catalog::tokens::Scope;
use engine::catalog::users::Role;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

fn sign_in(caller: &Caller, name: &str, password: &str) -> crate::kit::Checked {
    caller.post("/api/session", &json!({"name": name, "password": password}))
}

#[test]
fn a_session_lives_in_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let kit = Kit::start();
    kit.user("ann", Role::Admin);
    let answer = sign_in(&kit.anonymous(), "Ann", PASSWORD);
    let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    assert!(!cookie.contains("Secure"), "no TLS here");
    assert_eq!(answer.expect(200)["role"], "ADMIN");

    let browser = kit.signed_in("ann");
    assert_eq!(browser.get("/api/session").expect(200)["via"], "session");
    browser.post("/api/backup/create", &json!({})).expect(202);
    assert_eq!(browser.delete("/api/session").expect(200)["ended"], true);
    assert_eq!(browser.get("/api/session").refused(401), "unauthenticated");
}

#[test]
fn what_another_site_makes_a_browser_send_is_refused() {
    let kit = Kit::start();
    kit.user("ann", Role::Admin);
    let browser = kit.signed_in("ann");
    let cookie = browser.headers[0].clone();
    let own = format!("http://{}", kit.address);
    for (headers, status) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "https://evil.example.com")], 403),
        (vec![("origin", "null")], 403),
        (vec![], 403),
        (vec![("origin", own.as_str())], 200),
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("x-requested-with", "strongroom")], 200),
        (vec![("sec-fetch-site", "cross-site"), ("x-requested-with", "strongroom")], 403),
    ] {
        let caller = Caller { headers: vec![cookie.clone()], ..browser.clone() };
        let request = caller.request(Method::POST, "/api/schedules/start");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        assert_eq!(checked(request.send().unwrap()).status, status, "{headers:?}");
    }
    let foreign = Caller { headers: vec![("sec-fetch-site", "cross-site".to_owned())], ..kit.anonymous() };
    assert_eq!(sign_in(&foreign, "ann", PASSWORD).refused(403), "cross_site");
}

#[test]
fn guessing_gets_slower_and_is_audited() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let kit = Setup::default().start_at(clock.clone());
    kit.user("ann", Role::Admin);
    let caller = kit.anonymous();
    for _ in 0..5 {
        assert_eq!(sign_in(&caller, "ann", "wrong password").refused(401), "unauthenticated");
    }
    let limited = sign_in(&caller, "ann", PASSWORD);
    assert_eq!(limited.headers["retry-after"], "1");
    assert_eq!(limited.refused(429), "rate_limited");
    clock.advance(SignedDuration::from_secs(2));
    assert_eq!(sign_in(&caller, "ann", PASSWORD).status, 200);
    let audit = kit.admin().get("/api/audit?action=session.sign-in&outcome=refused").expect(200);
    assert_eq!(audit["total"], 5);
    assert_eq!(audit["entries"][0]["origin"], "127.0.0.1");
    assert!(!audit.to_string().contains("wrong password\"}") || !audit.to_string().contains(PASSWORD));
}

#[test]
fn unknown_names_and_wrong_passwords_look_alike() {
    let kit = Kit::start();
    kit.user("ann", Role::Admin);
    let wrong = sign_in(&kit.anonymous(), "ann", "nonsense").body;
    assert_eq!(sign_in(&kit.anonymous(), "nobody", "nonsense").body, wrong);
    for body in [json!({}), json!({"name": "ann"}), json!({"name": 1, "password": 2}), json!(null)] {
        assert_eq!(kit.anonymous().post("/api/session", &body).refused(400), "usage");
    }
}

#[test]
fn sessions_end_when_idle_at_their_time_and_with_a_new_password() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let kit = Setup::default().start_at(clock.clone());
    kit.user("ann", Role::Admin);
    let idle = kit.signed_in("ann");
    clock.advance(SignedDuration::from_hours(5));
    assert_eq!(idle.get("/api/session").refused(401), "unauthenticated");
    let used = kit.signed_in("ann");
    for _ in 0..3 {
        clock.advance(SignedDuration::from_hours(3));
        used.get("/api/session").expect(200);
    }
    clock.advance(SignedDuration::from_hours(4));
    assert_eq!(used.get("/api/session").refused(401), "unauthenticated");

    let (here, there) = (kit.signed_in("ann"), kit.signed_in("ann"));
    let change =
        |old: &str, new: &str| here.put("/api/session/password", &json!({"oldPassword": old, "newPassword": new}));
    assert_eq!(change("wrong", "another good password").refused(403), "forbidden");
    assert_eq!(change(PASSWORD, "short").refused(400), "usage");
    assert_eq!(change(PASSWORD, "another good password").status, 200);
    assert_eq!(there.get("/api/session").refused(401), "unauthenticated");
    assert_eq!(sign_in(&kit.anonymous(), "ann", "another good password").status, 200);
}

#[test]
fn sessions_are_seen_and_ended_by_their_owner_and_by_administrators() {
    let kit = Kit::start();
    kit.user("ann", Role::Admin);
    kit.user("bob", Role::Viewer);
    let (ann, bob) = (kit.signed_in("ann"), kit.signed_in("bob"));
    let sessions = |caller: &Caller| caller.get("/api/sessions").expect(200)["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions(&ann).len(), 2);
    assert_eq!(sessions(&bob).len(), 1);
    assert_eq!(sessions(&bob)[0]["current"], true);
    let id_of =
        |user: &str| sessions(&ann).iter().find(|one| one["user"] == user).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(bob.delete(&format!("/api/sessions/{}", id_of("ann"))).refused(404), "not_found");
    ann.delete(&format!("/api/sessions/{}", id_of("bob"))).expect(200);
    assert_eq!(bob.get("/api/session").refused(401), "unauthenticated");
}

#[test]
fn the_set_up_link_works_once_and_leads_to_the_recovery_kit() {
    let kit = Kit::start();
    let link = kit.setup_link.clone().unwrap();
    let token = link.split_once("#token=").unwrap().1.to_owned();
    assert_eq!(kit.anonymous().get("/api/setup").expect(200)["needed"], true);
    let set_up = |token: &str, password: &str| {
        kit.anonymous().post("/api/setup", &json!({"token": token, "name": "ann", "password": password}))
    };
    assert_eq!(set_up("guess", PASSWORD).refused(403), "forbidden");
    assert_eq!(set_up(&token, "short").refused(400), "usage");
    let done = set_up(&token, PASSWORD);
    let cookie = done.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    done.expect(200);
    assert_eq!(set_up(&token, PASSWORD).refused(403), "forbidden");
    assert_eq!(kit.anonymous().get("/api/setup").expect(200)["needed"], false);
    let ann = Caller { headers: vec![("cookie", cookie)], ..kit.anonymous() };
    let answer = ann.request(Method::GET, "/api/recovery-kit").send().unwrap();
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("recovery-kit"));
    assert_eq!(answer.text().unwrap(), "the recovery kit");
    assert!(kit.restart().setup_link.is_none(), "no link once there is an administrator");
}

#[test]
fn a_set_up_link_ends_after_a_day_and_with_another_administrator() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let kit = Setup::default().start_at(clock.clone());
    let token = kit.setup_link.clone().unwrap().split_once("#token=").unwrap().1.to_owned();
    clock.advance(SignedDuration::from_hours(25));
    let body = json!({"token": token, "name": "eve", "password": PASSWORD});
    assert_eq!(kit.anonymous().post("/api/setup", &body).refused(403), "forbidden");
    let kit = kit.restart();
    let token = kit.setup_link.clone().unwrap().split_once("#token=").unwrap().1.to_owned();
    kit.user("ann", Role::Admin);
    let body = json!({"token": token, "name": "eve", "password": PASSWORD});
    assert_eq!(kit.anonymous().post("/api/setup", &body).refused(403), "forbidden");
}

#[test]
fn users_and_tokens_are_made_changed_and_ended() {
    let kit = Kit::start();
    let admin = kit.admin();
    let ann = json!({"name": "Ann", "role": "ADMIN", "password": PASSWORD, "email": "ann@example.com"});
    assert_eq!(admin.post("/api/users", &ann).expect(201)["name"], "ann");
    assert_eq!(admin.post("/api/users", &ann).refused(409), "refused");
    for wrong in [
        json!({"name": "", "role": "ADMIN", "password": PASSWORD}),
        json!({"name": "a b", "role": "ADMIN", "password": PASSWORD}),
        json!({"name": "bob", "role": "ROOT", "password": PASSWORD}),
        json!({"name": "bob", "role": "ADMIN", "password": "short"}),
        json!({"name": "bob", "role": "ADMIN"}),
        json!({"name": "bob", "role": "ADMIN", "password": PASSWORD, "email": "nonsense"}),
    ] {
        assert_eq!(admin.post("/api/users", &wrong).refused(400), "usage", "{wrong}");
    }
    assert_eq!(admin.patch("/api/users/ann", &json!({"role": "VIEWER"})).refused(409), "refused");
    assert_eq!(admin.delete("/api/users/ann").refused(409), "refused");
    assert_eq!(admin.patch("/api/users/none", &json!({"role": "VIEWER"})).refused(404), "not_found");
    admin.post("/api/users", &json!({"name": "bob", "role": "ADMIN", "password": PASSWORD})).expect(201);
    assert_eq!(admin.patch("/api/users/bob", &json!({"role": "VIEWER"})).expect(200)["role"], "VIEWER");
    let list = admin.get("/api/users").expect(200);
    assert!(!list.to_string().contains("argon2"), "hashes stay here");
    admin.delete("/api/users/bob").expect(200);

    let made = admin.post("/api/tokens", &json!({"name": "ci", "scopes": ["backup"], "expiresInDays": 30})).expect(201);
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("srt_") && secret.len() == 68);
    let ci = kit.bearer(secret.clone());
    ci.post("/api/backup/create", &json!({})).expect(202);
    assert_eq!(ci.get("/api/backup").refused(403), "forbidden");
    assert!(!admin.get("/api/tokens").expect(200).to_string().contains(&secret));
    for wrong in [
        json!({"name": "ci", "scopes": []}),
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "x", "scopes": ["everything"]}),
        json!({"name": "x", "scopes": ["read"], "expiresInDays": 0}),
    ] {
        assert_eq!(admin.post("/api/tokens", &wrong).refused(400), "usage", "{wrong}");
    }
    assert_eq!(admin.post("/api/tokens", &json!({"name": "ci", "scopes": ["read"]})).refused(409), "refused");
    admin.delete("/api/tokens/ci").expect(200);
    assert_eq!(ci.post("/api/backup/create", &json!({})).refused(401), "unauthenticated");
    assert_eq!(admin.delete("/api/tokens/ci").refused(404), "not_found");
}

#[test]
fn only_allowed_addresses_get_in_and_only_trusted_proxies_speak_for_others() {
    let through = |caller: &Caller, forwarded: &str| {
        let request = caller.request(Method::GET, "/api/session").header("x-forwarded-for", forwarded);
        checked(request.send().unwrap())
    };
    let lists = |allow: &[&str], proxies: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Setup::default().config(folder.path());
        config.server.allow = allow.iter().map(|block| block.parse().unwrap()).collect();
        config.server.trusted_proxies = proxies.iter().map(|block| block.parse().unwrap()).collect();
        Kit::over(folder, config, std::sync::Arc::new(engine::clock::SystemClock))
    };
    let kit = lists(&["203.0.113.0/24"], &[]);
    let admin = kit.admin();
    assert_eq!(admin.get("/api/session").refused(403), "forbidden");
    assert_eq!(kit.anonymous().get("/").refused(403), "forbidden");
    assert_eq!(through(&admin, "203.0.113.7").refused(403), "forbidden", "nobody vouches for that header");
    admin.get("/healthz").expect(200);
    admin.get("/readyz").expect(200);

    let kit = lists(&["203.0.113.0/24"], &["127.0.0.0/8", "10.0.0.0/8"]);
    let admin = kit.admin();
    through(&admin, "203.0.113.7").expect(200);
    through(&admin, "198.51.100.1, 203.0.113.7, 10.1.2.3").expect(200);
    assert_eq!(
        through(&admin, "203.0.113.7, 198.51.100.1").refused(403),
        "forbidden",
        "the leftmost is anybody's word"
    );
    assert_eq!(through(&admin, "nonsense").refused(403), "forbidden");
    through(&admin, "[2001:db8::1]:4711, 203.0.113.7:1234").expect(200);
    assert_eq!(admin.get("/api/session").refused(403), "forbidden");
}

#[test]
fn every_refusal_is_in_the_audit_log_and_a_flood_is_counted() {
    let kit = Kit::start();
    kit.anonymous().get("/api/backup").refused(401);
    let reader = kit.bearer(kit.token(&[Scope::Read]));
    reader.post("/api/backup/create", &json!({})).refused(403);
    let admin = kit.admin();
    let audit = admin.get("/api/audit?action=access.denied").expect(200);
    assert_eq!(audit["entries"][0]["subject"], "POST /api/backup/create");
    assert!(audit["entries"][0]["actor"].as_str().unwrap().starts_with("token:"));
    assert_eq!(audit["entries"][1]["actor"], "anonymous");
    for _ in 0..100 {
        kit.anonymous().get("/api/backup").refused(401);
    }
    let total = admin.get("/api/audit?action=access.denied").expect(200)["total"].as_u64().unwrap();
    assert!((30..=61).contains(&total), "{total}");
    let verified = admin.get("/api/audit/verify").expect(200);
    assert_eq!((&verified["good"], &verified["problems"]), (&Value::Bool(true), &json!([])));
}
