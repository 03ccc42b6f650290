//! Puts log files back, plain, whether the backup holds them compressed or not.

use super::files::{Belongs, TreeTarget};
use super::{Context, Place, Target, TargetPlan};
use crate::config::component::LogsSettings;
use crate::manifest::{ComponentManifest, Figures};
use crate::source::logs::compress::MARK;
use crate::tree::filter::Filter;
use crate::{Error, ErrorKind, Result};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use vault::{Entry, EntryKind, EntryPath};

/// Puts log files back.
pub struct LogsTarget(TreeTarget);

impl LogsTarget {
    /// A pattern that is none is an [`ErrorKind::Config`], a place for databases an [`ErrorKind::Usage`].
    pub fn new(name: impl Into<String>, settings: LogsSettings, place: Place) -> Result<Self> {
        let filter = Filter::new(&settings.include, &[])?;
        let belongs = Belongs::Tree { filter: Box::new(filter), one_file_system: false, hard_links: false };
        Ok(Self(TreeTarget::new(name.into(), settings.path, belongs, place)?))
    }
}

impl Target for LogsTarget {
    fn inspect(&mut self, context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        self.0.inspect(context, manifest)
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        match plain_entry(entry)? {
            None => self.0.entry(context, entry, content),
            // One byte more than promised is enough to notice that there is more.
            Some((plain, size)) => self.0.entry(context, &plain, &mut MultiGzDecoder::new(content).take(size + 1)),
        }
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

/// The log as it was before we compressed it, and its size; `None` when it was not we.
fn plain_entry(entry: &Entry) -> Result<Option<(Entry, u64)>> {
    let mut plain = entry.clone();
    let Some(at) = plain.metadata.xattrs.iter().position(|(name, _)| name == MARK) else { return Ok(None) };
    let (_, value) = plain.metadata.xattrs.remove(at);
    let size = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
    let name = entry.path.as_bytes().strip_suffix(b".gz");
    let (Some(size), Some(name)) = (size, name) else {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("{} says that it is a compressed log, but is not marked as one properly", entry.path),
            "The backup is damaged or was tampered with: use another copy or an older one.",
        ));
    };
    plain.path = EntryPath::new(name)?;
    plain.kind = EntryKind::File { size_bytes: Some(size) };
    Ok(Some((plain, size)))
}
