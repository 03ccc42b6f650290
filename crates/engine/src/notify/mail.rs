//! Mail over SMTP.
//!
//! `SMTP_SECURE=true` means TLS from the first byte. Otherwise STARTTLS is taken where the server offers it, and demanded
//! where a password would cross a network: a stripped offer must not cost the password. Plain text remains for mail servers
//! on this machine and for those without sign-in. Certificates are checked against those that the system trusts: an
//! organisation's own mail server has an authority of its own.

use super::notice::Notice;
use super::render;
use crate::catalog::Catalog;
use crate::catalog::users::Role;
use crate::config::SmtpSettings;
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::SmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, Message, Transport};
use std::error::Error as _;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Somebody waits for the answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a text is an e-mail address.
pub fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<Address>().is_ok()
}

/// Sends a notice; returns what the server answered.
pub fn send(catalog: &Catalog, smtp: &SmtpSettings, id: &Id, notice: &Notice) -> Result<String> {
    let message = message(smtp, &receivers(Some(catalog), smtp)?, id, notice)?;
    let host = smtp.host.as_deref().unwrap_or_default();
    let transport = transport(smtp, host, TIMEOUT)?;
    let response = transport.send(&message).map_err(|cause| failed(host, &cause).because(cause))?;
    let words: Vec<&str> = response.message().collect();
    Ok(format!("{} {}", response.code(), words.join(" ")).trim().to_owned())
}

/// Connects and signs in without sending anything: whether a mail would be taken.
pub fn probe(smtp: &SmtpSettings) -> Result<()> {
    let host = smtp.host.as_deref().unwrap_or_default();
    let answers = transport(smtp, host, PROBE_TIMEOUT)?.test_connection();
    if answers.map_err(|cause| failed(host, &cause).because(cause))? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::External,
        format!("the mail server {host} answers, but takes no commands"),
        "Look into its log.",
    ))
}

/// Those of the configuration; without any, the administrators' own addresses.
pub fn receivers(catalog: Option<&Catalog>, smtp: &SmtpSettings) -> Result<Vec<String>> {
    if !smtp.to.is_empty() {
        return Ok(smtp.to.clone());
    }
    let users = catalog.map_or_else(|| Ok(Vec::new()), Catalog::users)?;
    let admins = users.into_iter().filter(|user| user.role == Role::Admin);
    let addresses: Vec<String> = admins.filter_map(|user| user.email).collect();
    if addresses.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            "there is nobody to send mail to",
            "Set BACKUP_EMAIL_TO, or give an administrator an e-mail address.",
        ));
    }
    Ok(addresses)
}

fn mailbox(text: &str, what: &str) -> Result<Mailbox> {
    text.trim().parse().map_err(|cause| {
        Error::new(ErrorKind::Config, format!("{what} {text:?} is not an e-mail address"), "Correct it.").because(cause)
    })
}

fn message(smtp: &SmtpSettings, receivers: &[String], id: &Id, notice: &Notice) -> Result<Message> {
    let from = smtp.from.as_deref().or(smtp.user.as_deref()).unwrap_or("strongroom@localhost");
    let from = mailbox(from, "the sender BACKUP_EMAIL_FROM")?;
    // The same id at every try: a receiver that gets the mail twice shows it once.
    let message_id = format!("<{id}.strongroom@{}>", from.email.domain());
    let mut builder = Message::builder()
        .subject(render::subject(notice))
        .message_id(Some(message_id))
        .date(std::time::SystemTime::from(notice.at))
        .header(AutoSubmitted);
    for receiver in receivers {
        builder = builder.to(mailbox(receiver, "the receiver")?);
    }
    builder
        .from(from)
        .multipart(MultiPart::alternative_plain_html(render::text(notice), render::html(notice)))
        .map_err(|cause| Error::internal(format!("a mail could not be written: {cause}")).because(cause))
}

/// RFC 3834: holiday replies stay away.
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn transport(smtp: &SmtpSettings, host: &str, timeout: Duration) -> Result<SmtpTransport> {
    let parameters = TlsParameters::new(host.to_owned()).map_err(|cause| failed(host, &cause).because(cause))?;
    let on_this_machine = matches!(host, "localhost" | "127.0.0.1" | "::1");
    let tls = match (smtp.secure, smtp.user.is_some() && !on_this_machine) {
        (true, _) => Tls::Wrapper(parameters),
        (false, true) => Tls::Required(parameters),
        (false, false) => Tls::Opportunistic(parameters),
    };
    let mut builder = SmtpTransport::builder_dangerous(host)
        .port(smtp.port.unwrap_or(if smtp.secure { 465 } else { 587 }))
        .tls(tls)
        .timeout(Some(timeout));
    if let (Some(user), Some(password)) = (&smtp.user, &smtp.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    Ok(builder.build())
}

/// A read that ends at its time looks like a socket without data.
fn waited_in_vain(cause: &lettre::transport::smtp::Error) -> bool {
    let io = cause.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    cause.is_timeout()
        || io.is_some_and(|io| matches!(io.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
}

/// Each of the usual causes with its remedy.
fn failed(host: &str, cause: &lettre::transport::smtp::Error) -> Error {
    let status = cause.status().map(u16::from);
    let hint = match status {
        Some(530 | 534 | 535 | 538) => {
            "Check SMTP_USER and SMTP_PASSWORD; many providers want a password made for the application."
        }
        Some(550..=553) => "Check BACKUP_EMAIL_FROM and BACKUP_EMAIL_TO: the server refuses one of them.",
        Some(400..=499) => "The server is busy or wants to wait: it will be tried again.",
        _ if cause.is_tls() => {
            "Check SMTP_PORT and SMTP_SECURE (true for port 465, false for 587), and the server's certificate: its name is \
             SMTP_HOST, and this machine trusts its authority (or SSL_CERT_FILE names it)."
        }
        _ if waited_in_vain(cause) => {
            "Nobody answered in time: check SMTP_HOST, SMTP_PORT, SMTP_SECURE (true for port 465, false for 587) and the firewall."
        }
        _ => "Check SMTP_HOST, SMTP_PORT and SMTP_SECURE (true for port 465, false for 587).",
    };
    Error::new(ErrorKind::External, format!("mail could not be sent through {host}: {cause}"), hint)
}
