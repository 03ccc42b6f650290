//! The story of a backup.
//!
//! Capture every database, then read everything into a writer, commit, lay the sidecar beside it, and only then say
//! `succeeded`. Order of writing: data, manifest inside it, sidecar, catalog. A crash between any two leaves either litter
//! that the next start sweeps, or a whole archive that the next start adopts ([`recover`](crate::recover)).
//!
//! Invariant: a failure at any station leaves no half backup, one failed record and one audit entry.

mod collapse;
mod job;

pub use job::{Job, Request};

use crate::below::Below;
use crate::catalog::backups::{BackupRecord, ComponentSummary};
use crate::hash::HashKey;
use crate::manifest::{ComponentManifest, Format, MANIFEST_VERSION, Manifest, State};
use crate::room::Room;
use crate::source::{Context, Source};
use crate::{Error, ErrorKind, Result, component, hooks, repository, sidecar, storage};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use vault::{Committed, EntryWriter, Progress, Store};

/// Takes a backup. A partial one is a result, not an error: its state says so.
pub fn run(room: &Room, request: &Request, progress: &Arc<dyn Progress>) -> Result<BackupRecord> {
    let job = Job::prepare(room, request)?;
    refuse_too_large(room, &job)?;
    let _lock = room.lock_plan(&job.plan)?;
    carry_out(room, &job, progress)
}

/// One IV encrypts 64 GiB safely, not more. Whoever is near that learns it before hours of work, from the size of the plan's
/// last backup; the writer itself refuses in any case.
fn refuse_too_large(room: &Room, job: &Job) -> Result<()> {
    if job.key.is_none() || job.format == Format::Repository {
        return Ok(());
    }
    let before = room.catalog.backup_predecessor(&job.plan, job.started_at)?.and_then(|record| record.bytes);
    // Two percent for what came since.
    before.map_or(Ok(()), |bytes| vault::envelope::check_fits(bytes.saturating_add(bytes / 50)))
}

/// The same for whoever holds the locks already: a restore that takes its pre-restore backup.
pub(crate) fn carry_out(room: &Room, job: &Job, progress: &Arc<dyn Progress>) -> Result<BackupRecord> {
    let mut record = job.record();
    room.catalog.backup_start(&record)?;
    progress.step("backup.recorded");
    let taken = hooks::before_backup(room, job).and_then(|()| take(room, job, &mut record, progress));
    let result = match taken {
        Ok(manifest) => conclude(room, job, record, &manifest),
        Err(error) => Err(give_up(room, job, record, error)),
    };
    progress.step("backup.finished");
    hooks::after_backup(room, job, &result);
    result
}

fn take(room: &Room, job: &Job, record: &mut BackupRecord, progress: &Arc<dyn Progress>) -> Result<Manifest> {
    if let Some(warning) = room.config.encryption.warning() {
        progress.warning(warning);
    }
    let scratch = room.scratch("backup", &job.id)?;
    let context = Context {
        progress: &**progress,
        scratch: scratch.path(),
        hash_key: HashKey::random()?,
        started_at: job.started_at,
        deduplicating: job.format == Format::Repository,
    };
    let (mut sources, captured_at, writer) = std::thread::scope(|scope| {
        // A repository reads its index meanwhile.
        let opening = scope.spawn(|| storage::create(room, job, scratch.path(), progress));
        let captured = capture(room, job, &context).map(|sources| (sources, room.now()));
        if captured.is_ok() {
            progress.step("backup.captured");
        }
        let writer = opening.join().unwrap_or_else(|_| Err(Error::internal("opening the storage panicked")));
        let (sources, captured_at) = captured?;
        Result::Ok((sources, captured_at, writer?))
    })?;
    let (manifest, committed) = write(room, job, &mut sources, captured_at, &context, writer)?;
    progress.step("backup.committed");
    complete(room, job, record, &manifest, &committed).inspect_err(|_| discard(room, job, &committed))?;
    progress.step("backup.sidecar");
    Ok(manifest)
}

/// Opens every database's snapshot before the first file is read: whatever a row refers to is still there then.
fn capture(room: &Room, job: &Job, context: &Context<'_>) -> Result<Vec<(String, Box<dyn Source>)>> {
    let mut sources = Vec::new();
    for settings in &job.components {
        let within = |error: Error| error.within(format!("component {}", settings.name));
        let mut source = component::source(settings, job.format, &room.surroundings).map_err(within)?;
        context.progress.check_cancelled()?;
        context.progress.phase(&format!("looking at {}", settings.name), None);
        source.capture(context).map_err(within)?;
        sources.push((settings.name.clone(), source));
    }
    Ok(sources)
}

fn write(
    room: &Room,
    job: &Job,
    sources: &mut [(String, Box<dyn Source>)],
    captured_at: Timestamp,
    context: &Context<'_>,
    mut writer: Box<dyn EntryWriter + '_>,
) -> Result<(Manifest, Committed)> {
    let mut components = Vec::new();
    for (name, source) in sources {
        let expected = room.catalog.component_bytes_last(&job.plan, name)?;
        context.progress.phase(&format!("backing up {name}"), expected);
        let mut below = Below::new(name, &mut *writer, context.progress);
        components.push(source.read(context, &mut below).map_err(|error| error.within(format!("component {name}")))?);
    }
    context.progress.step("backup.read");
    let manifest = job.manifest(room, captured_at, context.hash_key, components)?;
    let bytes =
        serde_json::to_vec(&manifest).map_err(|cause| Error::internal(format!("writing a manifest: {cause}")))?;
    context.progress.phase("finishing", None);
    Ok((manifest, writer.commit(&bytes)?))
}

