//! The audit log: who did what, when, from where, and what came of it.
//!
//! Each entry's hash is SHA-256 over its predecessor's hash (64 hexadecimal digits, zeros for the first) followed by the
//! entry as one line of JSON in the order of [`Line`]. Whoever changes, removes or reorders an entry breaks the chain from
//! there on. Triggers make the table append-only for everything that goes through SQL.
//!
//! The uncomfortable consequence: a chain cannot show that its end was cut off, and whoever may write the file can compute
//! a whole new chain. So each start and each manifest record the chain's head elsewhere ([`heads`]), and [`Catalog::audit_verify`]
//! compares.

pub mod heads;

use super::{Catalog, failed, row};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// How something came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditOutcome {
    /// Done.
    Success,
    /// Tried.
    Failure,
    /// Not allowed.
    Refused,
}

impl AuditOutcome {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Refused => "refused",
        }
    }

    /// Reads an outcome's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Refused].into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What is to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who: a user's name, `token:NAME`, `scheduler`.
    pub actor: String,
    /// From where: `cli ann@host`, an IP address, `scheduler`.
    pub origin: String,
    /// What: `backup.create`, `restore`, `login`, …
    pub action: String,
    /// To what: an id, a name.
    pub subject: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Everything else. Never secrets.
    pub details: serde_json::Value,
}

/// What was written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// 1, 2, 3, … without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub origin: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Everything else.
    pub details: serde_json::Value,
    /// SHA-256 of the predecessor's hash and this entry.
    pub hash: String,
}

/// The chain's end at some moment, to be compared later. As text `SEQ:HASH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditHead {
    /// Number of the newest entry; 0 for an empty log.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Entries that were looked at.
    pub entries: u64,
    /// The chain's end, `SEQ:HASH`.
    pub head: String,
    /// Heads from elsewhere that were compared.
    pub heads: usize,
    /// What is wrong, for people; empty when the log is whole.
    pub problems: Vec<String>,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this action, or of all that begin with it and a dot (`backup` for `backup.create`).
    pub action: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// With this outcome.
    pub outcome: Option<AuditOutcome>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// So many at most; 50 when absent.
    pub limit: Option<u32>,
    /// Entries before this number: the `next` of the page before.
    pub before: Option<u64>,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// How many fit the filter, on all pages.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<u64>,
}

/// An entry as it is hashed and exported, its fields in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    seq: u64,
    at: i64,
    actor: &'a str,
    origin: &'a str,
    action: &'a str,
    subject: Option<&'a str>,
    outcome: &'a str,
    details: &'a RawValue,
}

/// A row as it is stored. The details stay the text that was hashed.
struct Stored {
    seq: u64,
    at: i64,
    actor: String,
    origin: String,
    action: String,
    subject: Option<String>,
    outcome: String,
    details: String,
    hash: String,
}

const COLUMNS: &str = "seq, at, actor, origin, action, subject, outcome, details, hash";

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            at: row.get(1)?,
            actor: row.get(2)?,
            origin: row.get(3)?,
            action: row.get(4)?,
            subject: row.get(5)?,
            outcome: row.get(6)?,
            details: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// `None` when a tampered row is no JSON any more.
    fn line(&self) -> Option<String> {
        let details = serde_json::from_str::<&RawValue>(&self.details).ok().filter(|raw| raw.get() == self.details)?;
        serde_json::to_string(&Line {
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            origin: &self.origin,
            action: &self.action,
            subject: self.subject.as_deref(),
            outcome: &self.outcome,
            details,
        })
        .ok()
    }

    fn hash_after(&self, previous: &str) -> Option<String> {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(self.line()?);
        Some(hex::encode(hash.finalize()))
    }
}

impl AuditEntry {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            at: row::time(row, 1)?,
            actor: row.get(2)?,
            origin: row.get(3)?,
            action: row.get(4)?,
            subject: row.get(5)?,
            outcome: row::named(row, 6, AuditOutcome::parse)?,
            details: row::json(row, 7)?,
            hash: row.get(8)?,
        })
    }
}

impl AuditHead {
    /// Of a log without entries: what the first entry's hash builds on.
    pub fn empty() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for AuditHead {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(seq, hash)| {
            let valid = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            Some(Self { seq: seq.parse().ok()?, hash: hash.to_ascii_lowercase() }).filter(|_| valid)
        });
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("{text:?} is no head of an audit log"),
                "A head is written SEQ:HASH.",
            )
        })
    }
}

impl Catalog {
    /// Appends an entry; it is on the disk when this returns.
    pub fn audit(&self, event: &AuditEvent) -> Result<AuditHead> {
        self.write(|tx| {
            let doing = |cause| failed("writing the audit log", cause);
            let head = head_of(tx).map_err(doing)?;
            let mut entry = Stored {
                seq: head.seq + 1,
                at: event.at.as_millisecond(),
                actor: event.actor.clone(),
                origin: event.origin.clone(),
                action: event.action.clone(),
                subject: event.subject.clone(),
                outcome: event.outcome.name().to_owned(),
                details: event.details.to_string(),
                hash: String::new(),
            };
            entry.hash = entry
                .hash_after(&head.hash)
                .ok_or_else(|| Error::internal("an audit entry cannot be written as JSON"))?;
            tx.execute(
                &format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
                (
                    entry.seq as i64,
                    entry.at,
                    &entry.actor,
                    &entry.origin,
                    &entry.action,
                    &entry.subject,
                    &entry.outcome,
                    &entry.details,
                    &entry.hash,
                ),
            )
            .map_err(doing)?;
            Ok(AuditHead { seq: entry.seq, hash: entry.hash })
        })
    }

