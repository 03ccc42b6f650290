//! Removes what the retention no longer keeps: planned, shown, then carried out.
//!
//! Order of deleting is the reverse of writing: the record, the sidecar, the archive. A note laid down before says what is
//! going: after a crash in between, the next start of any command removes the rest.
//!
//! Only what our records own is touched; other people's files in the folder are not.

use crate::catalog::backups::BackupRecord;
use crate::id::Id;
use crate::manifest::State;
use crate::repository::{self, Pruned, Unused};
use crate::restore::journal::write_durably;
use crate::retention::{self, Candidate, RetentionPlan};
use crate::room::{Actor, Room};
use crate::storage::Location;
use crate::{Error, ErrorKind, Result, naming, restore};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use vault::error::IoContext;
use vault::{Progress, Store};

/// What a cleanup did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// What was to stay and what was to go, each with its reasons.
    #[serde(flatten)]
    pub plan: RetentionPlan,
    /// Bytes that were freed: archives, and what the repository no longer holds.
    pub freed_bytes: u64,
    /// Restores that can no longer be undone.
    pub expired_restores: Vec<Id>,
    /// What became of the repository, where there is one.
    pub repository: Option<Pruned>,
}

/// What a cleanup would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// What would stay and what would go, each with its reasons.
    #[serde(flatten)]
    pub plan: RetentionPlan,
    /// What of the repository, where there is one, no backup uses now. What only those use that would go is not among it yet.
    pub repository: Option<Unused>,
    /// What kept the repository from being looked at, and would keep a cleanup: damage, perhaps.
    pub obstacle: Option<String>,
}

impl Planned {
    /// For people: what becomes of the repository.
    pub fn repository_line(&self) -> Option<String> {
        let obstacle = self.obstacle.as_ref();
        let line = obstacle.map(|why| format!("What the repository holds unused cannot be found out: {why}"));
        line.or_else(|| self.repository.and_then(Unused::to_line))
    }
}

/// What a cleanup would remove, and why everything else stays.
pub fn plan(room: &Room) -> Result<Planned> {
    let (repository, obstacle) = match repository::unused(room) {
        Ok(unused) => (unused, None),
        Err(error) => (None, Some(format!("{}. {}", error.message(), error.hint()))),
    };
    Ok(Planned { plan: retained(room)?, repository, obstacle })
}

fn retained(room: &Room) -> Result<RetentionPlan> {
    Ok(retention::plan(&candidates(room)?, &room.config.retention, room.now()))
}

fn candidates(room: &Room) -> Result<Vec<Candidate>> {
    let restores = room.catalog.restores()?;
    let undo_until = |id: &Id| {
        restores
            .iter()
            .find(|restore| restore.pre_restore_id.as_ref() == Some(id))
            .and_then(|restore| restore.undo_until)
    };
    let candidate = |record: BackupRecord| {
        Ok(Candidate {
            undo_until: undo_until(&record.id),
            in_use: room.locks.is_being_read(&record.id)?,
            collapsed: record.collapsed.as_ref().is_some_and(|collapse| !collapse.acknowledged),
            id: record.id,
            plan: record.plan,
            tier: record.tier,
            // What a verification found bad is not what retention may rely on.
            state: if record.state == State::Succeeded && record.trust.stored.is_none() {
                State::Partial
            } else {
                record.state
            },
            started_at: record.started_at,
            pinned: record.pinned,
        })
    };
    room.catalog.backups_all()?.into_iter().map(candidate).collect()
}

