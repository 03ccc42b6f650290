//! Records of backups.
//!
//! A record is inserted as `running` before the first byte is read and finished after the last one is stored. Everything
//! in it, pins excepted, can be read again from the sidecars: see [`Catalog::rebuild`].

mod filter;
mod record;

pub use filter::{BackupFilter, BackupOrder};
pub use record::{BackupRecord, Collapse, ComponentSummary, Trust, TrustStep};

use super::{Catalog, failed, row};
use crate::id::Id;
use crate::manifest::{Manifest, State, Tier};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, Transaction, params_from_iter};
use serde::Serialize;

/// A page of backups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupPage {
    /// The backups.
    pub backups: Vec<BackupRecord>,
    /// How many fit the filter, on all pages.
    pub total: u64,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// Figures of all backups of one plan and tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TierFigures {
    /// The plan.
    pub plan: String,
    /// The tier.
    pub tier: Tier,
    /// Backups in all states.
    pub count: u64,
    /// Succeeded ones among them.
    pub succeeded: u64,
    /// Bytes in their stores.
    pub bytes: u64,
    /// Start of the newest succeeded one.
    pub last_success_at: Option<Timestamp>,
    /// Newest time at which one of them was proven by a drill.
    pub last_proven_at: Option<Timestamp>,
}

/// Backups on a page when nobody says how many.
const PAGE_DEFAULT: u32 = 50;
/// More are never given at once.
const PAGE_MAX: u32 = 1000;

const COLUMNS: &str = "id, plan, tier, description, state, started_at, finished_at, duration_ms, location, bytes, \
    sha256, components, key_fingerprint, stored_at, re_read_at, opened_at, restored_at, pinned, late, collapse, \
    collapse_acknowledged, error, restore_duration_ms";

impl TrustStep {
    const fn column(self) -> &'static str {
        match self {
            Self::Stored => "stored_at",
            Self::ReRead => "re_read_at",
            Self::Opened => "opened_at",
            Self::Restored => "restored_at",
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<BackupRecord> {
    let unsigned = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs));
    let reason: Option<String> = row.get(19)?;
    let acknowledged = row.get::<_, i64>(20)? != 0;
    Ok(BackupRecord {
        id: row::id(row, 0)?,
        plan: row.get(1)?,
        tier: row::named(row, 2, Tier::parse)?,
        description: row.get(3)?,
        state: row::named(row, 4, State::parse)?,
        started_at: row::time(row, 5)?,
        finished_at: row::time_optional(row, 6)?,
        duration_ms: unsigned(7)?,
        location: row.get(8)?,
        bytes: unsigned(9)?,
        sha256: row.get(10)?,
        components: row::json(row, 11)?,
        key_fingerprint: row.get(12)?,
        trust: Trust {
            stored: row::time_optional(row, 13)?,
            re_read: row::time_optional(row, 14)?,
            opened: row::time_optional(row, 15)?,
            restored: row::time_optional(row, 16)?,
            restore_duration_ms: unsigned(22)?,
        },
        pinned: row.get::<_, i64>(17)? != 0,
        late: row.get::<_, i64>(18)? != 0,
        collapsed: reason.map(|reason| Collapse { reason, acknowledged }),
        error: row::json_optional(row, 21)?,
    })
}

/// A record's columns in the order of [`COLUMNS`].
fn values(record: &BackupRecord) -> Result<Vec<Value>> {
    let json = |what: serde_json::Result<String>| what.map_err(|cause| Error::internal(cause.to_string()));
    let text = |text: Option<&String>| text.map_or(Value::Null, |text| Value::Text(text.clone()));
    let time = |time: Option<Timestamp>| time.map_or(Value::Null, |time| Value::Integer(time.as_millisecond()));
    let number = |number: Option<u64>| number.map_or(Value::Null, |number| Value::Integer(number as i64));
    let flag = |flag: bool| Value::Integer(i64::from(flag));
    let error = record.error.as_ref().map(serde_json::to_string).map(json).transpose()?;
    let collapse = record.collapsed.as_ref();
    Ok(vec![
        Value::Text(record.id.to_string()),
        Value::Text(record.plan.clone()),
        Value::Text(record.tier.name().to_owned()),
        text(record.description.as_ref()),
        Value::Text(record.state.name().to_owned()),
        time(Some(record.started_at)),
        time(record.finished_at),
        number(record.duration_ms),
        text(record.location.as_ref()),
        number(record.bytes),
        text(record.sha256.as_ref()),
        Value::Text(json(serde_json::to_string(&record.components))?),
        text(record.key_fingerprint.as_ref()),
        time(record.trust.stored),
        time(record.trust.re_read),
        time(record.trust.opened),
        time(record.trust.restored),
        flag(record.pinned),
        flag(record.late),
        text(collapse.map(|collapse| &collapse.reason)),
        flag(collapse.is_some_and(|collapse| collapse.acknowledged)),
        error.map_or(Value::Null, Value::Text),
        number(record.trust.restore_duration_ms),
    ])
}

