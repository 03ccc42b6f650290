//! What there is to say: an event with its title, its figures and what to do about it.
//!
//! One constructor an event: this is where the words are. How they look as mail or in a chat is [`super::render`]'s.

use crate::catalog::backups::BackupRecord;
use crate::catalog::jobs::Failure;
use crate::config::Event;
use crate::manifest::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Name of the event: `failure`, `low-disk`, `test`.
    pub event: String,
    /// When it happened.
    pub at: Timestamp,
    /// One line.
    pub title: String,
    /// A sentence or two; may be empty.
    pub text: String,
    /// Figures, in the order in which they are shown.
    #[serde(default)]
    pub facts: Vec<Fact>,
    /// Warnings and errors.
    #[serde(default)]
    pub problems: Vec<String>,
    /// What to do next.
    #[serde(default)]
    pub advice: Option<String>,
    /// The whole record, for programs.
    #[serde(default)]
    pub details: Value,
    /// The dead-man address that hears of it.
    #[serde(default)]
    pub ping: Option<Ping>,
}

/// A figure with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// For people.
    pub name: String,
    /// For people.
    pub value: String,
}

/// Dead-man addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ping {
    /// A run starts.
    Start,
    /// A run succeeded.
    Success,
    /// A run failed.
    Failure,
}

impl Ping {
    /// As in names of channels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// Of what kind of event a notice is, as its JSON has it.
pub const fn name(event: Event) -> &'static str {
    match event {
        Event::Success => "success",
        Event::Partial => "partial",
        Event::Failure => "failure",
        Event::Cleanup => "cleanup",
        Event::Start => "start",
        Event::Critical => "critical",
        Event::Collapsed => "collapsed",
        Event::Stale => "stale",
        Event::Unproven => "unproven",
        Event::LowDisk => "low-disk",
        Event::LongRun => "long-run",
    }
}

/// Bytes for people: `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A duration for people: `2 min 5 s`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{milliseconds} ms"),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

