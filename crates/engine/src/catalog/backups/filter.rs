//! Which backups are wanted, in which order, and where a page ends.
//!
//! A page begins after a *place*: the value that the list is ordered by, and the id that tells equal values apart. So pages
//! join to the whole list even while backups come and go.

use super::BackupRecord;
use crate::id::Id;
use crate::manifest::{State, Tier};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::types::Value;
use serde::Deserialize;

/// Which backups are wanted.
#[derive(Debug, Clone, Default)]
pub struct BackupFilter {
    /// Of this tier.
    pub tier: Option<Tier>,
    /// In this state.
    pub state: Option<State>,
    /// Of this plan.
    pub plan: Option<String>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
    /// Only those that something can be restored from: succeeded and partial ones.
    pub restorable: bool,
    /// Whose name, id or description contains this; ASCII letters in either case.
    pub search: Option<String>,
    /// What the list is ordered by.
    pub order: BackupOrder,
    /// Smallest first instead of largest, which is newest, first.
    pub ascending: bool,
    /// So many at most; 50 when absent.
    pub limit: Option<u32>,
    /// After this place: the `next` of the page before.
    pub after: Option<String>,
}

/// What a list of backups is ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupOrder {
    /// When the run started.
    #[default]
    StartedAt,
    /// The tier's name.
    Tier,
    /// The plan's name.
    Plan,
    /// The state's name.
    State,
    /// How far it is proven.
    Trust,
    /// Bytes in the store.
    Bytes,
    /// How long it took.
    DurationMs,
}

impl BackupOrder {
    pub(super) const fn expression(self) -> &'static str {
        match self {
            Self::StartedAt => "started_at",
            Self::Tier => "tier",
            Self::Plan => "plan",
            Self::State => "state",
            Self::Trust => {
                "CASE WHEN restored_at IS NOT NULL THEN 4 WHEN opened_at IS NOT NULL THEN 3 \
                 WHEN re_read_at IS NOT NULL THEN 2 WHEN stored_at IS NOT NULL THEN 1 ELSE 0 END"
            }
            Self::Bytes => "coalesce(bytes, 0)",
            Self::DurationMs => "coalesce(duration_ms, 0)",
        }
    }

    /// What [`expression`](Self::expression) gives for this record.
    fn value(self, record: &BackupRecord) -> String {
        let trust = &record.trust;
        match self {
            Self::StartedAt => record.started_at.as_millisecond().to_string(),
            Self::Tier => record.tier.name().to_owned(),
            Self::Plan => record.plan.clone(),
            Self::State => record.state.name().to_owned(),
            Self::Trust => {
                let steps = [trust.stored, trust.re_read, trust.opened, trust.restored];
                steps.iter().rposition(Option::is_some).map_or(0, |place| place + 1).to_string()
            }
            Self::Bytes => record.bytes.unwrap_or(0).to_string(),
            Self::DurationMs => record.duration_ms.unwrap_or(0).to_string(),
        }
    }

    /// Where a page that ends with this record ends.
    pub(super) fn place(self, record: &BackupRecord) -> String {
        format!("{}-{}", self.value(record), record.id)
    }

    /// The value and the id of a place.
    pub(super) fn parse_place(self, place: &str) -> Result<[Value; 2]> {
        let parsed = place.rsplit_once('-').and_then(|(value, id)| {
            let value = match self {
                Self::Tier | Self::Plan | Self::State => Value::Text(value.to_owned()),
                Self::StartedAt | Self::Trust | Self::Bytes | Self::DurationMs => Value::Integer(value.parse().ok()?),
            };
            Some([value, Value::Text(Id::parse(id).ok()?.to_string())])
        });
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("{place:?} is no place in the list"),
                "Take the `next` of the page before, or leave it out for the first page.",
            )
        })
    }
}

/// Name (the location's last part), id and description. What `rtrim` takes away is everything after the last slash.
const SEARCHED: &str = "instr(lower(id || ' ' || coalesce(description, '') || ' ' || \
    coalesce(replace(location, rtrim(location, replace(location, '/', '')), ''), '')), lower(?)) > 0";

impl BackupFilter {
    /// Only the conditions that were asked for: so each query finds its index.
    pub(super) fn conditions(&self) -> (Vec<&'static str>, Vec<Value>) {
        let name = |name: &str| Value::Text(name.to_owned());
        let conditions = [
            ("tier = ?", self.tier.map(|tier| name(tier.name()))),
            ("state = ?", self.state.map(|state| name(state.name()))),
            ("plan = ?", self.plan.as_deref().map(name)),
            ("started_at >= ?", self.from.map(|time| Value::Integer(time.as_millisecond()))),
            ("started_at < ?", self.to.map(|time| Value::Integer(time.as_millisecond()))),
            ("(state IN ('succeeded', 'partial')) = ?", self.restorable.then_some(Value::Integer(1))),
            (SEARCHED, self.search.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(name)),
        ];
        conditions.into_iter().filter_map(|(text, value)| Some((text, value?))).unzip()
    }
}
