//! The file beside an archive that says what it holds: from sidecars alone the catalog can be made anew.

use crate::catalog::backups::BackupRecord;
use crate::manifest::{Format, Manifest, State};
use crate::naming;
use crate::{Error, Result, storage};
use jiff::Timestamp;
use std::path::Path;
use vault::archive::sidecar::{self, Public, PublicComponent, SIDECAR_BYTES_MAX, Sidecar};
use vault::{Key, Store};

/// Writes the sidecar of a finished archive.
pub fn write(
    store: &dyn Store,
    archive: &str,
    record: &BackupRecord,
    manifest: &Manifest,
    key: Option<&Key>,
) -> Result<()> {
    let public = Public {
        id: record.id.to_string(),
        plan: record.plan.clone(),
        tier: record.tier.name().to_owned(),
        state: record.state.name().to_owned(),
        started_at: record.started_at.to_string(),
        finished_at: record.finished_at.unwrap_or(record.started_at).to_string(),
        archive: format_name(manifest.archive).to_owned(),
        location: file_name(archive).to_owned(),
        bytes: record.bytes.unwrap_or_default(),
        sha256: record.sha256.clone(),
        key_fingerprint: record.key_fingerprint.clone(),
        audit_head: manifest.audit_head.clone(),
        components: manifest
            .components
            .iter()
            .map(|component| PublicComponent {
                name: component.name.clone(),
                kind: component.kind.name().to_owned(),
                state: component.state.name().to_owned(),
                entries: component.entries,
                bytes: component.bytes,
            })
            .collect(),
    };
    let manifest =
        serde_json::to_vec(manifest).map_err(|cause| Error::internal(format!("writing a manifest: {cause}")))?;
    store.put(&naming::sidecar_name(archive), &sidecar::encode(public, &manifest, key)?).map(drop)
}

/// Reads the sidecar beside an archive, if there is one.
pub fn read(store: &dyn Store, archive: &str) -> Result<Option<Sidecar>> {
    let name = naming::sidecar_name(archive);
    if store.stat(&name)?.is_none() {
        return Ok(None);
    }
    sidecar::decode(&store.read_all(&name, SIDECAR_BYTES_MAX)?).map(Some).map_err(|error| error.within(name))
}

/// The manifest in a sidecar.
pub fn manifest(sidecar: &Sidecar, keys: &[Key]) -> Result<Manifest> {
    let manifest =
        sidecar.manifest(keys).map_err(|error| error.within(naming::sidecar_name(&sidecar.public.location)))?;
    storage::decode_manifest(&manifest)
}

/// The record that a sidecar and its manifest amount to. `stored` says when the archive was last seen.
pub fn record(sidecar: &Sidecar, manifest: &Manifest, location: String, stored: Timestamp) -> BackupRecord {
    let public = &sidecar.public;
    let mut record = BackupRecord::from_manifest(manifest, location, public.bytes, stored);
    if let Ok(finished) = public.finished_at.parse() {
        let state = State::parse(&public.state).unwrap_or(record.state);
        record = record.finished(state, finished);
    }
    record.sha256.clone_from(&public.sha256);
    record
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Tar => "tar",
        Format::Repository => "repository",
    }
}

fn file_name(archive: &str) -> &str {
    Path::new(archive).file_name().and_then(|name| name.to_str()).unwrap_or(archive)
}