impl Notice {
    /// A bare notice.
    pub fn new(event: Event, at: Timestamp, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            event: name(event).to_owned(),
            at,
            title: title.into(),
            text: text.into(),
            facts: Vec::new(),
            problems: Vec::new(),
            advice: None,
            details: Value::Null,
            ping: None,
        }
    }

    /// Whether it is of this kind.
    pub fn is(&self, event: Event) -> bool {
        self.event == name(event)
    }

    /// Adds a figure.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl ToString) -> Self {
        self.facts.push(Fact { name: name.to_owned(), value: value.to_string() });
        self
    }

    /// Adds figures about the system as a whole.
    #[must_use]
    pub fn facts(mut self, facts: &[Fact]) -> Self {
        self.facts.extend_from_slice(facts);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into()).filter(|advice: &String| !advice.is_empty());
        self
    }

    /// What a test sends.
    pub fn test(at: Timestamp) -> Self {
        let text = "This is the test message that somebody asked for. What matters will reach you here.";
        let test = Self::new(Event::Start, at, "Test message from Strongroom", text);
        Self { event: "test".to_owned(), ..test }
    }

    /// A run begins: for dead-man addresses only.
    pub fn run_started(at: Timestamp, plan: &str) -> Self {
        let notice = Self::new(Event::Success, at, format!("Backup of {plan} started"), "");
        Self { event: "run-started".to_owned(), ping: Some(Ping::Start), ..notice }
    }

    /// A backup is over.
    pub fn backup(record: &BackupRecord, at: Timestamp) -> Self {
        let (event, what) = match record.state {
            State::Succeeded => (Event::Success, "succeeded"),
            State::Partial => (Event::Partial, "is incomplete"),
            State::Cancelled => (Event::Failure, "was stopped"),
            State::Failed | State::Running => (Event::Failure, "failed"),
        };
        let late = if record.late { " (made up for a missed run)" } else { "" };
        let title = format!("Backup of {} ({}) {what}{late}", record.plan, record.tier.name());
        let text = match record.state {
            State::Succeeded => "Everything is in it.".to_owned(),
            State::Partial => "Something could not be read and is not in it; the rest is good.".to_owned(),
            _ => record.error.as_ref().map(|error| error.message.clone()).unwrap_or_default(),
        };
        let mut notice = Self::new(event, at, title, text).fact("Backup", &record.id);
        if let Some(location) = &record.location {
            notice = notice.fact("Name", location.rsplit('/').next().unwrap_or(location));
        }
        notice = notice.fact("Plan", &record.plan).fact("Type", record.tier.name());
        if let Some(bytes) = record.bytes {
            notice = notice.fact("Size", size(bytes));
        }
        if let Some(milliseconds) = record.duration_ms {
            notice = notice.fact("Duration", duration(milliseconds));
        }
        notice = notice.fact("Started", record.started_at);
        if let Some(description) = &record.description {
            notice = notice.fact("Description", description);
        }
        for component in &record.components {
            let line = format!("{}, {} entries, {}", component.state.name(), component.entries, size(component.bytes));
            notice = notice.fact(&format!("Component {}", component.name), line);
            let warnings = component.warnings.iter().map(|warning| format!("{}: {warning}", component.name));
            notice.problems.extend(warnings);
        }
        if let Some(error) = &record.error {
            notice.problems.push(format!("{} ({})", error.message, error.code));
            notice = notice.advice(&error.hint);
        }
        let success = matches!(record.state, State::Succeeded);
        notice.ping = Some(if success { Ping::Success } else { Ping::Failure });
        notice.details = serde_json::json!(record);
        notice
    }

    /// A backup is much smaller than its predecessor.
    pub fn collapsed(record: &BackupRecord, reason: &str, at: Timestamp) -> Self {
        let title = format!("Backup of {} is much smaller than the one before", record.plan);
        let mut notice = Self::new(Event::Collapsed, at, title, reason)
            .fact("Backup", &record.id)
            .fact("Size", size(record.bytes.unwrap_or(0)))
            .advice(
                "Look whether data was lost. Until somebody says that this is right (Backups > Acknowledge), no older \
                 backup of this plan is removed.",
            );
        notice.details = serde_json::json!(record);
        notice
    }

    /// A job that is not a backup failed, or one that did not even begin.
    pub fn job_failed(what: &str, id: &str, failure: &Failure, at: Timestamp) -> Self {
        let mut notice = Self::new(Event::Failure, at, format!("{what} failed"), &failure.message)
            .fact("Job", id)
            .advice(&failure.hint);
        notice.problems.push(format!("{} ({})", failure.message, failure.code));
        notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::manifest::Tier;

    #[test]
    fn sizes_and_durations_are_for_people() {
        assert_eq!([size(0), size(1023), size(1024), size(1_610_612_736)], ["0 B", "1023 B", "1.0 KiB", "1.5 GiB"]);
        assert_eq!([duration(5), duration(65_000), duration(3_660_000)], ["5 ms", "1 min 5 s", "1 h 1 min"]);
    }

    #[test]
    fn a_partial_backup_is_never_reported_as_a_success() {
        let id = Id::parse("a1b2c3d4e5f6").unwrap();
        let record = BackupRecord::running(id, "default", Tier::Daily, Timestamp::UNIX_EPOCH);
        for (state, event, ping) in [
            (State::Succeeded, Event::Success, Ping::Success),
            (State::Partial, Event::Partial, Ping::Failure),
            (State::Failed, Event::Failure, Ping::Failure),
            (State::Cancelled, Event::Failure, Ping::Failure),
        ] {
            let notice = Notice::backup(&record.clone().finished(state, Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
            assert!(notice.is(event), "{state:?}");
            assert_eq!(notice.ping, Some(ping), "{state:?}");
        }
    }
}