impl Catalog {
    /// Writes a run down before it begins.
    pub fn backup_start(&self, record: &BackupRecord) -> Result<()> {
        let values = values(record)?;
        self.write(|tx| {
            let marks = (1..=values.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            tx.execute(&format!("INSERT INTO backups ({COLUMNS}) VALUES ({marks})"), params_from_iter(values))
                .map(drop)
                .map_err(|cause| failed("writing down that a backup begins", cause))
        })
    }

    /// Writes down how a run ended, with its manifest where there is one. A pin that was set meanwhile stays.
    pub fn backup_finish(&self, record: &BackupRecord, manifest: Option<&Manifest>) -> Result<()> {
        let manifest = manifest.map(manifest_text).transpose()?;
        self.write(|tx| upsert(tx, record, manifest.as_deref()))
    }

    /// One backup, if there is one of this id.
    pub fn backup_find(&self, id: &str) -> Result<Option<BackupRecord>> {
        self.connection()
            .query_row(&format!("SELECT {COLUMNS} FROM backups WHERE id = $1"), [id], read)
            .optional()
            .map_err(|cause| failed("reading a backup's record", cause))
    }

    /// One backup by its id, or `latest`: the newest succeeded one that was not taken before a restore.
    pub fn backup(&self, id: &str) -> Result<BackupRecord> {
        if id == "latest" {
            return self.backup_latest(None)?.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "there is no succeeded backup yet",
                    "Make one with `strongroom backup`.",
                )
            });
        }
        let id = Id::parse(id)?;
        self.backup_find(id.as_str())?.ok_or_else(|| unknown(&id))
    }

    /// The newest succeeded backup, of one plan or of all, that was not taken before a restore.
    pub fn backup_latest(&self, plan: Option<&str>) -> Result<Option<BackupRecord>> {
        self.connection()
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM backups WHERE state = 'succeeded' AND tier <> 'pre-restore' \
                     AND ($1 IS NULL OR plan = $1) ORDER BY started_at DESC, id DESC LIMIT 1"
                ),
                [plan],
                read,
            )
            .optional()
            .map_err(|cause| failed("looking for the newest backup", cause))
    }

    /// A page of the backups that fit `filter`, in its order.
    pub fn backups(&self, filter: &BackupFilter) -> Result<BackupPage> {
        let doing = |cause| failed("reading the records of backups", cause);
        let (mut wanted, mut values) = filter.conditions();
        let connection = self.connection();
        let total: i64 = connection
            .prepare_cached(&format!("SELECT count(*) FROM backups{}", all_of(&wanted)))
            .and_then(|mut count| count.query_row(params_from_iter(values.iter()), |row| row.get(0)))
            .map_err(doing)?;
        let by = filter.order.expression();
        let (direction, beyond) = if filter.ascending { ("ASC", ">") } else { ("DESC", "<") };
        let after = format!("({by}, id) {beyond} (?, ?)");
        if let Some(place) = &filter.after {
            wanted.push(&after);
            values.extend(filter.order.parse_place(place)?);
        }
        let limit = filter.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
        values.push(Value::Integer(limit as i64 + 1));
        let conditions = all_of(&wanted);
        let query =
            format!("SELECT {COLUMNS} FROM backups{conditions} ORDER BY {by} {direction}, id {direction} LIMIT ?");
        let mut statement = connection.prepare_cached(&query).map_err(doing)?;
        let rows = statement.query_map(params_from_iter(values), read).map_err(doing)?;
        let mut backups = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(doing)?;
        let more = backups.len() > limit;
        backups.truncate(limit);
        let next = backups.last().filter(|_| more).map(|last| filter.order.place(last));
        Ok(BackupPage { backups, total: total.unsigned_abs(), next })
    }

    /// Every record, newest first: for retention, which judges all of them together.
    pub fn backups_all(&self) -> Result<Vec<BackupRecord>> {
        self.backups_where("1 = 1", "reading the records of backups")
    }

    /// Records that still say `running`, whether or not anybody is.
    pub fn backups_running(&self) -> Result<Vec<BackupRecord>> {
        self.backups_where("state = 'running'", "looking for running backups")
    }

    fn backups_where(&self, condition: &str, what: &str) -> Result<Vec<BackupRecord>> {
        let doing = |cause| failed(what, cause);
        let connection = self.connection();
        let query = format!("SELECT {COLUMNS} FROM backups WHERE {condition} ORDER BY started_at DESC, id DESC");
        let mut statement = connection.prepare(&query).map_err(doing)?;
        let rows = statement.query_map([], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// What a new backup of `plan` is compared with: the newest succeeded one before `before` that is not itself an
    /// unacknowledged collapse.
    pub fn backup_predecessor(&self, plan: &str, before: Timestamp) -> Result<Option<BackupRecord>> {
        self.connection()
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM backups WHERE plan = $1 AND state = 'succeeded' AND tier <> 'pre-restore' \
                     AND started_at < $2 AND (collapse IS NULL OR collapse_acknowledged = 1) \
                     ORDER BY started_at DESC, id DESC LIMIT 1"
                ),
                (plan, before.as_millisecond()),
                read,
            )
            .optional()
            .map_err(|cause| failed("looking for a backup's predecessor", cause))
    }

    /// How long the last succeeded runs of a plan took, in milliseconds, newest first.
    pub fn backup_durations_ms(&self, plan: &str, count: u32) -> Result<Vec<u64>> {
        let doing = |cause| failed("reading how long backups took", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT duration_ms FROM backups WHERE plan = $1 AND state = 'succeeded' AND tier <> 'pre-restore' \
                 AND duration_ms IS NOT NULL ORDER BY started_at DESC LIMIT $2",
            )
            .map_err(doing)?;
        let rows = statement.query_map((plan, count), |row| Ok(row.get::<_, i64>(0)?.unsigned_abs())).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Bytes of a component in the newest succeeded backup of a plan: what progress expects of the next.
    pub fn component_bytes_last(&self, plan: &str, component: &str) -> Result<Option<u64>> {
        let newest = self.backup_latest(Some(plan))?;
        let components = newest.map(|record| record.components).unwrap_or_default();
        Ok(components.iter().find(|summary| summary.name == component).map(|summary| summary.bytes))
    }

    /// Figures by plan and tier.
    pub fn backup_figures(&self) -> Result<Vec<TierFigures>> {
        let doing = |cause| failed("counting the backups", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT plan, tier, count(*), sum(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END), \
                 coalesce(sum(bytes), 0), max(CASE WHEN state = 'succeeded' THEN started_at END), max(restored_at) \
                 FROM backups GROUP BY plan, tier ORDER BY plan, tier",
            )
            .map_err(doing)?;
        let figures = |row: &Row<'_>| {
            Ok(TierFigures {
                plan: row.get(0)?,
                tier: row::named(row, 1, Tier::parse)?,
                count: row.get::<_, i64>(2)?.unsigned_abs(),
                succeeded: row.get::<_, i64>(3)?.unsigned_abs(),
                bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                last_success_at: row::time_optional(row, 5)?,
                last_proven_at: row::time_optional(row, 6)?,
            })
        };
        let rows = statement.query_map([], figures).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// A backup's manifest, where it got that far.
    pub fn manifest(&self, id: &Id) -> Result<Option<Manifest>> {
        let text: Option<String> = self
            .connection()
            .query_row("SELECT manifest FROM manifests WHERE backup_id = $1", [id.as_str()], |row| row.get(0))
            .optional()
            .map_err(|cause| failed("reading a manifest", cause))?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|cause| {
            Error::new(
                ErrorKind::Damaged,
                format!("the catalog's copy of the manifest of {id} cannot be read"),
                "Run `strongroom catalog rebuild`: it takes the manifests from the backups themselves.",
            )
            .because(cause)
        })
    }

    /// Pins or unpins a backup; says whether that changed anything.
    pub fn backup_pin(&self, id: &Id, pinned: bool) -> Result<bool> {
        let sql = "UPDATE backups SET pinned = $1 WHERE id = $2 AND pinned <> $1";
        let changed = self.write(|tx| {
            tx.execute(sql, (i64::from(pinned), id.as_str())).map_err(|cause| failed("pinning a backup", cause))
        })?;
        if changed == 0 && self.backup_find(id.as_str())?.is_none() {
            return Err(unknown(id));
        }
        Ok(changed == 1)
    }

    /// Forgets a backup, after its data was removed from the store; a record that is gone already is no error.
    pub fn backup_forget(&self, id: &Id) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM backups WHERE id = $1", [id.as_str()])
                .map(drop)
                .map_err(|cause| failed("forgetting a backup", cause))
        })
    }

    /// Notes that a backup proved itself this far at `at`.
    pub fn backup_trust(&self, id: &Id, step: TrustStep, at: Timestamp) -> Result<()> {
        self.change(id, &format!("{} = $1", step.column()), Value::Integer(at.as_millisecond()))
    }

    /// Notes how long a drill took to restore a backup.
    pub fn backup_restore_duration(&self, id: &Id, duration_ms: u64) -> Result<()> {
        self.change(id, "restore_duration_ms = $1", Value::Integer(duration_ms as i64))
    }

    /// The newest backup of a plan whose restore was measured, and how long that took: the recovery time to expect.
    pub fn restore_measured(&self, plan: &str) -> Result<Option<(Id, u64)>> {
        self.connection()
            .query_row(
                "SELECT id, restore_duration_ms FROM backups WHERE plan = $1 AND restore_duration_ms IS NOT NULL \
                 ORDER BY restored_at DESC LIMIT 1",
                [plan],
                |row| Ok((row::id(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs())),
            )
            .optional()
            .map_err(|cause| failed("looking for the recovery time", cause))
    }

    /// Takes all trust back that rests on bytes which turned out damaged or missing.
    pub fn backup_distrust(&self, id: &Id) -> Result<()> {
        self.change(
            id,
            "stored_at = $1, re_read_at = $1, opened_at = $1, restored_at = $1, restore_duration_ms = $1",
            Value::Null,
        )
    }

    /// A person says that a collapse is right.
    pub fn backup_acknowledge(&self, id: &Id) -> Result<()> {
        self.change(id, "collapse_acknowledged = $1", Value::Integer(1))
    }

    /// `what` sets columns to `$1`. SQLite numbers `$` parameters by their first appearance: they stand in order.
    fn change(&self, id: &Id, what: &str, value: Value) -> Result<()> {
        self.write(|tx| {
            let changed = tx
                .execute(&format!("UPDATE backups SET {what} WHERE id = $2"), (value, id.as_str()))
                .map_err(|cause| failed("changing a backup's record", cause))?;
            if changed == 1 { Ok(()) } else { Err(unknown(id)) }
        })
    }

    /// Takes in what the stores hold. Records that are there already get the sidecars' facts and keep their pins and what
    /// was proven of them. Gives the number of backups taken in.
    pub fn rebuild(&self, found: impl Iterator<Item = Result<(BackupRecord, Manifest)>>) -> Result<u64> {
        let mut count = 0;
        for item in found {
            let (record, manifest) = item?;
            let text = manifest_text(&manifest)?;
            self.write(|tx| upsert(tx, &record, Some(&text)))?;
            count += 1;
        }
        Ok(count)
    }
}

