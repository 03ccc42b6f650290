//! Log files with their folders and what rotation made of them.
//!
//! A log grows while it is read: it is taken up to its size at opening, and that is no warning. In archives each log is a
//! gzip file of its own, so that a person finds `app.log.gz` in the tar; in repositories it stays plain, because
//! compression would hide from one day to the next that most of it is the same. The figures are those of the plain files
//! in both cases, and a restore yields plain files in both.
//!
//! Which entries were compressed by us is said by an extended attribute of the entry, [`compress::MARK`], not by the name:
//! `app.log.1.gz` that the application's own rotation left comes back as it was.

pub(crate) mod compress;

use super::files::{Style, TreeReader};
use super::{Context, Source};
use crate::Result;
use crate::config::component::LogsSettings;
use crate::manifest::{ComponentKind, ComponentManifest};
use crate::tree::filter::Filter;
use vault::EntryWriter;

/// Reads log files.
pub struct LogsSource {
    name: String,
    settings: LogsSettings,
    filter: Filter,
}

impl LogsSource {
    /// A pattern that is none is an [`ErrorKind::Config`](crate::ErrorKind::Config).
    pub fn new(name: impl Into<String>, settings: LogsSettings) -> Result<Self> {
        let filter = Filter::new(&settings.include, &[])?;
        Ok(Self { name: name.into(), settings, filter })
    }
}

impl Source for LogsSource {
    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        TreeReader {
            name: &self.name,
            kind: ComponentKind::Logs,
            path: &self.settings.path,
            filter: &self.filter,
            one_file_system: false,
            style: Style::Logs,
        }
        .read(context, writer)
    }
}
