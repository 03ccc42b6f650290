//! How far a backup is proven without restoring it: it is there, its bytes are what was written, it opens to its end.

use crate::below::Counted;
use crate::catalog::audit::{AuditHead, heads};
use crate::catalog::backups::{BackupRecord, TrustStep};
use crate::locate::{self, Backup};
use crate::manifest::{ComponentKind, Format, Manifest, State};
use crate::room::{Actor, Room};
use crate::storage::Location;
use crate::{Error, ErrorKind, Result, repository};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use vault::{Entry, EntryKind, Progress, Selection, Store, archive};

/// How deep to look; each depth contains those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Is it there, with the right size?
    Stored,
    /// Are its bytes what was written?
    Read,
    /// Can it be decrypted, unpacked and parsed, and does it hold what its manifest lists?
    Open,
}

/// What a verification found about one backup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Its id, or where it lies.
    pub id: String,
    /// Whether everything that was looked at is right.
    pub ok: bool,
    /// What is wrong.
    pub error: Option<crate::catalog::jobs::Failure>,
    /// What is wrong, for the exit code.
    #[serde(skip)]
    pub failure: Option<Error>,
}

/// Verifies one backup: an id, `latest`, or its location.
pub fn one(room: &Room, wanted: &str, depth: Depth, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Verified> {
    let backup = locate::find(room, wanted)?;
    verify(room, &backup, depth, &HashSet::new(), actor, progress)
}

/// Verifies every backup that is supposed to hold something, newest first, whatever the earlier ones come to. What snapshots
/// of the repository share is read once.
pub fn all(room: &Room, depth: Depth, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Vec<Verified>> {
    let whole = |record: &BackupRecord| matches!(record.state, State::Succeeded | State::Partial);
    let records: Vec<_> = room.catalog.backups_all()?.into_iter().filter(whole).collect();
    let sound = if depth >= Depth::Read { sound_snapshots(room, &records, progress)? } else { HashSet::new() };
    let mut found = Vec::new();
    for record in records {
        progress.check_cancelled()?;
        let id = record.id.to_string();
        found.push(match locate::cataloged(room, record) {
            Ok(backup) => verify(room, &backup, depth, &sound, actor, progress)?,
            Err(error) => Verified { id, ok: false, error: Some((&error).into()), failure: Some(error) },
        });
    }
    Ok(found)
}

/// The snapshots whose every blob was just read and found right. Of the others each is looked at by itself, which tells
/// what is wrong with it.
fn sound_snapshots(room: &Room, records: &[BackupRecord], progress: &Arc<dyn Progress>) -> Result<HashSet<String>> {
    let snapshots = records.iter().filter(|record| record.location.as_ref().is_some_and(|text| text.contains('#')));
    if snapshots.count() < 2 {
        return Ok(HashSet::new());
    }
    match repository::whole_snapshots(room, progress) {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        other => Ok(other.unwrap_or_default()),
    }
}

fn verify(
    room: &Room,
    backup: &Backup,
    depth: Depth,
    sound: &HashSet<String>,
    actor: &Actor,
    progress: &Arc<dyn Progress>,
) -> Result<Verified> {
    progress.phase(&format!("verifying {}", backup.label()), None);
    let result = look(room, backup, depth, sound, progress);
    if let Err(error) = &result
        && error.kind() == ErrorKind::Cancelled
    {
        return Err(result.err().unwrap_or_else(|| Error::internal("a cancelled verification")));
    }
    let label = backup.label();
    room.audit(
        actor,
        "verify",
        Some(&label),
        result.as_ref().copied(),
        serde_json::json!({ "depth": format!("{depth:?}") }),
    )?;
    let failure = result.err();
    if let Some(error) = &failure {
        distrust(room, backup, error)?;
        tracing::error!(id = label, error = %crate::chain(error), "verification failed");
    }
    Ok(Verified { id: label, ok: failure.is_none(), error: failure.as_ref().map(Into::into), failure })
}

/// What was found bad is trusted no more: lists say so, and retention does not count it as good. A failure that says nothing
/// about the backup (no key, no permission) leaves it as it was.
pub(crate) fn distrust(room: &Room, backup: &Backup, error: &Error) -> Result<()> {
    let bad = matches!(
        error.kind(),
        ErrorKind::Damaged
            | ErrorKind::Truncated
            | ErrorKind::Mismatch
            | ErrorKind::NotFound
            | ErrorKind::NotABackup
            | ErrorKind::UnsafeEntry
            | ErrorKind::TooLarge
    );
    match &backup.record {
        Some(record) if bad && backup.cataloged => room.catalog.backup_distrust(&record.id),
        _ => Ok(()),
    }
}

fn look(
    room: &Room,
    backup: &Backup,
    depth: Depth,
    sound: &HashSet<String>,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    stored(room, backup)?;
    mark(room, backup, TrustStep::Stored)?;
    if let Location::Snapshot { repository: folder, snapshot } = &backup.location
        && depth >= Depth::Read
    {
        // A snapshot has no bytes of its own: reading it back is opening it, every blob by its hash.
        if *folder == repository::folder(room) && sound.contains(snapshot) {
            open_listed(room, backup, folder, snapshot, progress)?;
        } else {
            open(room, backup, progress)?;
        }
        mark(room, backup, TrustStep::ReRead)?;
        return mark(room, backup, TrustStep::Opened);
    }
    if depth >= Depth::Read {
        read_back(backup)?;
        mark(room, backup, TrustStep::ReRead)?;
    }
    if depth >= Depth::Open {
        open(room, backup, progress)?;
        mark(room, backup, TrustStep::Opened)?;
    }
    Ok(())
}

fn mark(room: &Room, backup: &Backup, step: TrustStep) -> Result<()> {
    match &backup.record {
        Some(record) if backup.cataloged => room.catalog.backup_trust(&record.id, step, room.now()),
        _ => Ok(()),
    }
}

fn stored(room: &Room, backup: &Backup) -> Result<()> {
    let (store, name) = match &backup.location {
        Location::Archive { store, name } => (store, name),
        Location::Snapshot { repository: folder, snapshot } => return repository::stat(room, folder, snapshot),
    };
    let info = store.stat(name)?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("{} is gone", backup.location.text()),
            "Bring it back from another copy, or delete its record with `strongroom delete`.",
        )
    })?;
    match backup.known.size_bytes {
        Some(expected) if info.size_bytes < expected => Err(Error::new(
            ErrorKind::Truncated,
            format!("{} has {} bytes, {expected} were written", backup.location.text(), info.size_bytes),
            "It was cut off: use another copy of it or an older backup.",
        )),
        Some(expected) if info.size_bytes > expected => Err(damaged(backup, "it has grown since it was written")),
        _ => Ok(()),
    }
}

