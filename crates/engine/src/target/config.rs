//! Puts configuration files back: each exchanged singly, all of them under one record.
//!
//! What belongs to the component are the listed files and those in the backup. One that is not in the backup is moved
//! beside, because it was not there then; undoing the restore brings it back.

use super::files::{Belongs, TreeTarget};
use super::{Context, Place, Target, TargetPlan};
use crate::config::component::ConfigFilesSettings;
use crate::manifest::{ComponentManifest, Figures};
use crate::source::config::listed_files;
use crate::tree::is_secret;
use crate::{Error, ErrorKind, Result};
use std::io::Read;
use vault::{Entry, EntryKind};

/// Puts configuration files back.
pub struct ConfigTarget(TreeTarget);

impl ConfigTarget {
    /// A list that is wrong is an [`ErrorKind::Config`], a place for databases an [`ErrorKind::Usage`].
    pub fn new(name: impl Into<String>, settings: ConfigFilesSettings, place: Place) -> Result<Self> {
        let files = listed_files(&settings)?;
        Ok(Self(TreeTarget::new(name.into(), settings.path, Belongs::Files(files), place)?))
    }
}

impl Target for ConfigTarget {
    fn inspect(&mut self, context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        self.0.inspect(context, manifest)
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let is_plain = matches!(entry.kind, EntryKind::File { .. } | EntryKind::Symlink { .. } | EntryKind::Directory);
        if !is_plain || entry.path.as_bytes().split(|&b| b == b'/').any(is_secret) {
            return Err(Error::new(
                ErrorKind::UnsafeEntry,
                format!("{} is nothing that a backup of configuration files holds", entry.path),
                "The archive was not made by Strongroom or was tampered with; the live data was not touched.",
            ));
        }
        self.0.entry(context, entry, content)
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
        self.0.finish(context)
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        self.0.swap(context)
    }

    fn swap_back(&mut self, context: &Context<'_>) -> Result<()> {
        self.0.swap_back(context)
    }

    fn discard(&mut self, context: &Context<'_>) -> Result<()> {
        self.0.discard(context)
    }
}
