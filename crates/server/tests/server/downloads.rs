//! Downloads: whole, in part, resumed, of one file.

use crate::kit::{Kit, checked};
use reqwest::Method;
use sha2::{Digest, Sha256};

fn kit(bytes: usize) -> (Kit, String, Vec<u8>) {
    let kit = Kit::start();
    let content: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    kit.fake.content.lock().unwrap().clone_from(&content);
    let id = kit.backup();
    (kit, id, content)
}

#[test]
fn a_download_is_whole_and_says_its_hash() {
    let (kit, id, content) = kit(3_000_000);
    let answer = kit.admin().request(Method::GET, &format!("/api/backup/{id}/download")).send().unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-checksum-sha256"), hex::encode(Sha256::digest(&content)));
    assert!(header("digest").starts_with("sha-256="));
    assert_eq!(header("content-length"), content.len().to_string());
    assert_eq!(header("accept-ranges"), "bytes");
    assert!(header("content-disposition").contains(&format!("filename=\"backup-{id}.tar.gz\"")));
    assert!(answer.headers().get("content-encoding").is_none());
    assert_eq!(answer.bytes().unwrap(), content);
}

#[test]
fn an_interrupted_download_resumes() {
    let (kit, id, content) = kit(1_000_000);
    let admin = kit.admin();
    let path = format!("/api/backup/{id}/download");
    let first = admin.request(Method::GET, &path).header("range", "bytes=0-399999").send().unwrap();
    assert_eq!(first.status(), 206);
    assert_eq!(first.headers()["content-range"], "bytes 0-399999/1000000");
    let etag = first.headers()["etag"].clone();
    let mut joined = first.bytes().unwrap().to_vec();
    let rest =
        admin.request(Method::GET, &path).header("range", "bytes=400000-").header("if-range", etag).send().unwrap();
    assert_eq!(rest.status(), 206);
    joined.extend(rest.bytes().unwrap());
    assert_eq!(joined, content);
    let changed = admin.request(Method::GET, &path).header("range", "bytes=5-").header("if-range", "\"x\"");
    assert_eq!(changed.send().unwrap().status(), 200);
    let outside = checked(admin.request(Method::GET, &path).header("range", "bytes=1000000-").send().unwrap());
    assert_eq!(outside.headers["content-range"], "bytes */1000000");
    assert_eq!(outside.refused(416), "range_not_satisfiable");
}

#[test]
fn a_head_request_costs_nothing_and_says_the_size() {
    let (kit, id, _) = kit(500_000);
    let answer = kit.admin().request(Method::HEAD, &format!("/api/backup/{id}/download")).send().unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &"500000".parse().unwrap()));
}

#[test]
fn a_store_that_ends_early_breaks_the_download_off() {
    let (kit, id, _) = kit(500_000);
    let whole = kit.fake.content.lock().unwrap().clone();
    let download = || {
        let request = kit.admin().request(Method::GET, &format!("/api/backup/{id}/download"));
        request.send().and_then(reqwest::blocking::Response::bytes)
    };
    kit.fake.content.lock().unwrap().truncate(300_000);
    // The connection may be gone before the answer's head left it.
    let broken = download().expect_err("half a backup must not look like a whole one");
    assert!(broken.is_body() || broken.is_decode() || broken.is_request(), "{broken:?}");
    kit.fake.content.lock().unwrap().clone_from(&whole);
    assert_eq!(download().unwrap(), whole);
}

#[test]
fn one_file_comes_out_of_a_backup_and_both_are_audited() {
    let (kit, id, _) = kit(10);
    let admin = kit.admin();
    let answer = admin.request(Method::GET, &format!("/api/backup/{id}/file?path=uploads/a.txt")).send().unwrap();
    assert_eq!(
        answer.headers()["content-disposition"].to_str().unwrap().split(';').nth(1),
        Some(" filename=\"a.txt\"")
    );
    assert_eq!(answer.text().unwrap(), "hello");
    admin.request(Method::GET, &format!("/api/backup/{id}/download")).send().unwrap();
    for action in ["backup.download", "backup.download-file"] {
        assert_eq!(admin.get(&format!("/api/audit?action={action}")).expect(200)["total"], 1, "{action}");
    }
}
