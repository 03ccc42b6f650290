//! Mail through a real SMTP server (aiosmtpd): each event, STARTTLS, TLS from the first byte, signing in, and servers that
//! refuse, wait and hang up.

use super::{LONG, Service, token};
use crate::support::{App, KEY};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Writes each mail down as it was understood by Python's own parser. The file `behaviour` says how the next is treated.
const SERVER: &str = r#"
import asyncio, email, email.policy, itertools, json, os, socket, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
folder, mode, certificate, key = sys.argv[1:5]
numbers = itertools.count()
class Handler:
    async def handle_DATA(self, server, session, envelope):
        behaviour = open(folder + "/behaviour").read()
        open(folder + "/tries", "a").write(behaviour + "\n")
        if behaviour == "refuse": return "550 no such mailbox"
        if behaviour == "busy": return "451 try again later"
        if behaviour == "drop":
            server.transport.abort()
            return "250 OK"
        if behaviour == "delay": await asyncio.sleep(0.3)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,)).get_content()
        tls = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        document = dict(subject=mail["subject"], id=mail["message-id"], to=envelope.rcpt_tos, sender=envelope.mail_from,
                        text=part("plain"), html=part("html"), tls=tls, user=session.auth_data)
        name = f"{folder}/{next(numbers):03}.json"
        json.dump(document, open(name + ".new", "w"))
        os.rename(name + ".new", name)
        return "250 OK"
def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"backup" and data.password == b"secret of the mailbox"
    return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
kinds = {
    "plain": {},
    "starttls": dict(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True),
    "tls": dict(ssl_context=context, authenticator=authenticate, auth_required=True, auth_require_tls=False),
}
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=port, **kinds[mode])
controller.start()
print(port, flush=True)
sys.stdin.read()
"#;

/// A certificate of its own authority, for `localhost`.
const CERTIFICATE: &str = "[req]\ndistinguished_name = d\nx509_extensions = e\nprompt = no\n[d]\nCN = localhost\n[e]\nsubjectAltName = DNS:localhost\n";

