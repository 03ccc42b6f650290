//! Between a plan's words and the vault: begins backups in their format, opens them again, and keeps their sidecars.

use crate::backup::Job;
use crate::config::Compression as Method;
use crate::manifest::{Format, Manifest};
use crate::naming::{self, Suffix};
use crate::room::Room;
use crate::{Error, ErrorKind, Result, repository};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::archive::{self, ArchiveFormat, ArchiveOptions, ArchiveSettings, Expected};
use vault::compress::Compression;
use vault::store::LocalStore;
use vault::{Committed, EntryReader, EntryWriter, Progress, Timestamp};

/// Where a backup lies.
#[derive(Debug, Clone)]
pub enum Location {
    /// An archive: its store and its name there.
    Archive {
        /// The store.
        store: Arc<LocalStore>,
        /// The name.
        name: String,
    },
    /// A snapshot of a repository.
    Snapshot {
        /// The repository's folder.
        repository: PathBuf,
        /// The snapshot's id.
        snapshot: String,
    },
}

/// The repository and the snapshot.
fn snapshot_parts(location: &str) -> Option<(&str, &str)> {
    let parts = location.rsplit_once('#')?;
    (!parts.1.is_empty() && parts.1.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(parts)
}

impl Location {
    /// Takes a location apart: a path, or `<repository>#<snapshot>`. A path that has moved with its backup folder is looked
    /// for under its name in `room`.
    pub fn parse(room: &Room, location: &str) -> Result<Self> {
        if let Some((repository, snapshot)) = snapshot_parts(location) {
            return Ok(Self::Snapshot {
                repository: room.config.folder.join(repository),
                snapshot: snapshot.to_owned(),
            });
        }
        let path = Path::new(location);
        let path = if path.is_absolute() { path.to_owned() } else { room.config.folder.join(path) };
        if let Ok(name) = path.strip_prefix(&room.config.backup_dir)
            && let Some(name) = name.to_str()
        {
            return Ok(Self::Archive { store: room.store.clone(), name: name.to_owned() });
        }
        let moved =
            room.config.backup_dir.join(tail(&path, if naming::id_in_name(location).is_some() { 2 } else { 1 }));
        let path = if !path.exists() && moved.exists() { moved } else { path };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(no_such(location));
        };
        if !path.is_file() {
            return Err(no_such(location));
        }
        Ok(Self::Archive { store: Arc::new(LocalStore::open(folder)?), name: name.to_owned() })
    }

    /// Whether that is a snapshot's.
    pub fn is_snapshot(location: &str) -> bool {
        snapshot_parts(location).is_some()
    }

    /// Of a backup that was just written.
    pub fn committed(room: &Room, format: Format, committed: &Committed) -> Self {
        let name = committed.location.clone();
        match format {
            Format::Repository => Self::Snapshot { repository: repository::folder(room), snapshot: name },
            Format::Tar | Format::Json => Self::Archive { store: room.store.clone(), name },
        }
    }

    /// As it stands in records: usable as an id on the command line.
    pub fn text(&self) -> String {
        match self {
            Self::Archive { store, name } => store.root().join(name).display().to_string(),
            Self::Snapshot { repository, snapshot } => format!("{}#{snapshot}", repository.display()),
        }
    }
}

fn tail(path: &Path, parts: usize) -> PathBuf {
    let all: Vec<_> = path.components().collect();
    all[all.len().saturating_sub(parts)..].iter().collect()
}

fn no_such(location: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no backup at {location}"),
        "`strongroom list` shows the backups and where they lie.",
    )
}

/// Begins a backup. Nothing is visible before the writer's `commit`.
pub fn create<'a>(
    room: &'a Room,
    job: &Job,
    scratch: &Path,
    progress: &Arc<dyn Progress>,
) -> Result<Box<dyn EntryWriter + 'a>> {
    let format = match job.format {
        Format::Tar => ArchiveFormat::Tar,
        Format::Json => ArchiveFormat::Json,
        Format::Repository => {
            return repository::create(room, job, progress).map(|writer| writer as Box<dyn EntryWriter>);
        }
    };
    let settings = ArchiveSettings {
        format,
        compression: compression(job.compression, job.level),
        key: job.key.clone(),
        threads: threads(),
        scratch: scratch.to_owned(),
        modified: Timestamp { seconds: job.started_at.as_second(), nanoseconds: 0 },
    };
    archive::create(&*room.store, &archive_name(job), settings)
}

/// The name of the archive that a job writes.
pub fn archive_name(job: &Job) -> String {
    let suffix = match job.compression {
        Method::Gzip => Suffix::Gzip,
        Method::Zstd => Suffix::Zstd,
        Method::None => Suffix::Plain,
    };
    naming::archive_name(job.format, job.tier, job.started_at, &job.id, suffix, job.key.is_some())
}

fn compression(method: Method, level: u32) -> Compression {
    match method {
        Method::Gzip => Compression::Gzip { level: level as u8 },
        Method::Zstd => Compression::Zstd { level: level as u8 },
        Method::None => Compression::None,
    }
}

/// Opens a backup for reading: an archive is authenticated as a whole before this returns. Everything in `known` is
/// checked.
pub fn open(room: &Room, location: &Location, known: &Expected) -> Result<Box<dyn EntryReader>> {
    match location {
        Location::Archive { store, name } => {
            let options =
                ArchiveOptions { keys: room.keys(), expected: known.clone(), threads: threads(), scratch: None };
            archive::open(store.as_ref(), name, &options)
        }
        Location::Snapshot { repository, snapshot } => Ok(Box::new(repository::read(room, repository, snapshot)?)),
    }
}

/// As many threads as the machine runs at once.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads the manifest from inside a backup.
pub fn read_manifest(reader: &mut dyn EntryReader) -> Result<Manifest> {
    let bytes = reader.manifest()?;
    decode_manifest(&bytes)
}

/// Reads a manifest's JSON, refusing versions that this build does not know.
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest> {
    let bad = |why: String| {
        Error::new(
            ErrorKind::NotABackup,
            format!("its manifest is not one of Strongroom's: {why}"),
            "Was the file made by another program? `tar -tf` shows what is in it.",
        )
    };
    let version: Version = serde_json::from_slice(bytes).map_err(|cause| bad(cause.to_string()))?;
    if version.format != "strongroom-manifest" {
        return Err(bad(format!("its format is {:?}", version.format)));
    }
    if version.version > crate::manifest::MANIFEST_VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the backup was made by a newer Strongroom (manifest version {})", version.version),
            "Use that version, or a newer one, to restore it.",
        ));
    }
    serde_json::from_slice(bytes).map_err(|cause| bad(cause.to_string()))
}

#[derive(serde::Deserialize)]
struct Version {
    #[serde(default)]
    format: String,
    #[serde(default)]
    version: u32,
}