fn read_back(backup: &Backup) -> Result<()> {
    let Location::Archive { store, name } = &backup.location else { return Ok(()) };
    let Some(expected) = backup.known.sha256 else { return Ok(()) };
    if archive::hash_stored(store.as_ref(), name)? == expected {
        return Ok(());
    }
    Err(damaged(backup, "its bytes are not those that were written (SHA-256)"))
}

fn damaged(backup: &Backup, why: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("{}: {why}", backup.location.text()),
        "Use another copy of it or an older backup, and check the disk it lies on.",
    )
}

/// Entries and bytes found, by component.
#[derive(Default)]
struct Tally(BTreeMap<String, (u64, u64)>);

impl Tally {
    fn add(&mut self, entry: &Entry, bytes: u64) {
        let (component, _) = entry.path.split_first();
        let counts = self.0.entry(String::from_utf8_lossy(component).into_owned()).or_default();
        *counts = (counts.0 + 1, counts.1 + bytes);
    }
}

/// Reads every entry to its end and counts what each component holds.
fn open(room: &Room, backup: &Backup, progress: &Arc<dyn Progress>) -> Result<()> {
    let (mut reader, manifest) = backup.open_with_manifest(room)?;
    let mut found = Tally::default();
    let mut visitor = |entry: &Entry, content: &mut dyn Read| {
        progress.check_cancelled()?;
        let bytes = match entry.kind {
            EntryKind::File { .. } => {
                std::io::copy(&mut Counted { content, progress: &**progress }, &mut std::io::sink())
                    .map_err(|cause| vault::error::from_io(format!("reading {}", entry.path), cause))?
            }
            _ => 0,
        };
        found.add(entry, bytes);
        Ok(())
    };
    reader.visit(&Selection::all(), &mut visitor)?;
    compare_counts(&manifest, &found)
}

/// The same of a snapshot whose blobs were all read before: only what it lists is counted.
fn open_listed(
    room: &Room,
    backup: &Backup,
    folder: &Path,
    snapshot: &str,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let mut reader = repository::read(room, folder, snapshot)?;
    let manifest = backup.manifest_of(&mut reader)?;
    let mut found = Tally::default();
    reader.list(&mut |entry| {
        progress.check_cancelled()?;
        let bytes = if let EntryKind::File { size_bytes } = entry.kind { size_bytes.unwrap_or(0) } else { 0 };
        found.add(entry, bytes);
        Ok(())
    })?;
    compare_counts(&manifest, &found)
}

/// A JSON archive's document has grown by its manifest, and a repository shows folders that nobody handed over: there only
/// the one figure is compared that means the same.
fn compare_counts(manifest: &Manifest, found: &Tally) -> Result<()> {
    for component in &manifest.components {
        let (entries, bytes) = found.0.get(&component.name).copied().unwrap_or_default();
        let same = match manifest.archive {
            Format::Json => entries == component.entries && bytes >= component.bytes,
            Format::Tar if component.kind == ComponentKind::Logs => entries == component.entries,
            Format::Tar => entries == component.entries && bytes == component.bytes,
            Format::Repository => entries >= component.entries && bytes >= component.bytes,
        };
        if !same {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "component {}: the manifest says {} entries and {} bytes, the backup holds {entries} and {bytes}",
                    component.name, component.entries, component.bytes
                ),
                "Use another copy of it or an older backup; if it was never touched, report a defect.",
            ));
        }
    }
    Ok(())
}

/// Every head of the audit chain that was recorded outside the catalog: at starts, and in the manifests of backups.
pub fn audit_heads(room: &Room) -> Result<Vec<AuditHead>> {
    let mut known = heads::read(room.state_folder())?;
    for record in room.catalog.backups_all()? {
        let Some(manifest) = room.catalog.manifest(&record.id)? else { continue };
        known.extend(manifest.audit_head.iter().filter_map(|text| text.parse().ok()));
    }
    Ok(known)
}
