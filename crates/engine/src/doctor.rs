//! Finds what will go wrong before it does, and says what to do about it.
//!
//! Reads, and writes nothing but one empty file that it removes again, to know that it can. The application's databases
//! are only looked at from outside; whoever can speak to a server adds a [`Probe`].
//!
//! The uncomfortable consequence: all is well means that nothing known is wrong. That a backup restores is only shown by a
//! drill, and so its age is one of the checks.

mod backups;
mod places;
mod service;

use crate::catalog::Catalog;
use crate::config::{Config, EncryptionPolicy};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Nothing to do.
    Ok,
    /// It works, but should be looked at.
    Warn,
    /// It does not work, or will not.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `key`, `backup folder`, `component uploads`.
    pub name: String,
    /// How it came out.
    pub state: CheckState,
    /// What was found.
    pub message: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
}

impl Check {
    /// Nothing to do.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), state: CheckState::Ok, message: message.into(), remedy: String::new() }
    }

    /// It works, but should be looked at.
    pub fn warn(name: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), state: CheckState::Warn, message: message.into(), remedy: remedy.into() }
    }

    /// It does not work, or will not.
    pub fn fail(name: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), state: CheckState::Fail, message: message.into(), remedy: remedy.into() }
    }

    /// An error of ours as a failed check.
    pub fn from_error(name: impl Into<String>, error: &crate::Error) -> Self {
        Self::fail(name, error.message(), error.hint())
    }
}

/// A check that others add: a database server, a mail server.
pub trait Probe {
    /// Looks. Must come to an end by itself, within seconds.
    fn check(&self, config: &Config) -> Vec<Check>;
}

/// Looks at everything. `catalog` is `None` when it could not be opened or does not exist yet.
pub fn checks(config: &Config, catalog: Option<&Catalog>, now: Timestamp, probes: &[&dyn Probe]) -> Vec<Check> {
    let mut checks = vec![key(config)];
    checks.extend(places::checks(config, catalog));
    checks.push(clock(catalog, now));
    checks.extend(service::checks(config, catalog, now));
    if let Some(catalog) = catalog {
        checks.extend(backups::checks(config, catalog, now));
    }
    checks.extend(probes.iter().flat_map(|probe| probe.check(config)));
    checks
}

/// The worst of them; `Ok` when there are none.
pub fn worst(checks: &[Check]) -> CheckState {
    checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Ok)
}

fn key(config: &Config) -> Check {
    let name = "key";
    match &config.encryption {
        EncryptionPolicy::Key { key, previous } => {
            let more = if previous.is_empty() { String::new() } else { format!(", and {} previous", previous.len()) };
            Check::ok(name, format!("backups are encrypted with the key {}{more}", key.fingerprint()))
        }
        EncryptionPolicy::None { .. } => Check::warn(
            name,
            "backups are not encrypted, as the configuration says",
            "Make sure that nobody else can read the backup folder, or make a key with `strongroom key generate`.",
        ),
        EncryptionPolicy::DevelopmentPlain { warning, .. } => {
            Check::warn(name, warning.clone(), "Make a key with `strongroom key generate` before production.")
        }
        EncryptionPolicy::Missing { .. } => match config.encryption.key_for_writing() {
            Err(error) => Check::from_error(name, &error),
            Ok(_) => Check::ok(name, "no key is needed"),
        },
    }
}

/// A clock that is wrong misnames backups, makes retention remove the wrong ones and schedules miss.
fn clock(catalog: Option<&Catalog>, now: Timestamp) -> Check {
    let name = "clock";
    let remedy = "Set the clock (NTP, `timedatectl`): times decide what is the newest backup and what is removed.";
    if now < Timestamp::constant(1_735_689_600, 0) {
        return Check::fail(name, format!("the clock says {now}, which is before this program was made"), remedy);
    }
    let newest = catalog.and_then(|catalog| catalog.backups(&crate::catalog::BackupFilter::default()).ok());
    match newest.as_ref().and_then(|page| page.backups.first()) {
        Some(record) if record.started_at > now.saturating_add(5.minutes()).unwrap_or(now) => Check::fail(
            name,
            format!("the clock says {now}, but the backup {} was made at {}", record.id, record.started_at),
            remedy,
        ),
        _ => Check::ok(name, format!("it is {now}")),
    }
}

/// `3 hours`, `5 days`: ages for people.
fn age(duration: SignedDuration) -> String {
    let hours = duration.as_hours().max(0);
    match hours {
        0 => "less than an hour".to_owned(),
        1..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests;
