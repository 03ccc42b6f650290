//! What a restore was doing, on disk, so that whoever comes after a crash can finish or undo it.
//!
//! Invariant: the journal is durable before the change it announces. A restore in `Swapping` was prepared and compared for
//! every component: rolling it forward is always right. One in `Staging` has touched nothing that is live: throwing away
//! what lies beside is always right.

use crate::config::ComponentConfig;
use crate::id::Id;
use crate::manifest::TableId;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use vault::error::IoContext;

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Entries are being put beside the live data.
    Staging,
    /// All is prepared and compared; components are being exchanged.
    Swapping,
    /// All components are exchanged; the old ones lie beside.
    Swapped,
    /// Components are being exchanged back.
    SwappingBack,
    /// All are back as they were; the restored ones lie beside.
    Undone,
    /// What lies beside is being removed.
    Discarding,
}

/// The journal of one restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// The restore.
    pub restore_id: Id,
    /// What it restores; `None` for an archive that no catalog knows.
    pub backup_id: Option<Id>,
    /// How far it has come.
    pub phase: Phase,
    /// The components in the order in which they are exchanged.
    pub components: Vec<ComponentConfig>,
    /// Key of the backup's content hashes.
    pub hash_key: String,
    /// Only these tables of the one component, a database; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableId>,
    /// While something overwritten is taken back: the backup of what that replaces, the way back from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secured: Option<Id>,
}

impl Journal {
    /// The folder of a restore; targets keep their own small files in folders below it.
    pub fn folder(state_folder: &Path, restore_id: &Id) -> PathBuf {
        state_folder.join("restores").join(restore_id.as_str())
    }

    /// Where the target of one component may keep its files.
    pub fn component_folder(state_folder: &Path, restore_id: &Id, component: &str) -> Result<PathBuf> {
        let folder = Self::folder(state_folder, restore_id).join(component);
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Writes the journal durably.
    pub fn write(&self, state_folder: &Path) -> Result<()> {
        let folder = Self::folder(state_folder, &self.restore_id);
        make_folder(&folder)?;
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|cause| Error::internal(format!("writing a journal: {cause}")))?;
        write_durably(&folder.join("journal.json"), &bytes)
    }

    /// Goes on to `phase`, durably.
    pub fn advance(&mut self, state_folder: &Path, phase: Phase) -> Result<()> {
        self.phase = phase;
        self.write(state_folder)
    }

    /// The journal of a restore, if it has one.
    pub fn read(state_folder: &Path, restore_id: &Id) -> Result<Option<Self>> {
        let path = Self::folder(state_folder, restore_id).join("journal.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|cause| {
                Error::new(
                    crate::ErrorKind::Damaged,
                    format!("{} is damaged: {cause}", path.display()),
                    "Move it away; what lies beside the live data (names with `.strongroom-`) can be removed by hand.",
                )
            }),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io(format!("reading {}", path.display()), cause)),
        }
    }

    /// All journals below a state folder, oldest id first. Folders without a journal (a crash before the first write) are
    /// removed: nothing had happened yet.
    pub fn all(state_folder: &Path) -> Result<Vec<Self>> {
        let folder = state_folder.join("restores");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
        let mut journals = Vec::new();
        for entry in entries.flatten() {
            let Ok(id) = Id::parse(&entry.file_name().to_string_lossy()) else { continue };
            journals.extend(Self::read(state_folder, &id)?);
        }
        journals.sort_by(|left, right| left.restore_id.cmp(&right.restore_id));
        Ok(journals)
    }

    /// Forgets a restore that was only planned: its folder holds nothing but the targets' empty ones.
    pub fn forget_folder(state_folder: &Path, restore_id: &Id) -> Result<()> {
        remove_tree(&Self::folder(state_folder, restore_id))
    }

    /// Forgets the restore: removes its folder, the journal last.
    pub fn forget(&self, state_folder: &Path) -> Result<()> {
        let folder = Self::folder(state_folder, &self.restore_id);
        for component in &self.components {
            remove_tree(&folder.join(&component.name))?;
        }
        remove_tree(&folder)
    }
}

fn remove_tree(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::io(format!("removing {}", folder.display()), cause)),
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .doing(|| format!("making the folder {}", folder.display()))
}

/// Temp file, fsync, rename, fsync of the folder.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("tmp");
    let what = || format!("writing {}", path.display());
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).doing(what)?;
    file.write_all(bytes).doing(what)?;
    file.sync_all().doing(what)?;
    fs::rename(&temporary, path).doing(what)?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).doing(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_found_as_it_was_written_and_forgotten_whole() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal {
            restore_id: Id::generate().unwrap(),
            backup_id: None,
            phase: Phase::Staging,
            components: Vec::new(),
            hash_key: "00".repeat(32),
            tables: Vec::new(),
            secured: None,
        };
        journal.write(state.path()).unwrap();
        journal.advance(state.path(), Phase::Swapping).unwrap();
        assert_eq!(Journal::all(state.path()).unwrap(), [journal.clone()]);
        journal.forget(state.path()).unwrap();
        assert_eq!(Journal::all(state.path()).unwrap(), []);
        journal.forget(state.path()).unwrap();
    }
}
