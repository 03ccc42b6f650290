//! Who hears what: mail, web hooks, alarms.

use crate::fake::Fate;
use crate::kit::{FakeClock, Kit, Setup};
use engine::config::{Event, NotifySettings, PingSettings, SmtpSettings, WebhookSettings, WebhookTemplate};
use jiff::SignedDuration;
use serde_json::json;
use server::work::DiskFigures;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use testkit::smtp::{Behaviour, SmtpSink};

fn mail(sink: &SmtpSink) -> NotifySettings {
    NotifySettings {
        email_enabled: true,
        smtp: SmtpSettings {
            host: Some("127.0.0.1".to_owned()),
            port: Some(sink.address.port()),
            from: Some("Strongroom <backup@example.com>".to_owned()),
            to: vec!["ann@example.com".to_owned(), "bob@example.com".to_owned()],
            events: vec![Event::Success, Event::Partial, Event::Failure, Event::Cleanup, Event::LowDisk, Event::Stale],
            ..SmtpSettings::default()
        },
        ..NotifySettings::default()
    }
}

fn with(notify: NotifySettings) -> Setup {
    Setup { notify: Some(notify), ..Setup::default() }
}

#[test]
fn a_backup_is_reported_by_mail_as_it_came_out() {
    let sink = SmtpSink::start();
    let kit = with(mail(&sink)).start();
    let id = kit.backup();
    let mails = sink.wait_for(1);
    assert_eq!(mails[0].from, "backup@example.com");
    assert_eq!(mails[0].to, ["ann@example.com", "bob@example.com"]);
    assert_eq!(mails[0].header("subject").unwrap(), "[Strongroom] Backup of default (manual) succeeded");
    assert!(mails[0].header("message-id").unwrap().ends_with(".strongroom@example.com>"));
    assert!(mails[0].text.contains(&id) && mails[0].text.contains("text/html") && mails[0].text.contains("text/plain"));

    for (fate, subject) in [(Fate::Partial, "is incomplete"), (Fate::Fail, "failed")] {
        *kit.fake.fate.lock().unwrap() = fate;
        let seen = sink.mails().len();
        kit.admin().post("/api/backup/create", &json!({})).expect(202);
        let mails = sink.wait_for(seen + 1);
        let last = mails.last().unwrap();
        assert!(last.header("subject").unwrap().ends_with(subject), "{:?}", last.header("subject"));
        if fate == Fate::Fail {
            assert!(last.text.contains("the disk is full") && last.text.contains("Make room."));
        }
    }
}

#[test]
fn mail_that_is_refused_is_kept_over_a_restart_and_sent_once() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let sink = SmtpSink::start();
    let kit = with(mail(&sink)).start_at(clock.clone());
    let reported =
        |error: &str| kit.catalog.outbox_trouble("email").unwrap().is_some_and(|(_, text)| text.contains(error));
    for (behaviour, error) in [
        (Behaviour::Refuse, "no such mailbox"),
        (Behaviour::RefuseForNow, "mailbox busy"),
        (Behaviour::Drop, "incomplete response"),
    ] {
        sink.behave(behaviour);
        if behaviour == Behaviour::Refuse {
            kit.backup();
        }
        clock.advance(SignedDuration::from_mins(10));
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !reported(error) {
            let trouble = kit.catalog.outbox_trouble("email").unwrap();
            assert!(std::time::Instant::now() < until, "{behaviour:?}: {trouble:?}");
            kit.app().wake_outbox();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(sink.mails().is_empty());
    let alarms = kit.admin().get("/api/overview").expect(200)["alarms"].to_string();
    assert!(alarms.contains("email"), "{alarms}");
    let kit = kit.crash();
    sink.behave(Behaviour::Delay(Duration::from_millis(30)));
    clock.advance(SignedDuration::from_hours(2));
    kit.app().wake_outbox();
    sink.wait_for(1);
    clock.advance(SignedDuration::from_hours(2));
    let kit = kit.restart();
    kit.app().wake_outbox();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sink.mails().len(), 1, "once");
    assert_eq!(kit.catalog.outbox_count().unwrap().sent, 1);
    assert!(kit.catalog.outbox_trouble("email").unwrap().is_none());
}

#[test]
fn a_test_mail_says_what_the_server_answered() {
    let sink = SmtpSink::start();
    let kit = with(mail(&sink)).start();
    let admin = kit.admin();
    let sent = admin.post("/api/backup/test-email", &json!({})).expect(200);
    assert_eq!((&sent["channel"], &sent["message"]), (&json!("email"), &json!("250 taken")));
    sink.behave(Behaviour::Refuse);
    let refused = admin.post("/api/notifications/test", &json!({"channel": "email"}));
    assert_eq!(refused.refused(502), "external_failed");
    assert_eq!(admin.post("/api/notifications/test", &json!({"channel": "nothing"})).refused(409), "not_configured");
    let kit = Kit::start();
    assert_eq!(kit.admin().post("/api/backup/test-email", &json!({})).refused(409), "not_configured");
}

