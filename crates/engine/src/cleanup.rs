//! Removes what the retention no longer keeps: planned, shown, then carried out.
//!
//! Order of deleting is the reverse of writing: the record is marked as going (it leaves the catalog), then the sidecar, then
//! the archive. A crash in between leaves an archive without a record, which the next cleanup finds and removes: its id
//! stands in the list of what is being removed.
//!
//! Only what our records own is touched; other people's files in the folder are not.

use crate::catalog::backups::BackupRecord;
use crate::id::Id;
use crate::manifest::{State, Tier};
use crate::retention::{self, RetentionPlan};
use crate::room::{Actor, Room};
use crate::storage::Location;
use crate::{Error, ErrorKind, Result, naming, restore};
use serde::Serialize;
use std::sync::Arc;
use vault::{Progress, Store};

/// The steps that a cleanup reports.
pub const STEPS: &[&str] = &["cleanup.unlisted", "cleanup.sidecar", "cleanup.archive", "cleanup.forgotten"];

/// What a cleanup did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// What was to stay and what was to go, each with its reasons.
    #[serde(flatten)]
    pub plan: RetentionPlan,
    /// Bytes that were freed.
    pub freed_bytes: u64,
    /// Restores that can no longer be undone.
    pub expired_restores: Vec<Id>,
}

/// What a cleanup would remove, and why everything else stays.
pub fn plan(room: &Room) -> Result<RetentionPlan> {
    let records = room.catalog.backups_all()?;
    let restores = room.catalog.restores()?;
    Ok(retention::plan(&records, &restores, &room.config.retention, room.now()))
}

/// Removes what the retention no longer keeps, restores whose undo has expired, and litter.
pub fn run(room: &Room, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Cleaned> {
    let _lock = room.lock_everything()?;
    finish_removals(room, progress)?;
    let expired = restore::expire(room, progress)?;
    let plan = plan(room)?;
    let mut freed_bytes = 0;
    for going in &plan.remove {
        progress.check_cancelled()?;
        if let Some(record) = room.catalog.backup_find(going.id.as_str())? {
            freed_bytes += record.bytes.unwrap_or(0);
            remove(room, &record, progress)?;
        }
    }
    room.sweep()?;
    let details = serde_json::json!({ "removed": plan.remove.iter().map(|going| &going.id).collect::<Vec<_>>(), "freedBytes": freed_bytes });
    room.audit(actor, "cleanup", None, Ok(()), details)?;
    tracing::info!(removed = plan.remove.len(), kept = plan.keep.len(), freed_bytes, "cleanup finished");
    Ok(Cleaned { plan, freed_bytes, expired_restores: expired.into_iter().map(|record| record.id).collect() })
}

/// Deletes one backup because somebody says so.
pub fn delete(room: &Room, wanted: &str, force: bool, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<BackupRecord> {
    let _lock = room.lock_everything()?;
    let record = room.catalog.backup(wanted)?;
    let allowed = may_delete(room, &record, force);
    if let Err(error) = allowed {
        room.audit(actor, "delete", Some(record.id.as_str()), Err(&error), serde_json::json!({}))?;
        return Err(error);
    }
    remove(room, &record, progress)?;
    let details = serde_json::json!({ "tier": record.tier.name(), "startedAt": record.started_at, "force": force });
    room.audit(actor, "delete", Some(record.id.as_str()), Ok(()), details)?;
    Ok(record)
}

fn may_delete(room: &Room, record: &BackupRecord, force: bool) -> Result<()> {
    let refused = |why: String, hint: &str| Err(Error::new(ErrorKind::Refused, format!("the backup {} was not deleted: {why}", record.id), hint));
    if record.pinned {
        return refused("it is pinned".to_owned(), "Unpin it first: `strongroom unpin`.");
    }
    if record.state == State::Running {
        return refused("it is still running".to_owned(), "Wait for its end, or stop it.");
    }
    let good = |other: &BackupRecord| other.state == State::Succeeded && other.plan == record.plan && other.tier != Tier::PreRestore;
    let newest = room.catalog.backups_all()?.into_iter().find(good);
    if !force && newest.is_some_and(|newest| newest.id == record.id) {
        return refused(
            format!("it is the newest good one of the plan {}", record.plan),
            "Take another backup first, or insist with --force.",
        );
    }
    Ok(())
}

/// Removes one backup. Its id is noted first, so that whoever comes after a crash removes the rest.
fn remove(room: &Room, record: &BackupRecord, progress: &Arc<dyn Progress>) -> Result<()> {
    let location = record.location.as_deref().map(|text| Location::parse(room, text)).transpose();
    let location = match location {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => other?,
    };
    room.catalog.backup_remove(&record.id)?;
    progress.step("cleanup.unlisted");
    if let Some(Location::Archive { store, name }) = location {
        remove_archive(&*store, &name, progress)?;
    }
    room.catalog.backup_removed(&record.id)?;
    progress.step("cleanup.forgotten");
    Ok(())
}

fn remove_archive(store: &dyn Store, name: &str, progress: &Arc<dyn Progress>) -> Result<()> {
    store.remove(&naming::sidecar_name(name))?;
    progress.step("cleanup.sidecar");
    store.remove(name)?;
    progress.step("cleanup.archive");
    Ok(())
}

/// Removes the archives of backups whose removal a crash interrupted.
fn finish_removals(room: &Room, progress: &Arc<dyn Progress>) -> Result<()> {
    let going = room.catalog.backups_being_removed()?;
    if going.is_empty() {
        return Ok(());
    }
    for object in room.store.list("")? {
        if naming::id_in_name(&object.name).is_some_and(|id| going.contains(&id)) {
            remove_archive(&*room.store, &object.name, progress)?;
        }
    }
    going.iter().try_for_each(|id| room.catalog.backup_removed(id))
}
