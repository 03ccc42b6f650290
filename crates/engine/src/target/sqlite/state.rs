//! What a swap has done so far, durably: `sqlite-<component>.json` in the restore's state folder.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Which content is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Side {
    /// What was there before the restore.
    Before,
    /// What was restored.
    Restored,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Before => Self::Restored,
            Self::Restored => Self::Before,
        }
    }
}

/// A place for a database and the files beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Slot {
    Live,
    /// `<db>.strongroom-<id>`
    Restored,
    /// `<db>.strongroom-<id>-before`
    Before,
}

impl From<Side> for Slot {
    fn from(side: Side) -> Self {
        match side {
            Side::Before => Self::Before,
            Side::Restored => Self::Restored,
        }
    }
}

/// A file that is renamed from one slot into another. Its inode tells whether that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Move {
    pub(super) from: Slot,
    pub(super) to: Slot,
    pub(super) suffix: String,
    pub(super) inode: u64,
}

/// An exchange that has begun to change the live database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "how")]
pub(super) enum Pending {
    /// Pages are written through SQLite, in one transaction.
    Pages {
        to: Side,
        /// The live schema cookie before; the transaction raises it by one.
        schema_cookie: u32,
    },
    /// Files are renamed.
    Rename { to: Side, moves: Vec<Move> },
}

/// Mode, owner and group of the live file before the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The whole state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) live: Side,
    pub(super) pending: Option<Pending>,
    /// `None` until the first exchange, or when there was no live file.
    pub(super) owner: Option<Owner>,
    /// There was no live file before the restore: swapping back leaves none.
    pub(super) absent_before: bool,
}

impl State {
    /// Reads the state; before the first swap there is none.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { live: Side::Before, pending: None, owner: None, absent_before: false });
            }
            Err(cause) => return Err(Error::io(format_args!("reading {}", path.display()), cause)),
        };
        serde_json::from_slice(&bytes)
            .map_err(|cause| Error::internal(format!("{} cannot be understood: {cause}", path.display())))
    }

    /// Writes the state so that it survives a power cut.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let doing = || format!("writing {}", path.display());
        let bytes = serde_json::to_vec(self).map_err(|cause| Error::internal(format!("{}: {cause}", doing())))?;
        let temporary = path.with_extension("json.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|cause| Error::io(doing(), cause))?;
        sync_folder_of(path)
    }
}

/// Makes a rename or a removal durable.
pub(super) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| Error::io(format_args!("syncing {}", folder.display()), cause))
}

/// The folder that holds `path`.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
