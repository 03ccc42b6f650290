//! Figures of backups by plan and tier, counted by the database: a watcher asks every minute, a page and a monitoring
//! system more often, and nobody should wait behind ten thousand records being read.

use super::{Catalog, failed, row};
use crate::Result;
use crate::manifest::Tier;
use jiff::Timestamp;

/// Figures of one plan's tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFigures {
    /// The plan.
    pub plan: String,
    /// The tier.
    pub tier: Tier,
    /// Backups in all states.
    pub count: u64,
    /// Succeeded ones among them.
    pub succeeded: u64,
    /// Failed ones among them.
    pub failed: u64,
    /// Bytes in their stores.
    pub bytes: u64,
    /// Start of the newest succeeded one.
    pub last_success_at: Option<Timestamp>,
    /// Start of the newest failed one.
    pub last_failure_at: Option<Timestamp>,
    /// Start of the newest one that a drill proved.
    pub newest_proven_at: Option<Timestamp>,
}

impl Catalog {
    /// Figures by plan and tier, in their order.
    pub fn figures(&self) -> Result<Vec<BackupFigures>> {
        let doing = |cause| failed("counting the backups", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT plan, tier, count(*), sum(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END),
                 sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), coalesce(sum(bytes), 0),
                 max(CASE WHEN state = 'succeeded' THEN started_at END),
                 max(CASE WHEN state = 'failed' THEN started_at END),
                 max(CASE WHEN state = 'succeeded' AND restored_at IS NOT NULL THEN started_at END)
                 FROM backups GROUP BY plan, tier ORDER BY plan, tier",
            )
            .map_err(doing)?;
        let rows = statement
            .query_map([], |row| {
                let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok(BackupFigures {
                    plan: row.get(0)?,
                    tier: row::named(row, 1, Tier::parse)?,
                    count: count(2)?,
                    succeeded: count(3)?,
                    failed: count(4)?,
                    bytes: count(5)?,
                    last_success_at: row::time_optional(row, 6)?,
                    last_failure_at: row::time_optional(row, 7)?,
                    newest_proven_at: row::time_optional(row, 8)?,
                })
            })
            .map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }
}