    /// The chain's end now.
    pub fn audit_head(&self) -> Result<AuditHead> {
        head_of(&self.connection()).map_err(|cause| failed("reading the audit log's head", cause))
    }

    /// A page of the entries that fit `filter`, newest first.
    pub fn audit_entries(&self, filter: &AuditFilter) -> Result<AuditPage> {
        let doing = |cause| failed("reading the audit log", cause);
        let (mut wanted, mut values) = conditions(filter);
        let connection = self.connection();
        let total: i64 = connection
            .query_row(&format!("SELECT count(*) FROM audit WHERE {wanted}"), params_from_iter(values.iter()), |row| {
                row.get(0)
            })
            .map_err(doing)?;
        if let Some(before) = filter.before {
            wanted.push_str(" AND seq < ?");
            values.push(Value::Integer(before as i64));
        }
        let limit = filter.limit.unwrap_or(50).clamp(1, 1000) as usize;
        let query = format!("SELECT {COLUMNS} FROM audit WHERE {wanted} ORDER BY seq DESC LIMIT {}", limit + 1);
        let mut statement = connection.prepare_cached(&query).map_err(doing)?;
        let rows = statement.query_map(params_from_iter(values), AuditEntry::read).map_err(doing)?;
        let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(doing)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|entry| entry.seq);
        Ok(AuditPage { entries, total: total.unsigned_abs(), next })
    }

    /// Every entry, oldest first, as one line of JSON: exactly what is hashed, with `hash` added as the last field.
    pub fn audit_export(&self, out: &mut dyn std::io::Write) -> Result<u64> {
        let mut count = 0;
        self.each_entry(|entry| {
            let line = entry.line().unwrap_or_else(|| format!("{{\"seq\":{},\"unreadable\":true}}", entry.seq));
            let open = line.strip_suffix('}').unwrap_or(&line);
            writeln!(out, "{open},\"hash\":\"{}\"}}", entry.hash)
                .map_err(|cause| Error::io("exporting the audit log", cause))?;
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Walks the whole chain and compares it with `heads` that were recorded elsewhere.
    pub fn audit_verify(&self, heads: &[AuditHead]) -> Result<AuditReport> {
        let mut wanted: Vec<&AuditHead> = heads.iter().filter(|head| head.seq > 0).collect();
        wanted.sort_by_key(|head| head.seq);
        wanted.dedup();
        let mut problems = Vec::new();
        let mut previous = AuditHead::empty();
        let mut entries = 0;
        self.each_entry(|entry| {
            entries += 1;
            if entry.seq != previous.seq + 1 {
                problems.push(gap(previous.seq, entry.seq));
            } else if entry.hash_after(&previous.hash).as_ref() != Some(&entry.hash) {
                problems
                    .push(format!("entry {} is not what was written: it was changed, replaced or moved", entry.seq));
            }
            for head in wanted.iter().filter(|head| head.seq == entry.seq && head.hash != entry.hash) {
                problems.push(format!("entry {} is not the one that was recorded elsewhere as the newest", head.seq));
            }
            previous = AuditHead { seq: entry.seq, hash: entry.hash };
            Ok(())
        })?;
        if let Some(last) = wanted.last().filter(|head| head.seq > previous.seq) {
            problems.push(format!("the end was cut off: {}", gap(previous.seq, last.seq + 1)));
        }
        Ok(AuditReport { entries, head: previous.to_string(), heads: heads.len(), problems })
    }

    fn each_entry(&self, mut work: impl FnMut(Stored) -> Result<()>) -> Result<()> {
        let doing = |cause| failed("reading the audit log", cause);
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq")).map_err(doing)?;
        let mut rows = statement.query([]).map_err(doing)?;
        while let Some(row) = rows.next().map_err(doing)? {
            work(Stored::read(row).map_err(doing)?)?;
        }
        Ok(())
    }
}

fn gap(before: u64, after: u64) -> String {
    match (before + 1, after.saturating_sub(1)) {
        (first, last) if first == last => format!("entry {first} is missing"),
        (first, last) if first < last => format!("entries {first} to {last} are missing"),
        _ => format!("entry {after} stands where {} belongs", before + 1),
    }
}

fn head_of(connection: &rusqlite::Connection) -> rusqlite::Result<AuditHead> {
    let newest = connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(AuditHead { seq: row.get::<_, i64>(0)?.unsigned_abs(), hash: row.get(1)? })
        })
        .optional()?;
    Ok(newest.unwrap_or_else(AuditHead::empty))
}

fn conditions(filter: &AuditFilter) -> (String, Vec<Value>) {
    let text = |text: &String| Value::Text(text.clone());
    let time = |time: Timestamp| Value::Integer(time.as_millisecond());
    let mut wanted = "1 = 1".to_owned();
    let mut values = Vec::new();
    if let Some(action) = &filter.action {
        // All that begin with `action.`: the next character after `.` is `/`.
        wanted.push_str(" AND (action = ? OR (action >= ? AND action < ?))");
        values.extend([text(action), Value::Text(format!("{action}.")), Value::Text(format!("{action}/"))]);
    }
    for (condition, value) in [
        (" AND subject = ?", filter.subject.as_ref().map(text)),
        (" AND actor = ?", filter.actor.as_ref().map(text)),
        (" AND outcome = ?", filter.outcome.map(|outcome| Value::Text(outcome.name().to_owned()))),
        (" AND at >= ?", filter.from.map(time)),
        (" AND at < ?", filter.to.map(time)),
    ] {
        if let Some(value) = value {
            wanted.push_str(condition);
            values.push(value);
        }
    }
    (wanted, values)
}

#[cfg(test)]
mod tests;
