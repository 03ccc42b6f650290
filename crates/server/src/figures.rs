//! Figures of all backups: for the status document, metrics, watchers and charts.

use crate::state::App;
use crate::view::{TierName, Trust};
use engine::Result;
use engine::catalog::backups::BackupRecord;
use engine::manifest::{State, Tier};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Figures of a plan's tier.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanFigures {
    /// Plan.
    pub plan: String,
    /// Tier.
    #[schema(value_type = TierName)]
    pub tier: Tier,
    /// Backups on record, in all states.
    pub count: u64,
    /// Succeeded ones among them.
    pub succeeded: u64,
    /// Failed ones among them.
    pub failed: u64,
    /// Bytes in the store.
    pub bytes: u64,
    /// Start of the newest succeeded one.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success_at: Option<Timestamp>,
    /// Start of the newest failed one.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_failure_at: Option<Timestamp>,
    /// How long the newest succeeded one took.
    pub last_duration_ms: Option<u64>,
    /// Bytes of the newest succeeded one in its store.
    pub last_bytes: Option<u64>,
    /// How far the newest succeeded one is proven.
    pub trust: Trust,
    /// Start of the newest one that a drill proved.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub newest_proven_at: Option<Timestamp>,
}

/// Figures of the moment.
pub struct Figures {
    /// By plan and tier.
    pub plans: Vec<PlanFigures>,
    /// Backups on record.
    pub count: u64,
    /// Bytes in all stores.
    pub bytes: u64,
    /// The newest backup, whatever became of it.
    pub last: Option<BackupRecord>,
    /// The newest one that failed.
    pub last_failure: Option<BackupRecord>,
}

impl Figures {
    /// Of all backups on record.
    pub fn read(app: &App) -> Result<Self> {
        let records = app.catalog.backups_all()?;
        let mut plans: BTreeMap<(String, Tier), PlanFigures> = BTreeMap::new();
        for record in &records {
            let key = (record.plan.clone(), record.tier);
            plans.entry(key).or_insert_with(|| PlanFigures::none(record)).add(record);
        }
        Ok(Self {
            plans: plans.into_values().collect(),
            count: records.len() as u64,
            bytes: records.iter().filter_map(|record| record.bytes).sum(),
            last_failure: records.iter().find(|record| record.state == State::Failed).cloned(),
            last: records.into_iter().next(),
        })
    }
}

impl PlanFigures {
    fn none(record: &BackupRecord) -> Self {
        Self {
            plan: record.plan.clone(),
            tier: record.tier,
            count: 0,
            succeeded: 0,
            failed: 0,
            bytes: 0,
            last_success_at: None,
            last_failure_at: None,
            last_duration_ms: None,
            last_bytes: None,
            trust: Trust::default(),
            newest_proven_at: None,
        }
    }

    /// Records come newest first: the first of its kind is the newest.
    fn add(&mut self, record: &BackupRecord) {
        self.count += 1;
        self.bytes += record.bytes.unwrap_or(0);
        match record.state {
            State::Succeeded => {
                self.succeeded += 1;
                if self.last_success_at.is_none() {
                    self.last_success_at = Some(record.started_at);
                    self.last_duration_ms = record.duration_ms;
                    self.last_bytes = record.bytes;
                    self.trust = record.trust.into();
                }
                if record.trust.restored.is_some() {
                    self.newest_proven_at = self.newest_proven_at.or(Some(record.started_at));
                }
            }
            State::Failed => {
                self.failed += 1;
                self.last_failure_at = self.last_failure_at.or(Some(record.started_at));
            }
            State::Running | State::Partial | State::Cancelled => {}
        }
    }
}

/// Growth over time.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Oldest first; days without a backup are left out.
    pub days: Vec<DayStatistics>,
    /// Bytes that the stores grow by each day, on average over these days.
    pub growth_bytes_per_day: u64,
    /// Days until the disk is full at this pace; `null` when it does not grow or is not known.
    pub full_in_days: Option<u64>,
}

/// One day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayStatistics {
    /// The day, in the schedules' zone.
    #[schema(example = "2026-11-22")]
    pub date: String,
    /// Backups that succeeded.
    pub succeeded: u64,
    /// Backups that failed or are partial.
    pub failed: u64,
    /// Bytes that they take in their stores.
    pub bytes: u64,
    /// Bytes of content before compression.
    pub content_bytes: u64,
    /// The longest run.
    pub duration_ms_max: u64,
    /// Bytes of everything in the stores at the end of the day, as far as it still lies there.
    pub total_bytes: u64,
}

impl Statistics {
    /// Over the last `days` days.
    pub fn read(app: &App, days: u32) -> Result<Self> {
        let config = app.strongroom.config();
        let now = app.clock.now();
        let since = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
        let mut by_day: BTreeMap<String, DayStatistics> = BTreeMap::new();
        let mut total = 0;
        for record in app.catalog.backups_all()?.iter().rev() {
            total += record.bytes.unwrap_or(0);
            if record.started_at < since {
                continue;
            }
            let date = record.started_at.to_zoned(config.timezone.clone()).date().to_string();
            let day = by_day.entry(date.clone()).or_insert_with(|| DayStatistics { date, ..DayStatistics::default() });
            day.add(record);
            day.total_bytes = total;
        }
        let days: Vec<DayStatistics> = by_day.into_values().collect();
        let growth = match (days.first(), days.last()) {
            (Some(first), Some(last)) if days.len() > 1 => {
                last.total_bytes.saturating_sub(first.total_bytes) / (days.len() as u64 - 1)
            }
            _ => 0,
        };
        let free = app.strongroom.disk()?.map(|disk| disk.free_bytes);
        Ok(Self { days, growth_bytes_per_day: growth, full_in_days: free.and_then(|free| free.checked_div(growth)) })
    }
}

impl DayStatistics {
    fn add(&mut self, record: &BackupRecord) {
        match record.state {
            State::Succeeded => self.succeeded += 1,
            State::Failed | State::Partial => self.failed += 1,
            State::Running | State::Cancelled => {}
        }
        self.bytes += record.bytes.unwrap_or(0);
        self.content_bytes += record.components.iter().map(|component| component.bytes).sum::<u64>();
        self.duration_ms_max = self.duration_ms_max.max(record.duration_ms.unwrap_or(0));
    }
}
