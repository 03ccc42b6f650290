//! Puts configuration files back: each exchanged singly, all of them under one record.
//!
//! What belongs to the component are the listed files and those in the backup. One that is not in the backup is moved
//! beside, because it was not there then; undoing the restore brings it back.

use super::Place;
use super::files::{Belongs, Put, TreeTarget};
use crate::config::component::ConfigFilesSettings;
use crate::source::config::listed_files;
use crate::tree::is_secret;
use crate::{Error, ErrorKind, Result};
use std::io::Read;
use vault::{Entry, EntryKind};

/// Puts configuration files back. A list that is wrong is an [`ErrorKind::Config`], a place for databases an
/// [`ErrorKind::Usage`].
pub fn target(name: impl Into<String>, settings: ConfigFilesSettings, place: Place) -> Result<TreeTarget> {
    let files = listed_files(&settings)?;
    TreeTarget::new(name.into(), settings.path, Belongs::Files(files), only_plain, place)
}

fn only_plain(entry: &Entry, content: &mut dyn Read, put: Put<'_>) -> Result<()> {
    let is_plain = matches!(entry.kind, EntryKind::File { .. } | EntryKind::Symlink { .. } | EntryKind::Directory);
    if !is_plain || entry.path.as_bytes().split(|&b| b == b'/').any(is_secret) {
        return Err(Error::new(
            ErrorKind::UnsafeEntry,
            format!("{} is nothing that a backup of configuration files holds", entry.path),
            "The archive was not made by Strongroom or was tampered with; the live data was not touched.",
        ));
    }
    put(entry, content)
}