/// Removes what the retention no longer keeps, restores whose undo has expired, and litter.
pub fn run(room: &Room, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Cleaned> {
    let _lock = room.lock_everything("cleanup")?;
    let expired = restore::expire(room, progress)?;
    let plan = retained(room)?;
    let mut freed_bytes = 0;
    for going in &plan.remove {
        progress.check_cancelled()?;
        if let Some(record) = room.catalog.backup_find(going.id.as_str())? {
            freed_bytes += freed_by(&record);
            remove(room, &record, progress)?;
        }
    }
    room.sweep()?;
    let repository = repository::prune(room, progress)?;
    freed_bytes += repository.as_ref().map_or(0, |pruned| pruned.removed_bytes);
    let details = serde_json::json!({ "removed": plan.remove.iter().map(|going| &going.id).collect::<Vec<_>>(), "freedBytes": freed_bytes });
    room.audit(actor, "cleanup", None, Ok(()), details)?;
    tracing::info!(removed = plan.remove.len(), kept = plan.keep.len(), freed_bytes, "cleanup finished");
    let expired_restores = expired.into_iter().map(|record| record.id).collect();
    Ok(Cleaned { plan, freed_bytes, expired_restores, repository })
}

/// Bytes that come back at once when a backup goes. What a snapshot leaves unused in its repository comes back later.
pub fn freed_by(record: &BackupRecord) -> u64 {
    let is_snapshot = record.location.as_deref().is_some_and(Location::is_snapshot);
    if is_snapshot { 0 } else { record.bytes.unwrap_or(0) }
}

/// Deletes one backup because somebody says so.
pub fn delete(
    room: &Room,
    wanted: &str,
    force: bool,
    actor: &Actor,
    progress: &Arc<dyn Progress>,
) -> Result<BackupRecord> {
    let _lock = room.lock_everything("delete")?;
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
    let refused = |why: &str, hint: &str| {
        Err(Error::new(ErrorKind::Refused, format!("the backup {} was not deleted: {why}", record.id), hint))
    };
    if record.pinned {
        return refused("it is pinned", "Unpin it first: `strongroom unpin`.");
    }
    if record.state == State::Running {
        return refused("it is still running", "Wait for its end, or stop it.");
    }
    match retention::refuse_deletion(&record.id, &candidates(room)?) {
        Some(why) if !force => refused(&why, "Take another backup first, or insist with --force."),
        _ => Ok(()),
    }
}

/// Removes one backup. A note that it is going is laid down first: whoever comes after a crash removes the rest.
fn remove(room: &Room, record: &BackupRecord, progress: &Arc<dyn Progress>) -> Result<()> {
    let _lock = room.locks.removing(&record.id)?;
    let location = record.location.as_deref().map(|text| Location::parse(room, text)).transpose();
    let location = match location {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => other?,
    };
    let note = Note::leave(room, &record.id)?;
    progress.step("cleanup.noted");
    room.catalog.backup_forget(&record.id)?;
    progress.step("cleanup.unlisted");
    match location {
        Some(Location::Archive { store, name }) => remove_archive(store.as_ref(), &name, progress)?,
        Some(Location::Snapshot { repository: folder, snapshot }) => repository::forget(room, &folder, &snapshot)?,
        None => {}
    }
    room.locks.forget(&record.id)?;
    note.take_away()?;
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

/// Finishes removals that a crash interrupted.
pub(crate) fn finish_removals(room: &Room, progress: &Arc<dyn Progress>) -> Result<()> {
    let notes = Note::all(room)?;
    if notes.is_empty() {
        return Ok(());
    }
    let objects = room.store.list("")?;
    for note in notes {
        room.catalog.backup_forget(&note.id)?;
        for object in objects.iter().filter(|object| naming::id_in_name(&object.name).as_ref() == Some(&note.id)) {
            remove_archive(room.store.as_ref(), &object.name, progress)?;
        }
        if let Some((record, _)) = repository::backup_of(room, &note.id)?
            && let Some(Location::Snapshot { repository: folder, snapshot }) =
                record.location.as_deref().map(|text| Location::parse(room, text)).transpose()?
        {
            repository::forget(room, &folder, &snapshot)?;
        }
        room.locks.forget(&note.id)?;
        note.take_away()?;
    }
    Ok(())
}

/// An empty file in the state folder that says: this backup is being removed.
struct Note {
    id: Id,
    path: PathBuf,
}

impl Note {
    fn leave(room: &Room, id: &Id) -> Result<Self> {
        let folder = room.state_folder().join("removing");
        std::fs::create_dir_all(&folder).doing(|| format!("making the folder {}", folder.display()))?;
        let path = folder.join(id.as_str());
        write_durably(&path, b"")?;
        Ok(Self { id: id.clone(), path })
    }

    fn all(room: &Room) -> Result<Vec<Self>> {
        let folder = room.state_folder().join("removing");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(Error::io(format!("looking into {}", folder.display()), cause)),
        };
        let note = |entry: std::fs::DirEntry| {
            let id = Id::parse(&entry.file_name().to_string_lossy()).ok()?;
            Some(Self { id, path: entry.path() })
        };
        Ok(entries.flatten().filter_map(note).collect())
    }

    fn take_away(self) -> Result<()> {
        std::fs::remove_file(&self.path).doing(|| format!("removing {}", self.path.display()))
    }
}
