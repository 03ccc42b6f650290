//! Sidecars.

use crate::samples::{MANIFEST, key};
use vault::ErrorKind;
use vault::archive::sidecar::{Public, PublicComponent, decode, encode};

pub fn public(fingerprint: Option<String>) -> Public {
    Public {
        id: "0123456789ab".to_owned(),
        plan: "default".to_owned(),
        tier: "daily".to_owned(),
        state: "succeeded".to_owned(),
        started_at: "2026-01-02T03:04:05.678Z".to_owned(),
        finished_at: "2026-01-02T03:05:06.789Z".to_owned(),
        archive: "tar".to_owned(),
        location: "backup-2026-01-02T03-04-05-678Z-0123456789ab.tar.gz.enc".to_owned(),
        bytes: 12_345,
        sha256: Some("ab".repeat(32)),
        key_fingerprint: fingerprint,
        audit_head: None,
        components: vec![PublicComponent {
            name: "uploads".to_owned(),
            kind: "files".to_owned(),
            state: "succeeded".to_owned(),
            entries: 3,
            bytes: 10_000,
        }],
    }
}

#[test]
fn a_sealed_sidecar_shows_the_public_part_and_opens_with_the_key() {
    let public = public(Some(key(1).fingerprint()));
    let manifest = br#"{"description":"a secret plan"}"#;
    let bytes = encode(public.clone(), manifest, Some(&key(1))).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    let sidecar = decode(&bytes).unwrap();
    assert_eq!(sidecar.public, public);
    assert!(sidecar.is_sealed());
    assert_eq!(sidecar.manifest(&[key(2), key(1)]).unwrap(), manifest);
    assert_eq!(sidecar.manifest(&[key(2)]).unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(sidecar.manifest(&[]).unwrap_err().kind(), ErrorKind::NoKey);
}

#[test]
fn an_unencrypted_sidecar_holds_the_manifest_as_it_is() {
    let bytes = encode(public(None), MANIFEST, None).unwrap();
    let sidecar = decode(&bytes).unwrap();
    assert!(!sidecar.is_sealed());
    assert_eq!(sidecar.manifest(&[]).unwrap(), MANIFEST);
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["format"], "strongroom-sidecar");
    assert_eq!(json["startedAt"], "2026-01-02T03:04:05.678Z");
    assert_eq!(json["manifest"]["version"], 1);
}

#[test]
fn a_sidecar_that_is_none_too_new_or_altered_is_told_apart() {
    let kind = |bytes: &[u8]| decode(bytes).unwrap_err().kind();
    assert_eq!(kind(b""), ErrorKind::Damaged);
    assert_eq!(kind(b"{}"), ErrorKind::Damaged);
    assert_eq!(kind(br#"{"format":"other","version":1}"#), ErrorKind::NotABackup);
    assert_eq!(kind(br#"{"format":"strongroom-sidecar","version":2}"#), ErrorKind::Unsupported);
    assert_eq!(kind(br#"{"format":"strongroom-sidecar","version":1}"#), ErrorKind::Damaged);
    let bytes = encode(public(Some(key(1).fingerprint())), MANIFEST, Some(&key(1))).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let start = text.find("\"sealed\": \"").unwrap() + 11;
    let mut altered = text.into_bytes();
    altered[start + 60] = if altered[start + 60] == b'A' { b'B' } else { b'A' };
    assert_eq!(decode(&altered).unwrap().manifest(&[key(1)]).unwrap_err().kind(), ErrorKind::Damaged);
}
