//! The repository of a room: `repository` in the backup folder, in restic's format, opened by the same key as archives.
//!
//! Each backup of the format `repository` is a snapshot, with its manifest as `manifest.json` in the snapshot's root and its
//! id, plan and tier as tags: the snapshots alone make the catalog anew. Stock `restic` opens it with the key's 64 digits as
//! the password.

use crate::backup::Job;
use crate::catalog::backups::BackupRecord;
use crate::id::Id;
use crate::manifest::Manifest;
use crate::notify::size;
use crate::room::{Actor, Room};
use crate::storage::{self, Location};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::repository::{
    self as vault_repository, CheckDepth, Environment, Finding, LostFile, Options, PruneOptions, Repository,
    RepositoryReader, Secret, Snapshot, WriterOptions,
};
use vault::store::LocalStore;
use vault::{EntryWriter, Key, Progress, Timestamp};

/// Name of the folder in `BACKUP_DIR`.
pub const FOLDER: &str = "repository";
const ID_TAG: &str = "id:";

/// The folder of a room's repository.
pub fn folder(room: &Room) -> PathBuf {
    room.config.backup_dir.join(FOLDER)
}

/// A room's repository, if it has one.
pub fn existing(room: &Room) -> Result<Option<Repository>> {
    let folder = folder(room);
    if folder.join("config").exists() { open(room, &folder).map(Some) } else { Ok(None) }
}

fn open(room: &Room, folder: &Path) -> Result<Repository> {
    let keys = room.keys();
    if keys.is_empty() {
        return Err(Error::new(
            ErrorKind::NoKey,
            format!("the repository {} is encrypted and there is no key", folder.display()),
            "Give the key that was in use when it was made (BACKUP_ENCRYPTION_KEY); the recovery kit has it.",
        ));
    }
    let store = Arc::new(LocalStore::open(folder)?);
    Repository::open(store, Secret::Keys(&keys), environment(room), Options::default())
}

fn environment(room: &Room) -> Environment {
    let clock = room.clock.clone();
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let now = move || {
        let now = clock.now();
        Timestamp { seconds: now.as_second(), nanoseconds: now.subsec_nanosecond().unsigned_abs() }
    };
    Environment::new(hostname, "strongroom", now)
}

/// Begins a backup in the repository, which is made if need be.
pub fn create(room: &Room, job: &Job, progress: &Arc<dyn Progress>) -> Result<Box<dyn EntryWriter>> {
    let key = job.key.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::NoKey,
            "a repository is always encrypted, but backups are configured to be written plainly",
            "Make a key with `strongroom key generate`, or use the format tar.",
        )
    })?;
    let repository = match existing(room)? {
        Some(repository) => repository,
        None => make(room, key)?,
    };
    // After a rotation: whoever has the current key must be able to open what it is said to open.
    repository.ensure_key(key)?;
    let plan = format!("plan:{}", job.plan);
    let parent = repository.list()?.0.into_iter().rev().find(|snapshot| snapshot.tags.contains(&plan));
    let options = WriterOptions {
        parent: parent.map(|parent| parent.id),
        tags: vec!["strongroom".to_owned(), plan, format!("tier:{}", job.tier.name()), format!("{ID_TAG}{}", job.id)],
        paths: job.components.iter().map(|component| format!("/{}", component.name)).collect(),
        force_reread: job.force_reread,
        ..WriterOptions::default()
    };
    Ok(Box::new(repository.writer(options, progress.clone())?))
}

fn make(room: &Room, key: &Key) -> Result<Repository> {
    let store = Arc::new(LocalStore::create_root(folder(room))?);
    Repository::init(store, key, environment(room), Options::default())
}

/// Opens a snapshot for reading.
pub fn read(room: &Room, folder: &Path, snapshot: &str) -> Result<RepositoryReader> {
    let repository = open(room, folder)?;
    repository.reader(find(&repository, snapshot)?)
}

/// Reads every pack of the room's repository once; the snapshots that can be restored whole.
pub fn whole_snapshots(room: &Room, progress: &Arc<dyn Progress>) -> Result<HashSet<String>> {
    let Some(repository) = existing(room)? else { return Ok(HashSet::new()) };
    let report = repository.check(CheckDepth::Everything, progress.as_ref())?;
    Ok(report.whole.iter().map(|id| id.to_hex()).collect())
}

/// A snapshot by its id, or by the beginning of it.
fn find(repository: &Repository, digits: &str) -> Result<vault_repository::Id> {
    if digits.len() == 64 {
        return vault_repository::Id::parse(digits);
    }
    let mut fitting = repository.list()?.0.into_iter().filter(|snapshot| snapshot.id.to_hex().starts_with(digits));
    match (fitting.next(), fitting.next()) {
        (Some(snapshot), None) => Ok(snapshot.id),
        (None, _) => Err(no_snapshot(digits)),
        _ => Err(Error::new(ErrorKind::Usage, format!("several snapshots begin with {digits}"), "Give more digits.")),
    }
}

