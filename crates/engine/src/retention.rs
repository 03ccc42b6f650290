//! What is kept and what goes, and why. Pure: records and policy in, a plan out; nothing is removed here.
//!
//! Invariant: of every plan and scheduled tier, the newest good backup is never in `remove`; neither is one that is pinned,
//! being read, running, made by hand, or older than a collapse that nobody acknowledged; nor the newest partial one of a
//! plan that has nothing better since. Every backup is in exactly one of the two lists, each with its reason in words.
//! Carrying the plan out and planning again removes nothing more.
//!
//! The uncomfortable consequence: an unacknowledged collapse stops retention of its plan, and the disk fills until a
//! person has looked. That is the point: the backups before it may be the only good ones.

use crate::config::RetentionSettings;
use crate::id::Id;
use crate::manifest::{State, Tier};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// What retention must know of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: Id,
    /// The plan that made it.
    pub plan: String,
    /// Why it was made.
    pub tier: Tier,
    /// How it came out.
    pub state: State,
    /// When its run started.
    pub started_at: Timestamp,
    /// Somebody wants to keep it.
    pub pinned: bool,
    /// Somebody reads it now.
    pub in_use: bool,
    /// It collapsed against its predecessor, and nobody has said that this is right.
    pub collapsed: bool,
    /// Pre-restore backups: until when their restore can be undone. `None` when that restore is over or unknown.
    pub undo_until: Option<Timestamp>,
}

/// What is kept and what goes; both newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetentionPlan {
    /// With every reason.
    pub keep: Vec<Kept>,
    /// With the reason.
    pub remove: Vec<Removed>,
}

/// A backup that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its id.
    pub id: Id,
    /// Why, for people; never empty.
    pub reasons: Vec<String>,
}

/// A backup that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Its id.
    pub id: Id,
    /// Why, for people.
    pub reason: String,
}

/// Decides about every backup.
pub fn plan(backups: &[Candidate], policy: &RetentionSettings, now: Timestamp) -> RetentionPlan {
    let mut newest_first: Vec<&Candidate> = backups.iter().collect();
    newest_first.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    let blocked = older_than_a_collapse(&newest_first);
    let mut good_so_far = BTreeMap::new();
    let mut plans_with_data = HashSet::new();
    let mut decided = RetentionPlan::default();
    for backup in newest_first {
        let rank = (backup.state == State::Succeeded).then(|| {
            let count: &mut u32 = good_so_far.entry((backup.plan.as_str(), backup.tier)).or_default();
            *count += 1;
            *count
        });
        let has_data = matches!(backup.state, State::Succeeded | State::Partial) && backup.tier != Tier::PreRestore;
        let first_with_data = has_data && plans_with_data.insert(backup.plan.as_str());
        let mut reasons = protections(backup, blocked.contains(&backup.id));
        if first_with_data && backup.state == State::Partial {
            reasons.push("it is partial, but its plan has nothing better since".to_owned());
        }
        match judge(backup, rank, policy, now) {
            Judgement::Keep(reason) => reasons.push(reason),
            Judgement::Remove(reason) if reasons.is_empty() => {
                decided.remove.push(Removed { id: backup.id.clone(), reason });
                continue;
            }
            Judgement::Remove(_) => {}
        }
        decided.keep.push(Kept { id: backup.id.clone(), reasons });
    }
    decided
}

/// Why a person may not delete this backup without `--force`: it is the newest good one of its plan.
pub fn refuse_deletion(id: &Id, backups: &[Candidate]) -> Option<String> {
    let counts = |backup: &&Candidate| backup.state == State::Succeeded && backup.tier != Tier::PreRestore;
    let target = backups.iter().find(|backup| backup.id == *id).filter(counts)?;
    let newest = backups
        .iter()
        .filter(|backup| counts(backup) && backup.plan == target.plan)
        .max_by_key(|backup| (backup.started_at, &backup.id))?;
    (newest.id == *id).then(|| format!("it is the newest good backup of the plan {}", target.plan))
}

enum Judgement {
    Keep(String),
    Remove(String),
}

/// What keeps a backup whatever the policy says.
fn protections(backup: &Candidate, blocked: bool) -> Vec<String> {
    [
        (backup.pinned, "it is pinned"),
        (backup.in_use, "it is being read"),
        (backup.collapsed, "it is much smaller than its predecessor, and nobody has acknowledged that"),
        (blocked, "a later backup of its plan is much smaller, and nobody has acknowledged that"),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .map(|(_, reason)| reason.to_owned())
    .collect()
}

fn judge(backup: &Candidate, rank: Option<u32>, policy: &RetentionSettings, now: Timestamp) -> Judgement {
    use Judgement::Keep;
    match (backup.state, rank, backup.tier) {
        (State::Running, ..) => Keep("it is running".to_owned()),
        (State::Partial | State::Succeeded, _, Tier::Manual) => {
            Keep("it was made by hand and stays until somebody deletes it".to_owned())
        }
        (State::Partial | State::Failed | State::Cancelled, ..) => judge_bad(backup, policy, now),
        (_, _, Tier::PreRestore) => judge_pre_restore(backup, policy, now),
        (_, rank, tier) => judge_scheduled(rank.unwrap_or(1), tier, policy),
    }
}

fn judge_pre_restore(backup: &Candidate, policy: &RetentionSettings, now: Timestamp) -> Judgement {
    match backup.undo_until {
        Some(until) if now < until => Judgement::Keep(format!("its restore can be undone until {until}")),
        None if is_recent(backup, policy, now) => {
            Judgement::Keep(format!("no restore is known for it; it stays for {} days", policy.failed_days))
        }
        _ => Judgement::Remove("the restore that it was taken for can no longer be undone".to_owned()),
    }
}

fn is_recent(backup: &Candidate, policy: &RetentionSettings, now: Timestamp) -> bool {
    now.duration_since(backup.started_at) < days(policy.failed_days)
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

fn judge_bad(backup: &Candidate, policy: &RetentionSettings, now: Timestamp) -> Judgement {
    let state = backup.state.name();
    if is_recent(backup, policy, now) {
        return Judgement::Keep(format!("{state}, kept for {} days to be looked into", policy.failed_days));
    }
    Judgement::Remove(format!("{state}, more than {} days ago", policy.failed_days))
}

fn judge_scheduled(rank: u32, tier: Tier, policy: &RetentionSettings) -> Judgement {
    let wanted = match tier {
        Tier::Daily => policy.daily,
        Tier::Weekly => policy.weekly,
        _ => policy.monthly,
    };
    let tier = tier.name();
    match rank {
        1 if wanted == 0 => Judgement::Keep(format!("it is the newest good {tier} backup, which always stays")),
        rank if rank <= wanted => Judgement::Keep(format!("{tier} backup {rank} of {wanted}")),
        _ => Judgement::Remove(format!("{wanted} newer good {tier} backups are kept")),
    }
}

/// Backups of a plan that started before its newest unacknowledged collapse.
fn older_than_a_collapse(newest_first: &[&Candidate]) -> HashSet<Id> {
    let mut collapsed = HashSet::new();
    let mut blocked = HashSet::new();
    for backup in newest_first {
        let has_data = matches!(backup.state, State::Succeeded | State::Partial);
        if has_data && collapsed.contains(backup.plan.as_str()) {
            blocked.insert(backup.id.clone());
        }
        if backup.collapsed {
            collapsed.insert(backup.plan.as_str());
        }
    }
    blocked
}

#[cfg(test)]
mod tests;
