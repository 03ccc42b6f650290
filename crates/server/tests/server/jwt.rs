//! The host application's JSON web tokens, good and forged.

use crate::kit::{Caller, Kit, Setup};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::config::{JwtAlgorithm, JwtSettings};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const RSA: [&[u8]; 2] = [include_bytes!("keys/rsa1.pem"), include_bytes!("keys/rsa2.pem")];
const RSA_PUBLIC: &[u8] = include_bytes!("keys/rsa1.pub.pem");
const EC: &[u8] = include_bytes!("keys/ec.pem");
const SECRET: &str = "the host application's secret, long enough";

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/server/keys").join(name)
}

fn settings(algorithm: JwtAlgorithm) -> JwtSettings {
    JwtSettings {
        algorithm: Some(algorithm),
        issuer: Some("https://app.example.com".to_owned()),
        audience: Some("strongroom".to_owned()),
        ..JwtSettings::default()
    }
}

fn kit(jwt: JwtSettings) -> Kit {
    Setup { jwt: Some(jwt), ..Setup::default() }.start()
}

fn hs256() -> Kit {
    kit(JwtSettings { secret: Some(SECRET.to_owned()), ..settings(JwtAlgorithm::Hs256) })
}

fn claims() -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({"sub": "ann", "role": "ADMIN", "iss": "https://app.example.com", "aud": "strongroom", "exp": now + 600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn status(kit: &Kit, token: String) -> u16 {
    kit.bearer(token).get("/api/backup").status
}

#[test]
fn the_claim_role_decides_as_for_other_people() {
    let kit = hs256();
    let admin: Caller = kit.bearer(signed(&claims()));
    assert_eq!(
        admin.get("/api/session").expect(200),
        json!({
            "name": "ann", "role": "ADMIN", "scopes": ["metrics", "read", "backup", "restore", "admin"], "via": "jwt"
        })
    );
    admin.post("/api/backup/create", &json!({})).expect(202);
    let viewer = kit.bearer(signed(&with("role", json!("VIEWER"))));
    viewer.get("/api/backups").expect(200);
    assert_eq!(viewer.get("/api/backup").refused(403), "forbidden");
    assert_eq!(admin.get("/api/audit?actor=jwt:ann&action=backup").expect(200)["total"], 1);
}

#[test]
fn a_token_with_a_wrong_claim_is_refused() {
    let kit = hs256();
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(status(&kit, signed(&claims())), 200);
    for (name, value) in [
        ("exp", json!(now - 3600)),
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("nbf", json!(now + 3600)),
        ("iss", json!("https://evil.example.com")),
        ("iss", Value::Null),
        ("aud", json!("another")),
        ("aud", Value::Null),
        ("role", json!("ROOT")),
        ("role", json!(["ADMIN"])),
        ("role", Value::Null),
    ] {
        assert_eq!(status(&kit, signed(&with(name, value.clone()))), 401, "{name} = {value}");
    }
    let mut without = claims();
    without.as_object_mut().unwrap().remove("exp");
    assert_eq!(status(&kit, signed(&without)), 401);
}

#[test]
fn forged_tokens_are_refused() {
    let kit = hs256();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&claims());
    for algorithm in ["none", "None", "NONE", "HS384", "RS256", "EdDSA"] {
        let head = part(&json!({"alg": algorithm, "typ": "JWT"}));
        for signature in ["", "AAAA"] {
            assert_eq!(status(&kit, format!("{head}.{body}.{signature}")), 401, "{algorithm}");
        }
    }
    let good = signed(&claims());
    let (rest, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(status(&kit, format!("{rest}.")), 401);
    assert_eq!(status(&kit, rest.to_owned()), 401);
    let changed = if signature.starts_with('A') { "B" } else { "A" };
    assert_eq!(status(&kit, format!("{rest}.{changed}{}", &signature[1..])), 401);
    let other = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(b"guess")).unwrap();
    assert_eq!(status(&kit, other), 401);
    let longer =
        encode(&Header::new(Algorithm::HS512), &claims(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    assert_eq!(status(&kit, longer), 401);
    for nonsense in ["", "a.b.c", "....", "\u{e4}"] {
        let refused = kit.anonymous().client.get(kit.url("/api/backup")).bearer_auth(nonsense).send();
        assert!(refused.is_err() || refused.unwrap().status() == 401, "{nonsense:?}");
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let kit = kit(JwtSettings { public_key: Some(key_file("rsa1.pub.pem")), ..settings(JwtAlgorithm::Rs256) });
    let good = encode(&Header::new(Algorithm::RS256), &claims(), &EncodingKey::from_rsa_pem(RSA[0]).unwrap()).unwrap();
    assert_eq!(status(&kit, good), 200);
    let confused = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(RSA_PUBLIC)).unwrap();
    assert_eq!(status(&kit, confused), 401);
    let other = encode(&Header::new(Algorithm::RS256), &claims(), &EncodingKey::from_rsa_pem(RSA[1]).unwrap()).unwrap();
    assert_eq!(status(&kit, other), 401);
}

#[test]
fn an_elliptic_key_works_too() {
    let kit = kit(JwtSettings { public_key: Some(key_file("ec.pub.pem")), ..settings(JwtAlgorithm::Es256) });
    let good = encode(&Header::new(Algorithm::ES256), &claims(), &EncodingKey::from_ec_pem(EC).unwrap()).unwrap();
    assert_eq!(status(&kit, good), 200);
}

#[test]
fn without_a_configured_algorithm_no_web_token_is_accepted() {
    assert_eq!(status(&Kit::start(), signed(&claims())), 401);
}

/// Serves the key set that stands in it, and counts.
fn publisher() -> (String, Arc<Mutex<JwkSet>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let keys = Arc::new(Mutex::new(JwkSet { keys: Vec::new() }));
    let asked = Arc::new(AtomicUsize::new(0));
    let (shared, count) = (Arc::clone(&keys), Arc::clone(&asked));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            count.fetch_add(1, Ordering::SeqCst);
            let body = serde_json::to_string(&*shared.lock().unwrap()).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (url, keys, asked)
}

fn published(number: usize) -> Jwk {
    let key = EncodingKey::from_rsa_pem(RSA[number]).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
    jwk.common.key_id = Some(format!("key-{number}"));
    jwk
}

fn signed_by(number: usize) -> String {
    let header = Header { kid: Some(format!("key-{number}")), ..Header::new(Algorithm::RS256) };
    encode(&header, &claims(), &EncodingKey::from_rsa_pem(RSA[number]).unwrap()).unwrap()
}

#[test]
fn published_keys_rotate_without_a_restart() {
    let (url, keys, asked) = publisher();
    keys.lock().unwrap().keys = vec![published(0)];
    let clock = crate::kit::FakeClock::at(&jiff::Timestamp::now().to_string());
    let jwt = JwtSettings { jwks_url: Some(url), ..settings(JwtAlgorithm::Rs256) };
    let kit = Setup { jwt: Some(jwt), ..Setup::default() }.start_at(clock.clone());
    assert_eq!(status(&kit, signed_by(0)), 200);
    assert_eq!(status(&kit, signed_by(0)), 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "fetched once");
    keys.lock().unwrap().keys = vec![published(1)];
    assert_eq!(status(&kit, signed_by(1)), 401, "asked for a moment ago");
    clock.advance(jiff::SignedDuration::from_secs(31));
    assert_eq!(status(&kit, signed_by(1)), 200, "rotated");
    assert_eq!(status(&kit, signed_by(0)), 401, "the old key is gone");
    for _ in 0..20 {
        assert_eq!(status(&kit, signed_by(0)), 401);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "unknown keys are no way to keep us fetching");
}
