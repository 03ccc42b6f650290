//! TLS from certificate files.

use crate::kit::{Kit, PASSWORD, Setup};
use engine::catalog::users::Role;
use std::path::PathBuf;

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/server/keys").join(name)
}

fn kit(chain: &str, key: &str) -> Result<Kit, engine::Error> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Setup::default().config(folder.path());
    config.server.tls = Some((key_file(chain), key_file(key)));
    Kit::try_over(folder, config, std::sync::Arc::new(engine::clock::SystemClock))
}

#[test]
fn behind_tls_cookies_are_secure_and_plain_http_gets_nothing() {
    let kit = kit("tls.crt.pem", "tls.pem").unwrap();
    kit.user("ann", Role::Admin);
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(key_file("tls.crt.pem")).unwrap()).unwrap();
    let client = reqwest::blocking::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let url = |path: &str| format!("https://localhost:{}{path}", kit.address.port());
    let answer = client
        .post(url("/api/session"))
        .json(&serde_json::json!({"name": "ann", "password": PASSWORD}))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["set-cookie"].to_str().unwrap().contains("; Secure"));
    assert!(answer.headers().contains_key("strict-transport-security"));
    assert!(client.get(kit.url("/healthz")).send().is_err(), "no answer in the clear");
    assert!(kit.setup_link.is_none() || kit.setup_link.as_ref().unwrap().starts_with("https://"));
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start_and_says_which() {
    for (chain, key) in [("tls.crt.pem", "ec.pem"), ("none.pem", "tls.pem"), ("tls.crt.pem", "README.md")] {
        let error = kit(chain, key).err().unwrap();
        assert_eq!(error.kind(), engine::ErrorKind::Config, "{chain} {key}");
        assert!(error.message().contains(".pem") || error.message().contains(".md"), "{}", error.message());
    }
}
