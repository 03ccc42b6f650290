//! The environment variables, each with the key it sets and what it admits.

use super::cidr::Cidr;
use crate::schedule::Schedule;
use jiff::tz::TimeZone;
use std::net::SocketAddr;
use toml::Value;

/// An environment variable that means something here.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The key that it sets, dotted; `None` for those that others read (`DATABASE_URL`).
    pub key: Option<&'static str>,
    /// What it admits.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Secret,
    Flag,
    Count { min: i64, max: i64 },
    Texts,
    Zone,
    Cron,
    Key,
    Keys,
    OneOf(&'static [&'static str]),
    Address,
    Blocks,
}

const fn variable(name: &'static str, key: &'static str, kind: Kind) -> Variable {
    Variable { name, key: Some(key), kind }
}

const KEEP: Kind = Kind::Count { min: 0, max: 100_000 };

/// All of them. Empty values count as not set.
pub const VARIABLES: &[Variable] = &[
    variable("ENABLE_SCHEDULED_BACKUPS", "schedule.enabled", Kind::Flag),
    variable("BACKUP_DIR", "backup_dir", Kind::Text),
    variable("BACKUP_ENCRYPTION_KEY", "encryption_key", Kind::Key),
    variable("BACKUP_PREVIOUS_KEYS", "previous_keys", Kind::Keys),
    variable("BACKUP_ENCRYPTION", "encryption", Kind::OneOf(&["aes-256-gcm", "none"])),
    variable("TZ", "timezone", Kind::Zone),
    variable("NODE_ENV", "environment", Kind::Text),
    Variable { name: "DATABASE_URL", key: None, kind: Kind::Secret },
    variable("BACKUP_DAILY_SCHEDULE", "schedule.daily", Kind::Cron),
    variable("BACKUP_WEEKLY_SCHEDULE", "schedule.weekly", Kind::Cron),
    variable("BACKUP_MONTHLY_SCHEDULE", "schedule.monthly", Kind::Cron),
    variable("BACKUP_CLEANUP_SCHEDULE", "schedule.cleanup", Kind::Cron),
    variable("BACKUP_VERIFY_SCHEDULE", "schedule.verify", Kind::Cron),
    variable("BACKUP_DRILL_SCHEDULE", "schedule.drill", Kind::Cron),
    variable("BACKUP_RETENTION_DAILY", "retention.daily", KEEP),
    variable("BACKUP_RETENTION_WEEKLY", "retention.weekly", KEEP),
    variable("BACKUP_RETENTION_MONTHLY", "retention.monthly", KEEP),
    variable("BACKUP_EMAIL_ENABLED", "notify.email_enabled", Kind::Flag),
    variable("SMTP_HOST", "notify.smtp.host", Kind::Text),
    variable("SMTP_PORT", "notify.smtp.port", Kind::Count { min: 1, max: 65_535 }),
    variable("SMTP_SECURE", "notify.smtp.secure", Kind::Flag),
    variable("SMTP_USER", "notify.smtp.user", Kind::Text),
    variable("SMTP_PASSWORD", "notify.smtp.password", Kind::Secret),
    variable("BACKUP_EMAIL_FROM", "notify.smtp.from", Kind::Text),
    variable("BACKUP_EMAIL_TO", "notify.smtp.to", Kind::Texts),
    variable("STRONGROOM_LISTEN", "server.listen", Kind::Address),
    variable("STRONGROOM_TLS_CERTIFICATE", "server.tls_certificate", Kind::Text),
    variable("STRONGROOM_TLS_KEY", "server.tls_key", Kind::Text),
    variable("STRONGROOM_ALLOW_PLAIN_HTTP", "server.allow_plain_http", Kind::Flag),
    variable("STRONGROOM_ALLOW", "server.allow", Kind::Blocks),
    variable("STRONGROOM_TRUSTED_PROXIES", "server.trusted_proxies", Kind::Blocks),
    variable("STRONGROOM_JWT_SECRET", "server.jwt.secret", Kind::Secret),
    variable("STRONGROOM_LOG_LEVEL", "log.level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"])),
    variable("STRONGROOM_LOG_FORMAT", "log.format", Kind::OneOf(&["json", "text"])),
];

impl Variable {
    /// The variable of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }

    /// Its value must not be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Key | Kind::Keys)
    }

    /// What it admits, for people.
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Text | Kind::Secret => "a text".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Texts => "a list separated by commas".to_owned(),
            Kind::Zone => "a time zone's name such as Europe/Berlin or UTC".to_owned(),
            Kind::Cron => "five cron fields such as \"0 2 * * *\", or off".to_owned(),
            Kind::Key => "64 hexadecimal digits".to_owned(),
            Kind::Keys => "keys of 64 hexadecimal digits, separated by commas".to_owned(),
            Kind::OneOf(names) => names.join(" or "),
            Kind::Address => "an address with a port such as 127.0.0.1:8080".to_owned(),
            Kind::Blocks => "address blocks such as 10.0.0.0/8, separated by commas".to_owned(),
        }
    }

    /// Reads its value; `None` when it is malformed.
    pub(super) fn read(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self.kind {
            Kind::Text | Kind::Secret => Some(text.into()),
            Kind::Flag => flag(text).map(Value::Boolean),
            Kind::Count { min, max } => {
                text.parse::<i64>().ok().filter(|n| (min..=max).contains(n)).map(Value::Integer)
            }
            Kind::Zone => zone_name(text).map(Into::into),
            Kind::Cron => (is_off(text) || Schedule::parse(text, TimeZone::UTC, "").is_ok()).then(|| text.into()),
            Kind::Key => is_key(text).then(|| text.into()),
            Kind::Texts => Some(list(text)),
            Kind::Keys => text.split(',').all(|key| is_key(key.trim())).then(|| list(text)),
            Kind::OneOf(names) => names.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| (*name).into()),
            Kind::Address => text.parse::<SocketAddr>().ok().map(|_| text.into()),
            Kind::Blocks => text.split(',').all(|block| block.parse::<Cidr>().is_ok()).then(|| list(text)),
        }
    }

    /// Malformed cron expressions deserve a message that points at the place.
    pub(super) fn read_error(&self, text: &str, origin: &str) -> Option<crate::Error> {
        (self.kind == Kind::Cron).then(|| Schedule::parse(text, TimeZone::UTC, origin).err()).flatten()
    }
}

/// Words that switch a schedule off.
pub(super) fn is_off(text: &str) -> bool {
    ["off", "none", "never", "false"].iter().any(|word| word.eq_ignore_ascii_case(text.trim()))
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `TZ` may begin with a colon (POSIX).
fn zone_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix(':').unwrap_or(text);
    TimeZone::get(name).ok().map(|_| name)
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn list(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect::<Vec<_>>().into()
}
