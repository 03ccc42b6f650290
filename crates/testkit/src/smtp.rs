//! A mail server for tests: takes mail on a loopback port, or refuses it, delays it, drops the connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the server behaves from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes everything.
    Accept,
    /// Answers `450`: try again later.
    RefuseForNow,
    /// Answers `550`: no such mailbox.
    Refuse,
    /// Answers each command after so long.
    Delay(Duration),
    /// Closes the connection in the middle of the message.
    Drop,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Envelope sender.
    pub from: String,
    /// Envelope receivers.
    pub to: Vec<String>,
    /// Headers and body as they came, lines ended by `\n`.
    pub text: String,
}

impl Mail {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    mails: Mutex<Vec<Mail>>,
    arrived: Condvar,
    stop: AtomicBool,
}

/// The running server; ends with this value.
pub struct SmtpSink {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl SmtpSink {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::Accept),
            mails: Mutex::new(Vec::new()),
            arrived: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let answering = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if answering.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&answering);
                // A client that goes away in the middle is part of the tests.
                std::thread::spawn(move || drop(converse(&stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Behaves so from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for so many mails, at most half a minute.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        let until = Instant::now() + Duration::from_secs(30);
        let mut mails = self.shared.mails.lock().unwrap_or_else(PoisonError::into_inner);
        while mails.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{count} mails are wanted, {} came", mails.len());
            mails = self.shared.arrived.wait_timeout(mails, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        mails.clone()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    let behaviour = || *shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut from, mut to) = (String::new(), Vec::new());
    out.write_all(b"220 sink ESMTP\r\n")?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if let Behaviour::Delay(delay) = behaviour() {
            std::thread::sleep(delay);
        }
        let command = line.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => out.write_all(b"250-sink\r\n250 8BITMIME\r\n")?,
            "MAIL" => {
                from = address(&command);
                out.write_all(b"250 ok\r\n")?;
            }
            "RCPT" => match behaviour() {
                Behaviour::RefuseForNow => out.write_all(b"450 mailbox busy\r\n")?,
                Behaviour::Refuse => out.write_all(b"550 no such mailbox\r\n")?,
                _ => {
                    to.push(address(&command));
                    out.write_all(b"250 ok\r\n")?;
                }
            },
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let text = message(&mut reader)?;
                if behaviour() == Behaviour::Drop {
                    return Ok(());
                }
                let mail = Mail { from: from.clone(), to: std::mem::take(&mut to), text };
                shared.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                shared.arrived.notify_all();
                out.write_all(b"250 taken\r\n")?;
            }
            "QUIT" => {
                out.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => out.write_all(b"250 ok\r\n")?,
        }
        line.clear();
    }
    Ok(())
}

fn address(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}

fn message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let bare = line.trim_end_matches(['\r', '\n']);
        if bare == "." {
            break;
        }
        text.push_str(bare.strip_prefix('.').unwrap_or(bare));
        text.push('\n');
        line.clear();
    }
    Ok(text)
}
