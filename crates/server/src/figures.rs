//! Figures of all backups: for the status document, metrics, watchers and charts.

use crate::state::App;
use crate::view::{TierName, Trust};
use engine::Result;
use engine::catalog::backups::{BackupFilter, BackupRecord};
use engine::manifest::{State, Tier};
use jiff::civil::Date;
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
    /// How long the plan's newest drill took to restore: the recovery time to expect.
    pub expected_restore_ms: Option<u64>,
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
        let counted = app.catalog.figures()?;
        let newest = |filter: BackupFilter| -> Result<Option<BackupRecord>> {
            Ok(app.catalog.backups(&BackupFilter { limit: Some(1), ..filter })?.backups.into_iter().next())
        };
        let mut plans = Vec::new();
        for one in &counted {
            let wanted = BackupFilter {
                plan: Some(one.plan.clone()),
                tier: Some(one.tier),
                state: Some(State::Succeeded),
                ..BackupFilter::default()
            };
            let last = if one.succeeded > 0 { newest(wanted)? } else { None };
            plans.push(PlanFigures {
                plan: one.plan.clone(),
                tier: one.tier,
                count: one.count,
                succeeded: one.succeeded,
                failed: one.failed,
                bytes: one.bytes,
                last_success_at: one.last_success_at,
                last_failure_at: one.last_failure_at,
                last_duration_ms: last.as_ref().and_then(|last| last.duration_ms),
                last_bytes: last.as_ref().and_then(|last| last.bytes),
                trust: last.map(|last| last.trust.into()).unwrap_or_default(),
                newest_proven_at: one.newest_proven_at,
                expected_restore_ms: app.catalog.restore_measured(&one.plan)?.map(|(_, duration_ms)| duration_ms),
            });
        }
        Ok(Self {
            plans,
            count: counted.iter().map(|one| one.count).sum(),
            bytes: counted.iter().map(|one| one.bytes).sum(),
            last: newest(BackupFilter::default())?,
            last_failure: newest(BackupFilter { state: Some(State::Failed), ..BackupFilter::default() })?,
        })
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
        let growth = growth_per_day(&days);
        let free = app.strongroom.disk()?.map(|disk| disk.free_bytes);
        Ok(Self { days, growth_bytes_per_day: growth, full_in_days: free.and_then(|free| free.checked_div(growth)) })
    }
}

/// By the calendar: days without a backup count too.
fn growth_per_day(days: &[DayStatistics]) -> u64 {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return 0 };
    let date = |day: &DayStatistics| day.date.parse::<Date>();
    let (Ok(from), Ok(to)) = (date(first), date(last)) else { return 0 };
    let passed = u64::try_from(from.until(to).map_or(0, |span| span.get_days())).unwrap_or(0);
    last.total_bytes.saturating_sub(first.total_bytes).checked_div(passed).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_days_without_backups() {
        let day =
            |date: &str, total_bytes| DayStatistics { date: date.to_owned(), total_bytes, ..DayStatistics::default() };
        assert_eq!(growth_per_day(&[]), 0);
        assert_eq!(growth_per_day(&[day("2026-03-01", 500)]), 0);
        assert_eq!(growth_per_day(&[day("2026-02-27", 100), day("2026-03-01", 300), day("2026-03-09", 1100)]), 100);
        assert_eq!(growth_per_day(&[day("2026-03-01", 500), day("2026-03-02", 100)]), 0, "it shrank");
    }
}
