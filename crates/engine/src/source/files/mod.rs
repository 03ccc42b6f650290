//! A file tree as it is: structure, permissions, owners, times, links, extended attributes, holes.
//!
//! Invariant: the figures describe exactly the entries that the writer took. The uncomfortable consequence of reading a
//! tree that others write to: there is no one moment in which all of it was so. What changed, vanished or could not be
//! read is a warning that says which and why, and makes the component `partial`. Sockets, devices and `.env` files are
//! left out with a warning and without that: they are never part of a backup.

mod content;
mod read;
mod warnings;

pub(crate) use content::open_file;
pub(super) use content::{FileContent, Growth};
pub(super) use read::{Style, TreeReader, open_root};
pub(super) use warnings::Warnings;

use super::{Context, Source};
use crate::Result;
use crate::config::component::FilesSettings;
use crate::manifest::{ComponentKind, ComponentManifest};
use crate::tree::filter::Filter;
use vault::EntryWriter;

/// Reads a file tree.
pub struct FilesSource {
    name: String,
    settings: FilesSettings,
    filter: Filter,
}

impl FilesSource {
    /// A pattern that is none is an [`ErrorKind::Config`](crate::ErrorKind::Config).
    pub fn new(name: impl Into<String>, settings: FilesSettings) -> Result<Self> {
        let filter = Filter::new(&settings.include, &settings.exclude)?;
        Ok(Self { name: name.into(), settings, filter })
    }
}

impl Source for FilesSource {
    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        TreeReader {
            name: &self.name,
            kind: ComponentKind::Files,
            path: &self.settings.path,
            filter: &self.filter,
            one_file_system: self.settings.one_file_system,
            style: Style::Tree,
        }
        .read(context, writer)
    }
}