/// The archive is whole and was read back by its writer: fills in the record and lays the sidecar beside it.
fn complete(
    room: &Room,
    job: &Job,
    record: &mut BackupRecord,
    manifest: &Manifest,
    committed: &Committed,
) -> Result<()> {
    let now = room.now();
    let partial = manifest.components.iter().any(|component| component.state != State::Succeeded);
    let location = storage::Location::committed(room, job.format, committed);
    record.location = Some(location.text());
    record.bytes = Some(committed.stored_bytes);
    record.sha256 = committed.sha256.map(hex::encode);
    record.components = manifest.components.iter().map(ComponentSummary::from).collect();
    record.trust.stored = Some(now);
    record.trust.re_read = committed.sha256.map(|_| now);
    *record = record.clone().finished(if partial { State::Partial } else { State::Succeeded }, now);
    record.collapsed = collapse::against_predecessor(room, record, manifest)?;
    if let storage::Location::Archive { store, name } = &location {
        sidecar::write(store.as_ref(), name, record, manifest, job.key.as_ref())?;
    }
    Ok(())
}

fn conclude(room: &Room, job: &Job, record: BackupRecord, manifest: &Manifest) -> Result<BackupRecord> {
    room.catalog.backup_finish(&record, Some(manifest))?;
    let details = serde_json::json!({
        "plan": job.plan, "tier": job.tier.name(), "state": record.state.name(), "bytes": record.bytes,
        "location": record.location, "late": job.late,
    });
    room.audit(&job.actor, "backup", Some(job.id.as_str()), Ok(()), details)?;
    tracing::info!(
        id = %job.id, plan = job.plan, tier = job.tier.name(), state = record.state.name(), bytes = record.bytes,
        duration_ms = record.duration_ms, location = record.location, "backup finished"
    );
    for component in &record.components {
        tracing::info!(
            id = %job.id, component = component.name, state = component.state.name(), entries = component.entries,
            bytes = component.bytes, warnings = component.warnings.len(), "component backed up"
        );
    }
    Ok(record)
}

/// Writes the failure down wherever it belongs and hands the error on; what cannot be written must not hide it.
fn give_up(room: &Room, job: &Job, record: BackupRecord, error: Error) -> Error {
    let state = if error.kind() == ErrorKind::Cancelled { State::Cancelled } else { State::Failed };
    let mut record = record.finished(state, room.now());
    (record.location, record.bytes, record.sha256) = (None, None, None);
    record.components.clear();
    record.trust = crate::catalog::backups::Trust::default();
    record.error = Some((&error).into());
    let details = serde_json::json!({ "plan": job.plan, "tier": job.tier.name(), "error": error.message() });
    let written = room
        .catalog
        .backup_finish(&record, None)
        .and_then(|()| room.audit(&job.actor, "backup", Some(job.id.as_str()), Err(&error), details));
    if let Err(second) = written {
        tracing::error!(id = %job.id, error = %second, "the failure of a backup could not be recorded");
    }
    tracing::error!(id = %job.id, plan = job.plan, error = %crate::chain(&error), hint = error.hint(), "backup failed");
    error
}

fn discard(room: &Room, job: &Job, committed: &Committed) {
    let removed = match storage::Location::committed(room, job.format, committed) {
        storage::Location::Snapshot { repository: folder, snapshot } => repository::forget(room, &folder, &snapshot),
        storage::Location::Archive { store, name } => {
            store.remove(&crate::naming::sidecar_name(&name)).and_then(|()| store.remove(&name))
        }
    };
    if let Err(error) = removed {
        tracing::error!(%error, location = committed.location, "a half-finished backup could not be removed");
    }
}

impl Job {
    fn record(&self) -> BackupRecord {
        let mut record = BackupRecord::running(self.id.clone(), &self.plan, self.tier, self.started_at);
        record.description.clone_from(&self.description);
        record.late = self.late;
        record.key_fingerprint = self.key.as_ref().map(vault::Key::fingerprint);
        record
    }

    fn manifest(
        &self,
        room: &Room,
        captured_at: Timestamp,
        hash_key: HashKey,
        components: Vec<ComponentManifest>,
    ) -> Result<Manifest> {
        let origins = self.components.iter().filter_map(|component| component.origin(&room.config.folder)).collect();
        Ok(Manifest {
            format: "strongroom-manifest".to_owned(),
            version: MANIFEST_VERSION,
            id: self.id.clone(),
            plan: self.plan.clone(),
            tier: self.tier,
            description: self.description.clone(),
            archive: self.format,
            started_at: self.started_at,
            captured_at,
            hash_key: hash_key.to_string(),
            key_fingerprint: self.key.as_ref().map(vault::Key::fingerprint),
            tools: BTreeMap::from([("strongroom".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            audit_head: Some(room.catalog.audit_head()?.to_string()),
            origins,
            components,
        })
    }
}
