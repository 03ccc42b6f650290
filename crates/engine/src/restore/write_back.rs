//! Takes back what was overwritten in a transaction: the backup that was made before is written the same way, and what is
//! there now is backed up first, to be had again in turn.
//!
//! Invariant: nothing has changed when this returns; the transaction waits for its commit, which comes last of all.

use super::journal::Journal;
use super::stage::{self, Staged};
use crate::catalog::restores::RestoreRecord;
use crate::id::Id;
use crate::room::{Actor, Room};
use crate::target::{Context, Target, WayBack};
use crate::{Error, ErrorKind, Result, locate};
use std::sync::Arc;
use vault::Progress;

/// Prepares the last of `targets`, if it was overwritten. Returns the backup of what is there now.
pub(super) fn prepare(
    room: &Room,
    record: &RestoreRecord,
    journal: &Journal,
    targets: &mut Vec<Box<dyn Target>>,
    (actor, disconnect_clients): (&Actor, bool),
    progress: &Arc<dyn Progress>,
) -> Result<Option<Id>> {
    let (Some(last), Some(config)) = (targets.last_mut(), journal.components.last()) else { return Ok(None) };
    if last.way_back()? != WayBack::Backup {
        return Ok(None);
    }
    let before = record.pre_restore_id.as_ref().ok_or_else(|| no_backup(record, &config.name))?;
    let secured =
        super::before(room, actor, vec![config.name.clone()], format!("before the undo of {}", record.id), progress)?;
    progress.phase("checking the backup", None);
    let (mut reader, manifest) = locate::find(room, before.as_str())?.open_with_manifest(room)?;
    let mut part = manifest
        .components
        .iter()
        .find(|part| part.name == config.name)
        .cloned()
        .ok_or_else(|| no_backup(record, &config.name))?;
    if !journal.tables.is_empty() {
        part.figures = part.figures.of_tables(&journal.tables);
    }
    let context = Context { progress: &**progress, hash_key: manifest.hash_key()?, disconnect_clients };
    if let Some(why) = last.inspect(&context, &part)?.obstacles.first() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("component {}: {why}", config.name),
            "Nothing was touched. Remove the obstacle and try again.",
        ));
    }
    let Some(target) = targets.pop() else { return Ok(None) };
    let mut staged = [Staged { manifest: part, target }];
    stage::stage(&mut *reader, &manifest, &mut staged, &journal.tables, &context)?;
    targets.extend(staged.map(|staged| staged.target));
    Ok(Some(secured))
}

fn no_backup(record: &RestoreRecord, component: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "{component} was overwritten by the restore {}, and no backup of what was there before is left",
            record.id
        ),
        "`strongroom list` shows the backups that can be restored instead.",
    )
}