fn no_snapshot(digits: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("the repository has no snapshot {digits}"),
        "`strongroom list` shows the backups and where they lie.",
    )
}

/// Fails when a snapshot is not there.
pub fn stat(room: &Room, folder: &Path, snapshot: &str) -> Result<()> {
    let repository = open(room, folder)?;
    repository.snapshot(find(&repository, snapshot)?).map(drop)
}

/// Takes a snapshot out of the repository. Its bytes go with the next cleanup.
pub fn forget(room: &Room, folder: &Path, snapshot: &str) -> Result<()> {
    let repository = open(room, folder)?;
    match find(&repository, snapshot) {
        Ok(id) => repository.forget(&[id]),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The record and manifest of each backup in the repository; an error for each snapshot that has none.
pub fn backups(room: &Room) -> Result<Vec<Result<(BackupRecord, Manifest)>>> {
    let Some(repository) = existing(room)? else { return Ok(Vec::new()) };
    let ours = |snapshot: &Snapshot| snapshot.tags.iter().any(|tag| tag.starts_with(ID_TAG));
    let snapshots = repository.list()?.0;
    Ok(snapshots.iter().filter(|snapshot| ours(snapshot)).map(|snapshot| backup(room, &repository, snapshot)).collect())
}

/// The backup of this id, if it came to its snapshot.
pub fn backup_of(room: &Room, id: &Id) -> Result<Option<(BackupRecord, Manifest)>> {
    let Some(repository) = existing(room)? else { return Ok(None) };
    let tag = format!("{ID_TAG}{id}");
    let snapshot = repository.list()?.0.into_iter().find(|snapshot| snapshot.tags.contains(&tag));
    snapshot.map(|snapshot| backup(room, &repository, &snapshot)).transpose()
}

fn backup(room: &Room, repository: &Repository, snapshot: &Snapshot) -> Result<(BackupRecord, Manifest)> {
    let manifest = storage::read_manifest(&mut repository.reader(snapshot.id)?)?;
    let location = Location::Snapshot { repository: folder(room), snapshot: snapshot.id.to_hex() };
    // As when it was taken; of what stock restic rewrote, the sum of what it holds is all that is known.
    let held = || manifest.components.iter().map(|component| component.bytes).sum();
    let bytes = snapshot.stored_bytes.unwrap_or_else(held);
    let record = BackupRecord::from_manifest(&manifest, location.text(), bytes, room.now());
    Ok((record, manifest))
}

/// What a cleanup of the repository came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Packs that nothing uses any more, marked to go after a day.
    pub marked_packs: usize,
    /// Packs that were marked before and are gone now.
    pub removed_packs: usize,
    /// Bytes of those.
    pub removed_bytes: u64,
    /// Bytes that no snapshot uses and that are still there.
    pub waiting_bytes: u64,
    /// Why nothing was removed although something was due.
    pub postponed: Option<String>,
}

impl Pruned {
    /// For people, a sentence each.
    pub fn to_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.removed_packs > 0 {
            lines.push(format!("{} of the repository were removed.", size(self.removed_bytes)));
        }
        if self.waiting_bytes > 0 {
            let bytes = size(self.waiting_bytes);
            lines.push(format!(
                "{bytes} in the repository are used by no backup: they are noted, and the first cleanup a day later removes them."
            ));
        }
        lines.extend(self.postponed.iter().map(|why| format!("Removing from the repository is put off: {why}.")));
        lines
    }
}

/// What of the repository no backup uses.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unused {
    /// Bytes that come back in the end, those of packs that were marked before among them.
    pub unused_bytes: u64,
    /// Bytes that must be copied for that, from packs of which a part is used.
    pub copied_bytes: u64,
}

impl Unused {
    /// For people, where there is something to say.
    pub fn to_line(self) -> Option<String> {
        let bytes = size(self.unused_bytes);
        let line = format!(
            "{bytes} in the repository are used by no backup. A cleanup notes them, and the first one a day later removes them."
        );
        (self.unused_bytes > 0).then_some(line)
    }
}

/// What a cleanup would find unused now, before it forgets any backup; `None` without a repository.
pub fn unused(room: &Room) -> Result<Option<Unused>> {
    let Some(repository) = existing(room)? else { return Ok(None) };
    let plan = repository.prune_plan(&PruneOptions::default())?;
    Ok(Some(Unused { unused_bytes: plan.freed_bytes, copied_bytes: plan.copied_bytes }))
}

/// Marks what no snapshot uses, and removes what was marked a day ago; `None` without a repository.
pub fn prune(room: &Room, progress: &Arc<dyn Progress>) -> Result<Option<Pruned>> {
    let Some(repository) = existing(room)? else { return Ok(None) };
    let plan = repository.prune_plan(&PruneOptions::default())?;
    let outcome = repository.prune(&plan, progress.as_ref())?;
    Ok(Some(Pruned {
        marked_packs: outcome.marked_packs,
        removed_packs: outcome.removed_packs,
        removed_bytes: outcome.removed_bytes,
        // What was copied is there twice until then.
        waiting_bytes: (plan.freed_bytes + outcome.copied_bytes).saturating_sub(outcome.removed_bytes),
        postponed: outcome.postponed,
    }))
}

