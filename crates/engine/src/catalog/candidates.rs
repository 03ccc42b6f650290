//! What retention needs to know of each backup, gathered from records, restores and locks.

use super::{Catalog, Locks};
use crate::Result;
use crate::retention::Candidate;
use std::collections::HashMap;

impl Catalog {
    /// Every backup as [`retention::plan`](crate::retention::plan) judges it. Whoever removes one takes its
    /// [`removing`](Locks::removing) lock first: it may be read since.
    pub fn retention_candidates(&self, locks: &Locks) -> Result<Vec<Candidate>> {
        let undo_until: HashMap<_, _> = self
            .restores()?
            .into_iter()
            .filter_map(|restore| Some((restore.pre_restore_id?, restore.undo_until?)))
            .collect();
        self.backups_all()?
            .into_iter()
            .map(|record| {
                Ok(Candidate {
                    in_use: locks.is_being_read(&record.id)?,
                    undo_until: undo_until.get(&record.id).copied(),
                    collapsed: record.collapsed.is_some_and(|collapse| !collapse.acknowledged),
                    id: record.id,
                    plan: record.plan,
                    tier: record.tier,
                    state: record.state,
                    started_at: record.started_at,
                    pinned: record.pinned,
                })
            })
            .collect()
    }
}
