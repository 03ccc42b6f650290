//! Which runs have happened: what makes a run happen once, whatever the clock does.
//!
//! A slot that is recorded never runs again. After a downtime only the newest missed slot is due, marked late. Clocks
//! jump: a slot that ran under a clock that was days ahead is *doubtful* once the clock has gone back. Reached again by
//! ordinary passing of time, it runs (its real day must not be lost); passed over by a jump forward, it stays done (the
//! clock was merely wrong in between, and the day must not be repeated).

use super::{Schedule, Slot};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Later than this after its time, a run counts as late.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// A step of the clock of more than this, forward or back, is a jump (or a downtime).
const JUMP: SignedDuration = SignedDuration::from_hours(24);
/// Slots to remember. Only the newest few can ever be asked for again.
const REMEMBERED_MAX: usize = 256;

/// The memory of one schedule, to be stored as JSON between starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ledger {
    /// Nothing before this was missed: the catalog was new, or the schedules had been stopped.
    since: Timestamp,
    /// The clock when it was last asked.
    seen: Timestamp,
    done: BTreeMap<DateTime, Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    at: Timestamp,
    doubtful: bool,
}

/// A run that should start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which one.
    pub slot: Slot,
    /// Its time passed while the service was down or the clock jumped.
    pub late: bool,
}

impl Ledger {
    /// Of a new catalog, or after schedules were stopped and started: no run was missed before `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self { since: now, seen: now, done: BTreeMap::new() }
    }

    /// Schedules were stopped on purpose: what would have run until `now` was not missed.
    pub fn resume(&mut self, now: Timestamp) {
        self.since = now;
    }

    /// The clock when it was last asked.
    pub const fn seen(&self) -> Timestamp {
        self.seen
    }

    /// The run to start at `now`, if any. It stays due until it is [recorded](Self::record).
    pub fn due(&mut self, schedule: &Schedule, now: Timestamp) -> Option<Due> {
        self.watch(now);
        let slot = schedule.latest_at(now)?;
        // After the clock went back behind `since`, waiting for it would lose the days between.
        let since = if now < self.since { now - JUMP } else { self.since };
        if slot.at <= since || self.done.contains_key(&slot.local) {
            return None;
        }
        Some(Due { slot, late: now.duration_since(slot.at) > LATE_AFTER })
    }

    /// The run was started (or skipped on purpose): it never runs again. Store the ledger in the same transaction.
    pub fn record(&mut self, slot: Slot) {
        self.done.insert(slot.local, Mark { at: slot.at, doubtful: false });
        while self.done.len() > REMEMBERED_MAX {
            self.done.pop_first();
        }
    }

    fn watch(&mut self, now: Timestamp) {
        let step = now.duration_since(self.seen);
        if step < -JUMP {
            self.done.values_mut().filter(|mark| mark.at > now).for_each(|mark| mark.doubtful = true);
        } else if step > JUMP {
            self.done.values_mut().filter(|mark| mark.at <= now).for_each(|mark| mark.doubtful = false);
        } else {
            self.done.retain(|_, mark| !(mark.doubtful && mark.at <= now));
        }
        self.seen = now;
    }
}