fn upsert(tx: &Transaction<'_>, record: &BackupRecord, manifest: Option<&str>) -> Result<()> {
    let doing = |cause| failed("writing a backup's record", cause);
    let values = values(record)?;
    let marks = (1..=values.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let kept = ["id", "pinned", "collapse_acknowledged"];
    let proven = ["re_read_at", "opened_at", "restored_at", "restore_duration_ms", "sha256", "collapse"];
    let changes: Vec<String> = COLUMNS
        .split(", ")
        .filter(|column| !kept.contains(column))
        .map(|column| {
            if proven.contains(&column) {
                format!("{column} = coalesce(excluded.{column}, backups.{column})")
            } else {
                format!("{column} = excluded.{column}")
            }
        })
        .collect();
    let sql = format!(
        "INSERT INTO backups ({COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {}",
        changes.join(", ")
    );
    tx.execute(&sql, params_from_iter(values)).map_err(doing)?;
    if let Some(manifest) = manifest {
        tx.execute(
            "INSERT INTO manifests (backup_id, manifest) VALUES ($1, $2) \
             ON CONFLICT (backup_id) DO UPDATE SET manifest = excluded.manifest",
            (record.id.as_str(), manifest),
        )
        .map_err(doing)?;
    }
    Ok(())
}

fn manifest_text(manifest: &Manifest) -> Result<String> {
    serde_json::to_string(manifest).map_err(|cause| Error::internal(format!("a manifest is no JSON: {cause}")))
}

fn all_of(conditions: &[&str]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn unknown(id: &Id) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no backup {id}"), "`strongroom list` shows the ids.")
}

#[cfg(test)]
mod tests;
