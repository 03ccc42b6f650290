//! Makes records out of what lies in the stores: the catalog is a cache, and losing it loses no backup.

use crate::catalog::backups::BackupRecord;
use crate::manifest::Manifest;
use crate::room::{Actor, Room};
use crate::storage::{self, Location};
use crate::{ErrorKind, Result, naming, repository, sidecar};
use serde::Serialize;
use std::sync::Arc;
use vault::archive::Expected;
use vault::{Progress, Store};

/// What a rebuild came to.
#[derive(Debug, Default, Serialize)]
pub struct Rebuilt {
    /// Backups whose records were made.
    pub backups: u64,
    /// Archives of ours that gave no record, and why.
    pub problems: Vec<String>,
}

/// Makes a record of every backup that lies in the backup folder.
pub fn rebuild(room: &Room, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Rebuilt> {
    let mut rebuilt = Rebuilt::default();
    for object in room.store.list("")? {
        if naming::id_in_name(&object.name).is_none() {
            continue;
        }
        progress.phase(&format!("reading {}", object.name), None);
        match from_archive(room, &object.name, object.size_bytes) {
            Ok(found) => rebuilt.backups += room.catalog.rebuild(std::iter::once(Ok(found)))?,
            Err(error) => rebuilt.problems.push(format!("{}: {error}", object.name)),
        }
    }
    for found in repository::backups(room)? {
        match found {
            Ok(found) => rebuilt.backups += room.catalog.rebuild(std::iter::once(Ok(found)))?,
            Err(error) => rebuilt.problems.push(format!("a snapshot in the repository: {error}")),
        }
    }
    let details = serde_json::json!({ "backups": rebuilt.backups, "problems": rebuilt.problems });
    room.audit(actor, "catalog-rebuild", None, Ok(()), details)?;
    Ok(rebuilt)
}

/// The record of one archive: from its sidecar, or, where that is gone, from the archive itself, which gets a new sidecar.
fn from_archive(room: &Room, name: &str, size_bytes: u64) -> Result<(BackupRecord, Manifest)> {
    let location = Location::Archive { store: room.store.clone(), name: name.to_owned() };
    if let Some(sidecar) = sidecar::read(room.store.as_ref(), name)? {
        let manifest = sidecar::manifest(&sidecar, &room.keys())?;
        let mut record = sidecar::record(&sidecar, &manifest, location.text(), room.now());
        record.trust = crate::catalog::backups::Trust { stored: Some(room.now()), ..Default::default() };
        return Ok((record, manifest));
    }
    let mut reader = storage::open(room, &location, &Expected::default())?;
    let manifest = storage::read_manifest(&mut *reader)?;
    let now = room.now();
    let mut record = BackupRecord::from_manifest(&manifest, location.text(), size_bytes, now);
    record.sha256 = Some(hex::encode(vault::archive::hash_stored(room.store.as_ref(), name)?));
    record.trust.re_read = Some(now);
    let key = manifest.key_fingerprint.as_ref().and_then(|print| room.config.encryption.key_with_fingerprint(print));
    sidecar::write(room.store.as_ref(), name, &record, &manifest, key)?;
    Ok((record, manifest))
}

/// Adopts the archive of a run that died between its commit and its record. `None` when it left none.
pub fn adopt(room: &Room, running: &BackupRecord) -> Result<Option<BackupRecord>> {
    let ours = |name: &str| naming::id_in_name(name).as_ref() == Some(&running.id);
    let found = match room.store.list("")?.into_iter().find(|object| ours(&object.name)) {
        Some(object) => from_archive(room, &object.name, object.size_bytes),
        None => match repository::backup_of(room, &running.id) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => return Ok(None),
            Err(error) => Err(error),
        },
    };
    match found {
        Ok((mut record, manifest)) => {
            record.late = running.late;
            room.catalog.backup_finish(&record, Some(&manifest))?;
            Ok(Some(record))
        }
        // Without the key nothing can be said about it; it stays for a rebuild with the key.
        Err(error) if matches!(error.kind(), ErrorKind::NoKey | ErrorKind::WrongKey | ErrorKind::WrongKeyOrDamaged) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