type Env = Vec<(&'static str, String)>;

struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(app: &App, mode: &str) -> Self {
        let folder = app.path().join("mail");
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        std::fs::write(path("openssl.cnf"), CERTIFICATE).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args([
                "-config".as_ref(),
                path("openssl.cnf").as_os_str(),
                "-keyout".as_ref(),
                path("key.pem").as_os_str(),
            ])
            .args(["-out".as_ref(), path("certificate.pem").as_os_str()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let python = std::env::var("STRONGROOM_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process = Command::new(python)
            .args(["-c", SERVER])
            .args([folder.as_os_str(), mode.as_ref()])
            .args([path("certificate.pem"), path("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("aiosmtpd starts: is it installed for STRONGROOM_TEST_PYTHON?");
        let server = Self { process, port, folder };
        server.behave("take");
        server
    }

    fn behave(&self, how: &str) {
        std::fs::write(self.folder.join("behaviour"), how).unwrap();
    }

    /// The variables that send mail here.
    fn env(&self, mode: &str, password: &str) -> Env {
        let mut env = vec![
            ("BACKUP_EMAIL_ENABLED", "true".to_owned()),
            ("SMTP_HOST", "localhost".to_owned()),
            ("SMTP_PORT", self.port.to_string()),
            ("SMTP_SECURE", (mode == "tls").to_string()),
            ("BACKUP_EMAIL_FROM", "crm@example.com".to_owned()),
            ("BACKUP_EMAIL_TO", "ann@example.com, bob@example.com".to_owned()),
        ];
        if mode != "plain" {
            env.push(("SMTP_USER", "backup".to_owned()));
            env.push(("SMTP_PASSWORD", password.to_owned()));
            env.push(("SSL_CERT_FILE", self.folder.join("certificate.pem").display().to_string()));
        }
        env
    }

    fn mails(&self) -> Vec<Value> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&self.folder).unwrap().map(|one| one.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
    }

    fn tries(&self) -> usize {
        std::fs::read_to_string(self.folder.join("tries")).unwrap_or_default().lines().count()
    }

    /// The first mail whose subject holds this.
    fn wait_for(&self, subject: &str) -> Value {
        let until = Instant::now() + LONG;
        loop {
            let mails = self.mails();
            if let Some(mail) = mails.iter().find(|mail| mail["subject"].as_str().unwrap().contains(subject)) {
                return mail.clone();
            }
            let subjects: Vec<_> = mails.iter().map(|mail| &mail["subject"]).collect();
            assert!(Instant::now() < until, "no mail says {subject:?}: {subjects:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn service(app: &App, env: &Env) -> Service {
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Service::with(app, &token(app), &env)
}

fn change(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Both parts say it, and neither says a secret.
fn says(mail: &Value, wanted: &[&str]) {
    for part in ["text", "html"] {
        let text = mail[part].as_str().unwrap();
        for word in wanted {
            assert!(text.contains(word), "{word:?} is missing in the {part} part:\n{text}");
        }
        assert!(!text.contains(KEY) && !text.contains("secret of the mailbox"));
    }
    assert!(mail["html"].as_str().unwrap().starts_with("<!doctype html>"));
    assert_eq!(
        (&mail["sender"], &mail["to"]),
        (&json!("crm@example.com"), &json!(["ann@example.com", "bob@example.com"]))
    );
}

#[test]
fn each_event_is_mailed_in_words_that_help() {
    let app = App::new();
    let server = Server::start(&app, "plain");
    app.configure("[notify]\nlow_disk_percent = 99\nstale_after_hours = 1\n");
    let token = token(&app);
    // The service has known this application for a month.
    change(
        &app.path().join("backups/.strongroom/catalog.db"),
        "INSERT INTO settings VALUES ('service.first-start', '2026-01-01T00:00:00Z', 0, 'test')",
    );
    let env = server.env("plain", "");
    let service = Service::with(&app, &token, &env.iter().map(|(name, value)| (*name, &**value)).collect::<Vec<_>>());
    says(&server.wait_for("Strongroom started"), &["Version", "default", "Disk"]);
    says(&server.wait_for("has no good backup at all"), &["make a backup now"]);
    says(&server.wait_for("was ever proven to restore"), &["drill"]);
    says(&server.wait_for("are free where the backups lie"), &["Make room"]);

    let create = |body: &Value| service.job_over(&service.begin("/api/backup/create", body))["id"].clone();
    let id = create(&json!({"description": "before the update"}));
    let mail = server.wait_for("(manual) succeeded");
    let id = id.as_str().unwrap();
    says(&mail, &[id, "backup-", "before the update", "Duration", "Size", "uploads", "database", "Backups kept"]);

    app.configure(
        "[notify]\nlow_disk_percent = 99\nmax_run_minutes = 0\n[hooks.before_backup]\ncommand = \"rm -f let-go; while [ ! -e let-go ]; do sleep 0.1; done; exit 1\"\non_error = \"fail\"\n",
    );
    service.post("/api/settings/reload", &json!({}));
    let slow = service.begin("/api/backup/create", &json!({}));
    service.job_that(&slow, |job| job["state"] == "running");
    service.post("/api/settings/reload", &json!({}));
    says(&server.wait_for("has been running for"), &["cancel it"]);
    std::fs::write(app.path().join("let-go"), "").unwrap();
    service.job_over(&slow);
    says(&server.wait_for("(manual) failed"), &["the hook", "exit status: 1"]);

    service.begin("/api/backup/cleanup", &json!({}));
    says(&server.wait_for("Cleanup"), &["Backups kept"]);
}

#[test]
fn an_incomplete_backup_is_mailed_and_names_what_is_missing() {
    let app = App::new();
    let server = Server::start(&app, "plain");
    let env: String = server.env("plain", "").iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
    let file = app.path().join(".env");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "\n" + &env).unwrap();
    let secret = app.path().join("uploads/secret.pdf");
    std::fs::write(&secret, "x").unwrap();
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(app.path()).status().unwrap();
    assert!(given.success(), "this test gives files away, which needs root");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&secret, Some(0), Some(0)).unwrap();
    assert_eq!(app.run_as_nobody(&["backup", "--json"]).exit, 3);
    says(&server.wait_for("is incomplete"), &["secret.pdf", "What is wrong"]);
}

#[test]
fn a_critical_error_is_mailed_and_the_service_goes_on_when_it_is_gone() {
    let app = App::new();
    app.backup(&[]);
    let server = Server::start(&app, "plain");
    let token = token(&app);
    let journal = app.path().join("backups/.strongroom/restores/0123456789ab");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(journal.join("journal.json"), "{ no journal").unwrap();
    let mut command = app.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command.envs(server.env("plain", ""));
    let service = Service::spawn(&mut command, &token);
    says(&server.wait_for("could not be put in order"), &["journal"]);
    let (status, answer) = service.call(reqwest::Method::GET, "/readyz", None);
    assert_eq!(status, 503);
    assert!(answer["error"]["message"].as_str().unwrap().contains("journal"), "{answer}");
    std::fs::remove_dir_all(&journal).unwrap();
    service.post("/api/settings/reload", &json!({}));
    let id = service.begin("/api/backup/create", &json!({}));
    assert_eq!(service.job_over(&id)["state"], "succeeded", "the service went on by itself");
}

#[test]
fn mail_goes_through_tls_with_a_password_and_never_without() {
    for mode in ["starttls", "tls"] {
        let app = App::new();
        let server = Server::start(&app, mode);
        let service = service(&app, &server.env(mode, "secret of the mailbox"));
        let sent = service.post("/api/backup/test-email", &json!({}));
        assert!(sent["message"].as_str().unwrap().starts_with("250"), "{mode}: {sent}");
        let mail = server.wait_for("Test message");
        assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("backup")), "{mode}");
        drop(service);

        let refused = |change: &dyn Fn(&mut Env)| {
            let mut env = server.env(mode, "secret of the mailbox");
            change(&mut env);
            let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let name = app.ok(&["token", "list"]).as_array().unwrap().len().to_string();
            let token = app.ok(&["token", "create", &name, "--scope", "admin"])["token"].as_str().unwrap().to_owned();
            let service = Service::with(&app, &token, &env);
            let (status, answer) = service.call(reqwest::Method::POST, "/api/backup/test-email", Some(&json!({})));
            assert_eq!(status, 502, "{mode}: {answer}");
            answer["error"].to_string()
        };
        let set = |name: &'static str, value: &'static str| {
            move |env: &mut Env| {
                env.retain(|(known, _)| *known != name);
                env.push((name, value.to_owned()));
            }
        };
        let wrong = refused(&set("SMTP_PASSWORD", "guess"));
        assert!(wrong.contains("SMTP_PASSWORD") && !wrong.contains("guess"), "{mode}: {wrong}");
        let unknown = refused(&|env| env.retain(|(name, _)| *name != "SSL_CERT_FILE"));
        assert!(unknown.contains("certificate"), "an authority that nobody knows: {unknown}");
        if mode == "starttls" {
            let other = refused(&set("SMTP_SECURE", "true"));
            assert!(other.contains("SMTP_SECURE"), "{other}");
        }
    }
}

#[test]
fn a_stripped_starttls_does_not_cost_the_password() {
    let app = App::new();
    let server = Server::start(&app, "plain");
    let mut env = server.env("plain", "");
    // A name that is no loopback name, for a server that offers no TLS.
    env.retain(|(name, _)| *name != "SMTP_HOST");
    let host = "127.0.0.2".to_owned();
    env.extend([("SMTP_HOST", host), ("SMTP_USER", "backup".to_owned()), ("SMTP_PASSWORD", "secret".to_owned())]);
    let forward = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    env.retain(|(name, _)| *name != "SMTP_PORT");
    env.push(("SMTP_PORT", forward.local_addr().unwrap().port().to_string()));
    let port = server.port;
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in forward.incoming().flatten() {
            let mut upstream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut back, mut answers) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            let mut all = Vec::new();
            let mut line = Vec::new();
            let mut reader = BufReader::new(client);
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let _ = std::io::Write::write_all(&mut upstream, &line);
                all.append(&mut line);
            }
            let _ = said.send(String::from_utf8_lossy(&all).into_owned());
        }
    });
    let service = service(&app, &env);
    let (status, answer) = service.call(reqwest::Method::POST, "/api/backup/test-email", Some(&json!({})));
    assert_eq!(status, 502, "{answer}");
    let client = heard.recv_timeout(LONG).unwrap();
    assert!(client.contains("EHLO") && !client.contains("AUTH") && !client.contains("MAIL FROM"), "{client}");
}

#[test]
fn a_server_that_refuses_waits_or_hangs_up_gets_its_mail_in_the_end_and_once() {
    let app = App::new();
    let server = Server::start(&app, "plain");
    let token = token(&app);
    let env = server.env("plain", "");
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let catalog = app.path().join("backups/.strongroom/catalog.db");
    for (number, behaviour) in ["refuse", "busy", "drop", "delay"].into_iter().enumerate() {
        server.behave(behaviour);
        let service = Service::with(&app, &token, &env);
        let id = service.begin("/api/backup/create", &json!({}));
        assert_eq!(service.job_over(&id)["state"], "succeeded", "no mail server holds a backup up");
        let until = Instant::now() + LONG;
        while server.tries() < number + 1 {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(service);
    }
    // The times of the next tries have come.
    change(&catalog, "UPDATE outbox SET due_at = 0, lease_until = NULL WHERE state = 'pending'");
    server.behave("take");
    let service = Service::with(&app, &token, &env);
    let until = Instant::now() + LONG;
    while service.get("/api/backup/status")["outbox"]["pending"] != 0 {
        assert!(Instant::now() < until, "{}", service.get("/api/backup/status")["outbox"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    let mails = server.mails();
    let successes = mails.iter().filter(|mail| mail["subject"].as_str().unwrap().contains("succeeded"));
    let mut ids: Vec<&str> = successes.map(|mail| mail["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each of the four backups was reported: {mails:?}");
}