/// What a check of the whole repository came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Whether everything that was looked at is as it was written.
    pub sound: bool,
    /// Snapshots that could be read.
    pub snapshots: usize,
    /// Packs in the store.
    pub packs: usize,
    /// Packs that were read and compared, byte by byte.
    pub packs_read: usize,
    /// Bytes of those.
    pub bytes_read: u64,
    /// Copies of blobs in the index.
    pub blobs: u64,
    /// What is wrong, a line each; litter too.
    pub findings: Vec<String>,
    /// Files that cannot be restored whole, as far as was looked, a line each.
    pub lost: Vec<String>,
}

/// Looks at the whole repository, for all its backups at once. Damage is in the answer; who is hit by it is trusted no more.
pub fn check(room: &Room, depth: CheckDepth, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Checked> {
    let repository = required(room)?;
    let report = repository.check(depth, progress.as_ref())?;
    let checked = Checked {
        sound: report.is_sound(),
        snapshots: report.snapshots,
        packs: report.packs,
        packs_read: report.packs_read,
        bytes_read: report.bytes_read,
        blobs: report.blobs,
        findings: report.findings.iter().map(Finding::to_line).collect(),
        lost: lost(room, &repository, &report.lost)?,
    };
    let details = serde_json::json!({
        "packs": checked.packs, "packsRead": checked.packs_read,
        "findings": checked.findings.len(), "lost": checked.lost.len(),
    });
    room.audit(actor, "verify-repository", None, Ok(()), details)?;
    Ok(checked)
}

/// A line for each lost file, by the backup it belongs to; those backups are trusted no more.
fn lost(room: &Room, repository: &Repository, lost: &[LostFile]) -> Result<Vec<String>> {
    let (snapshots, _) = repository.list()?;
    let mut lines = Vec::with_capacity(lost.len());
    let mut distrusted = HashSet::new();
    for file in lost {
        let snapshot = snapshots.iter().find(|snapshot| snapshot.id == file.snapshot);
        let id = snapshot.and_then(|snapshot| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(ID_TAG)));
        let whose = id.map_or_else(String::new, |id| format!("backup {id}, "));
        lines.push(format!("{} in {whose}snapshot {}", String::from_utf8_lossy(&file.path), file.snapshot.short()));
        if distrusted.insert(file.snapshot)
            && let Some(id) = id
        {
            match room.catalog.backup(id) {
                Ok(record) => room.catalog.backup_distrust(&record.id)?,
                // Another machine's, or its record was deleted.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(lines)
}

fn required(room: &Room) -> Result<Repository> {
    existing(room)?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("there is no repository in {}", folder(room).display()),
            "Only repositories are checked and mended as a whole; an archive that is damaged is replaced by another copy.",
        )
    })
}

/// What a repair came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    /// What was wrong, a line each.
    pub findings: Vec<String>,
    /// Blobs that were copied out of damaged packs.
    pub saved_blobs: usize,
    /// Damaged packs that were removed.
    pub removed_packs: usize,
    /// Files that cannot be restored whole, a line each.
    pub lost: Vec<String>,
}

/// Makes the index anew, saves what is whole out of damaged packs, and names what is lost.
pub fn repair(room: &Room, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Repaired> {
    let repository = required(room)?;
    let report = repository.repair(progress.as_ref())?;
    let repaired = Repaired {
        findings: report.findings.iter().map(Finding::to_line).collect(),
        saved_blobs: report.saved_blobs,
        removed_packs: report.removed_packs.len(),
        lost: lost(room, &repository, &report.lost)?,
    };
    let details = serde_json::json!({ "findings": repaired.findings.len(), "lost": repaired.lost.len() });
    room.audit(actor, "repair", None, Ok(()), details)?;
    Ok(repaired)
}

/// Lets a further key open the repository, where there is one.
pub fn add_key(room: &Room, new: &Key) -> Result<()> {
    existing(room)?.map_or(Ok(()), |repository| repository.add_key(new).map(drop))
}

/// Withdraws a key of which `remaining` takes the place.
pub fn remove_key(room: &Room, old: &Key, remaining: &Key) -> Result<()> {
    existing(room)?.map_or(Ok(()), |repository| repository.remove_key(old, std::slice::from_ref(remaining)))
}

/// Lets `current` open the repository and withdraws those before it. `false`: there is no repository.
pub fn replace_keys(room: &Room, previous: &[Key], current: &Key) -> Result<bool> {
    let Some(repository) = existing(room)? else { return Ok(false) };
    repository.ensure_key(current)?;
    previous.iter().try_for_each(|old| repository.remove_key(old, std::slice::from_ref(current)))?;
    Ok(true)
}
