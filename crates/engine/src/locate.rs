//! Finds the backup that a person means: an id, `latest`, or the place where one lies.
//!
//! A machine that has only the file, the binary and the key must get everywhere from here: what the catalog does not know
//! the sidecar says, and what the sidecar does not say the backup itself does.

use crate::catalog::backups::BackupRecord;
use crate::catalog::locks::RunLock;
use crate::id::Id;
use crate::manifest::Manifest;
use crate::room::Room;
use crate::storage::{self, Location};
use crate::{Error, ErrorKind, Result, sidecar};
use vault::EntryReader;
use vault::archive::Expected;

/// A backup that was found.
pub struct Backup {
    /// Its record: the catalog's, or what its sidecar or it itself amounts to.
    pub record: Option<BackupRecord>,
    /// Whether the catalog knows it.
    pub cataloged: bool,
    /// Where it lies.
    pub location: Location,
    /// What is known without opening it.
    pub known: Expected,
    manifest: Option<Manifest>,
    /// While it is held, nobody removes the backup.
    _reading: Option<RunLock>,
}

/// Finds a backup by its id, `latest`, or its location.
pub fn find(room: &Room, wanted: &str) -> Result<Backup> {
    if wanted == "latest" || Id::parse(wanted).is_ok() {
        return cataloged(room, room.catalog.backup(wanted)?);
    }
    let location = Location::parse(room, wanted)?;
    let manifest_and_record = match &location {
        Location::Archive { store, name } => match sidecar::read(store.as_ref(), name)? {
            Some(sidecar) => {
                let manifest = sidecar::manifest(&sidecar, &room.keys())?;
                let record = sidecar::record(&sidecar, &manifest, location.text(), room.now());
                Some((manifest, record))
            }
            None => None,
        },
        Location::Snapshot { .. } => None,
    };
    let (manifest, record) = manifest_and_record.unzip();
    let known = record.as_ref().map(|record| expected(record, manifest.as_ref())).unwrap_or_default();
    Ok(Backup { record, cataloged: false, location, known, manifest, _reading: None })
}

/// The backup of a record.
pub fn cataloged(room: &Room, record: BackupRecord) -> Result<Backup> {
    let text = record.location.clone().ok_or_else(|| {
        let why = record.error.as_ref().map_or_else(|| record.state.name().to_owned(), |error| error.message.clone());
        Error::new(
            ErrorKind::NotFound,
            format!("the backup {} holds nothing: it did not come to an end ({why})", record.id),
            "Choose a succeeded one from `strongroom list`.",
        )
    })?;
    let location = Location::parse(room, &text)?;
    let reading = room.locks.reading(&record.id)?;
    let manifest = room.catalog.manifest(&record.id)?;
    let known = expected(&record, manifest.as_ref());
    Ok(Backup { record: Some(record), cataloged: true, location, known, manifest, _reading: Some(reading) })
}

fn expected(record: &BackupRecord, manifest: Option<&Manifest>) -> Expected {
    let mut sha256 = [0; 32];
    let hashed = record.sha256.as_ref().is_some_and(|text| hex::decode_to_slice(text, &mut sha256).is_ok());
    Expected {
        size_bytes: record.bytes.filter(|_| record.sha256.is_some()),
        sha256: hashed.then_some(sha256),
        fingerprint: record.key_fingerprint.clone(),
        content_bytes: manifest.map(|manifest| manifest.components.iter().map(|component| component.bytes).sum()),
    }
}

impl Backup {
    /// Whether another program may have made it: a snapshot that only its place is known of.
    pub const fn may_be_foreign(&self) -> bool {
        matches!(self.location, Location::Snapshot { .. }) && self.record.is_none()
    }

    /// For messages: its id where it is known, else where it lies.
    pub fn label(&self) -> String {
        self.record.as_ref().map_or_else(|| self.location.text(), |record| record.id.to_string())
    }

    /// Opens it. An encrypted archive is authenticated as a whole before this returns.
    pub fn open(&self, room: &Room) -> Result<Box<dyn EntryReader>> {
        storage::open(room, &self.location, &self.known)
    }

    /// Opens it and reads its manifest: the one inside, which is authenticated with the data. Where a sidecar or the
    /// catalog promised another, somebody lied, and the restore is refused.
    pub fn open_with_manifest(&self, room: &Room) -> Result<(Box<dyn EntryReader>, Manifest)> {
        let mut reader = self.open(room)?;
        let manifest = self.manifest_of(&mut *reader)?;
        Ok((reader, manifest))
    }

    /// The manifest that an opened backup holds, compared with what was promised.
    pub fn manifest_of(&self, reader: &mut dyn EntryReader) -> Result<Manifest> {
        let manifest = storage::read_manifest(reader)?;
        if self.manifest.as_ref().is_some_and(|promised| *promised != manifest) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("the manifest inside {} is not the one that the catalog or its sidecar has", self.label()),
                "One of them was altered. Copy the backup's file alone into another folder and verify it there.",
            ));
        }
        Ok(manifest)
    }
}
