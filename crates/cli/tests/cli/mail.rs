//! Mail through a real SMTP server (aiosmtpd): a backup that the shell or cron starts tells people what became of it.

use crate::support::App;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SERVER: &str = r"
import sys
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
import socket
with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
controller = Controller(Mailbox(sys.argv[1]), hostname='127.0.0.1', port=port)
controller.start()
print(port, flush=True)
sys.stdin.read()
";

struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn start(mailbox: &Path) -> Self {
        let python = std::env::var("STRONGROOM_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process = Command::new(python)
            .args(["-c", SERVER])
            .arg(mailbox)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.trim().is_empty(), "aiosmtpd did not start: is it installed for STRONGROOM_TEST_PYTHON?");
        Self { process, port: port.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn mails(mailbox: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(mailbox.join("new")) else { return Vec::new() };
    entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn success_and_failure_are_mailed_and_hold_no_secret() {
    let app = App::new();
    let mailbox = app.path().join("mailbox");
    let server = Server::start(&mailbox);
    let env = std::fs::read_to_string(app.path().join(".env")).unwrap();
    let mail = format!(
        "BACKUP_EMAIL_ENABLED=true\nSMTP_HOST=127.0.0.1\nSMTP_PORT={}\nSMTP_SECURE=false\nBACKUP_EMAIL_FROM=crm@example.com\nBACKUP_EMAIL_TO=admin@example.com\n",
        server.port
    );
    std::fs::write(app.path().join(".env"), env + &mail).unwrap();
    let record = app.backup(&[]);
    let first = mails(&mailbox);
    assert_eq!(first.len(), 1, "{first:?}");
    for wanted in
        [record["id"].as_str().unwrap(), "admin@example.com", "text/html", "text/plain", "database", "uploads"]
    {
        assert!(first[0].contains(wanted), "{wanted} is missing:\n{}", first[0]);
    }
    assert!(!first[0].contains(crate::support::KEY));
    std::fs::remove_file(app.database()).unwrap();
    app.run(&["backup", "--component", "database"]);
    let both = mails(&mailbox);
    assert_eq!(both.len(), 2, "a failure is mailed too: {both:?}");
}
