//! Clients that are slow on purpose, come in crowds, or ask before the service can work.

use crate::fake::Fake;
use crate::kit::{Kit, Setup};
use engine::catalog::Catalog;
use engine::clock::SystemClock;
use serde_json::json;
use server::{CONNECTIONS_MAX, Patience};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

fn impatient(patience: Patience) -> Kit {
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::default().config(folder.path());
    let catalog = Arc::new(Catalog::open(&folder.path().join("catalog.db")).unwrap());
    let fake = Arc::new(Fake::new(catalog, Arc::new(SystemClock), config));
    Kit::patient(folder, fake, patience).unwrap()
}

fn connect(kit: &Kit) -> TcpStream {
    let stream = TcpStream::connect(kit.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Everything until the service closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the service keeps the connection: {bytes:?}");
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_client_that_never_ends_its_request_is_broken_off() {
    let kit = impatient(Patience { head: SHORT, body: SHORT, ..Patience::default() });
    for begun in ["", "P", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: here\r\nX-Slow: a"] {
        let mut stream = connect(&kit);
        stream.write_all(begun.as_bytes()).unwrap();
        assert!(!rest(&mut stream).contains("200 OK"), "{begun:?}");
    }
    let mut stream = connect(&kit);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 200 OK"), "answered, and closed when nothing more comes");
    let mut stream = connect(&kit);
    let head =
        "POST /api/session HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 400"), "a body that does not come to its end");
}

#[test]
fn a_download_that_nobody_takes_is_broken_off() {
    let kit = impatient(Patience { answer: SHORT, ..Patience::default() });
    // More than fits into the buffers of both ends.
    *kit.fake.content.lock().unwrap() = vec![7; 64 << 20];
    let id = kit.backup();
    let token = kit.token(&[engine::catalog::tokens::Scope::Admin]);
    let mut stream = connect(&kit);
    let head = format!("GET /api/backup/{id}/download HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let until = Instant::now() + LONG;
    while stream.write_all(b"x").is_ok() {
        assert!(Instant::now() < until, "the service keeps the connection");
        std::thread::sleep(Duration::from_millis(20));
    }
    kit.anonymous().get("/healthz").expect(200);
}

#[test]
fn a_crowd_is_held_off_and_those_who_are_in_are_answered() {
    let kit = Kit::start();
    let ask = |mut stream: &TcpStream| {
        let mut answer = [0; 12];
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n");
        asked.and_then(|()| stream.read_exact(&mut answer)).is_ok_and(|()| &answer == b"HTTP/1.1 200")
    };
    // Each is known to be in before the next one comes.
    let mut crowd: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(&kit)).collect();
    assert!(crowd.iter().all(ask));
    assert!(!ask(&connect(&kit)), "one too many");
    crowd.pop();
    let until = Instant::now() + LONG;
    while !ask(&connect(&kit)) {
        assert!(Instant::now() < until, "a place became free");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear() {
    for (listen, allowed, starts) in
        [("0.0.0.0:0", false, false), ("[::]:0", false, false), ("0.0.0.0:0", true, true), ("[::1]:0", false, true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Setup::default().config(folder.path());
        config.server.listen = listen.parse().unwrap();
        config.server.allow_plain_http = allowed;
        match Kit::try_over(folder, config, Arc::new(SystemClock)) {
            Ok(_) => assert!(starts, "{listen}"),
            // A machine without IPv6 cannot listen there at all.
            Err(error) if starts => assert_eq!(error.kind(), engine::ErrorKind::Io, "{listen}"),
            Err(error) => assert!(error.message().contains("there is no TLS"), "{listen}: {}", error.message()),
        }
    }
}

#[test]
fn the_service_is_ready_when_what_a_crash_left_is_in_order_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::default().config(folder.path());
    let catalog = Arc::new(Catalog::open(&folder.path().join("catalog.db")).unwrap());
    let fake = Arc::new(Fake::new(catalog, Arc::new(SystemClock), config));
    fake.beyond_recovery.store(true, Ordering::SeqCst);
    let kit = Kit::with(folder, fake);
    let until = Instant::now() + LONG;
    let refusal = loop {
        let answer = kit.anonymous().get("/readyz");
        assert_eq!(answer.status, 503, "{}", answer.body);
        let message = answer.body["error"]["message"].as_str().unwrap().to_owned();
        if message.contains("could not be put in order") {
            break message;
        }
        assert!(Instant::now() < until, "{message}");
    };
    assert!(refusal.contains("the journal cannot be read"), "{refusal}");
    kit.anonymous().get("/healthz").expect(200);
    let admin = kit.admin();
    assert_eq!(admin.get("/api/backup/status").expect(200)["scheduler"]["initialized"], false);
    let waiting = admin.post("/api/backup/create", &json!({})).expect(202);
    let id = waiting["id"].as_str().unwrap();
    assert_eq!(admin.get(&format!("/api/jobs/{id}")).expect(200)["state"], "queued", "nothing is done before");
    kit.fake.beyond_recovery.store(false, Ordering::SeqCst);
    kit.app().wake_scheduler();
    kit.wait_for(id, "succeeded");
    kit.ready();
    kit.anonymous().get("/readyz").expect(200);
    assert_eq!(admin.get("/api/backup/status").expect(200)["scheduler"]["initialized"], true);
}
