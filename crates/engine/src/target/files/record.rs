//! What a restore remembers about itself in its state folder: on which side it is and what it was about to do.
//!
//! Invariant: written durably before the change that it announces and again after the change that it confirms. Whoever
//! finds a record with something pending can carry that through or take it back.

use super::raw_path::RawPath;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use vault::error::IoContext;

/// Which tree is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The one that was there before the restore.
    Old,
    /// The restored one.
    New,
}

/// How live data and what lies beside it are exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Shape {
    /// The folder as a whole, by one rename.
    Whole {
        /// Its name in the base folder.
        name: RawPath,
    },
    /// Each name in the base folder, which is itself the live folder: it is a mount point, or the folder above it is not
    /// ours to write to.
    Children,
    /// These files below the base folder.
    Files {
        /// Their paths.
        paths: Vec<RawPath>,
    },
}

/// One exchange of two names, or a move where one of them is free. Paths are relative to the base folder.
///
/// Inodes tell after a crash what has happened. They are compared without the device, whose number may be another one
/// after a reboot; both names are on one file system, or no rename would be possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// The live name.
    pub live: RawPath,
    /// The name beside it.
    pub beside: RawPath,
    /// What was live when this was planned.
    pub live_inode: Option<u64>,
    /// What lay beside it.
    pub beside_inode: Option<u64>,
}

impl Move {
    /// Both names are taken: between two of three renames, something lies under the name in between.
    pub const fn is_two_way(&self) -> bool {
        self.live_inode.is_some() && self.beside_inode.is_some()
    }
}

/// Moves that were about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Where they lead.
    pub to: Side,
    /// In this order.
    pub moves: Vec<Move>,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The folder that everything else is relative to, absolute.
    pub base: RawPath,
    /// Where the other side lies.
    pub beside: RawPath,
    /// A name for the time between two renames, where the file system cannot exchange.
    pub between: RawPath,
    /// How it is exchanged.
    pub shape: Shape,
    /// Which side is live.
    pub side: Side,
    /// Something must lie beside; if it does not, an exchange would leave nothing.
    pub beside_expected: bool,
    /// Paths in the backup that today's patterns would leave out: they belong to the component all the same.
    pub held: Vec<RawPath>,
    /// Folders that were made for the files of [`Shape::Files`].
    pub made_folders: Vec<RawPath>,
    /// An exchange under way.
    pub pending: Option<Pending>,
    /// What lies beside is being removed or is gone: there is no way back.
    pub discarded: bool,
}

impl Record {
    /// Reads the record; `None` when the restore never got as far as writing one.
    pub fn load(file: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.doing(|| format!("reading {}", file.display()))?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|cause| {
            Error::new(
                ErrorKind::Damaged,
                format!("the restore's record {} cannot be read", file.display()),
                "Nothing was changed. Both trees still lie beside each other: compare them and rename by hand.",
            )
            .because(cause)
        })
    }

    /// Writes the record durably, all or nothing.
    pub fn save(&self, file: &Path) -> Result<()> {
        let doing = || format!("writing {}", file.display());
        let bytes = serde_json::to_vec_pretty(self).map_err(|cause| Error::internal(cause.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut temporary = tempfile::NamedTempFile::new_in(folder).doing(doing)?;
        temporary.write_all(&bytes).doing(doing)?;
        temporary.as_file().sync_all().doing(doing)?;
        temporary.persist(file).map_err(|error| error.error).doing(doing)?;
        File::open(folder).and_then(|folder| folder.sync_all()).doing(doing)
    }
}