/// Answers 200 to everything and hands head and body over.
fn receiver() -> (SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).unwrap() > 2 {}
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse().unwrap())
            });
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
            if sender.send((head, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, received)
}

#[test]
fn web_hooks_are_signed_and_pings_follow_the_run() {
    let (address, received) = receiver();
    let hook = WebhookSettings {
        name: Some("ops".to_owned()),
        url: format!("http://{address}/hook"),
        template: WebhookTemplate::Generic,
        body: None,
        secret: Some("key".to_owned()),
        events: vec![Event::Failure],
    };
    let ping = |what: &str| Some(format!("http://{address}/ping/{what}"));
    let ping = PingSettings { start: ping("start"), success: ping("success"), failure: ping("failure") };
    let kit = with(NotifySettings { webhook: vec![hook], ping, ..NotifySettings::default() }).start();
    let next = || received.recv_timeout(Duration::from_secs(20)).unwrap();
    kit.backup();
    let mut seen = [next().0, next().0];
    seen.sort();
    assert!(seen[0].starts_with("GET /ping/start") && seen[1].starts_with("GET /ping/success"), "{seen:?}");

    *kit.fake.fate.lock().unwrap() = Fate::Fail;
    kit.admin().post("/api/backup/create", &json!({})).expect(202);
    let mut seen = [next(), next(), next()];
    seen.sort();
    assert!(seen[0].0.starts_with("GET /ping/failure") && seen[1].0.starts_with("GET /ping/start"));
    let (head, body) = &seen[2];
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name))).unwrap().1
    };
    assert_eq!(header("x-strongroom-event"), "failure");
    let document: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(header("x-strongroom-delivery"), document["id"]);
    let signature = header("x-strongroom-signature").strip_prefix("sha256=").unwrap();
    assert_eq!(signature.len(), 64);
    let channels = kit.admin().get("/api/notifications").expect(200);
    assert_eq!(channels["channels"][0]["target"], address.to_string(), "only the host is shown");
}

#[test]
fn alarms_are_told_once_a_day_and_not_again_after_a_restart() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let sink = SmtpSink::start();
    let notify = NotifySettings { low_disk_percent: 10, ..mail(&sink) };
    let mut setup = with(notify);
    setup.schedules = true;
    let kit = setup.start_at(clock.clone());
    kit.admin().post("/api/schedules/stop", &json!({})).expect(200);
    *kit.fake.disk.lock().unwrap() = Some(DiskFigures { total_bytes: 1000, free_bytes: 50, used_percent: 95.0 });
    server::watch::look(kit.app()).unwrap();
    server::watch::look(kit.app()).unwrap();
    let told = sink.wait_for(1);
    assert!(told[0].header("subject").unwrap().contains("50 B of 1000 B are free"));
    let kit = kit.restart();
    server::watch::look(kit.app()).unwrap();
    assert_eq!(kit.catalog.outbox_count().unwrap().sent + kit.catalog.outbox_count().unwrap().pending, 1);

    clock.advance(SignedDuration::from_hours(27));
    server::watch::look(kit.app()).unwrap();
    kit.app().wake_outbox();
    let subjects: Vec<String> = sink.wait_for(3).iter().map(|mail| mail.header("subject").unwrap()).collect();
    assert!(subjects.iter().any(|subject| subject.contains("no good backup at all")), "{subjects:?}");
    assert_eq!(subjects.iter().filter(|subject| subject.contains("are free")).count(), 2, "told again after a day");
    let alarms = kit.admin().get("/api/overview").expect(200)["alarms"].as_array().unwrap().len();
    assert_eq!(alarms, 2);
}

#[test]
fn a_run_that_takes_too_long_is_told() {
    let clock = FakeClock::at("2026-05-01T12:00:00Z");
    let sink = SmtpSink::start();
    let mut notify = mail(&sink);
    notify.smtp.events = vec![Event::LongRun];
    notify.max_run_minutes = Some(30);
    let kit = with(notify).start_at(clock.clone() as Arc<dyn engine::clock::Clock>);
    kit.fake.gate.close();
    let started = kit.admin().post("/api/backup/create", &json!({})).expect(202);
    kit.wait_for(started["id"].as_str().unwrap(), "running");
    server::watch::look(kit.app()).unwrap();
    assert_eq!(kit.catalog.outbox_count().unwrap().pending, 0);
    clock.advance(SignedDuration::from_mins(31));
    server::watch::look(kit.app()).unwrap();
    let mails = sink.wait_for(1);
    assert!(mails[0].header("subject").unwrap().contains("running for 31 min"));
}
