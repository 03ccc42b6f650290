//! Puts log files back, plain, whether the backup holds them compressed or not.

use super::Place;
use super::files::{Belongs, Put, TreeTarget};
use crate::config::component::LogsSettings;
use crate::source::logs::compress::MARK;
use crate::tree::filter::Filter;
use crate::{Error, ErrorKind, Result};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use vault::{Entry, EntryKind, EntryPath};

/// Puts log files back. A pattern that is none is an [`ErrorKind::Config`], a place for databases an [`ErrorKind::Usage`].
pub fn target(name: impl Into<String>, settings: LogsSettings, place: Place) -> Result<TreeTarget> {
    let filter = Filter::new(&settings.include, &[])?;
    let belongs = Belongs::Tree { filter: Box::new(filter), one_file_system: false, hard_links: false };
    TreeTarget::new(name.into(), settings.path, belongs, unpacked, place)
}

fn unpacked(entry: &Entry, content: &mut dyn Read, put: Put<'_>) -> Result<()> {
    match plain_entry(entry)? {
        None => put(entry, content),
        // One byte more than promised is enough to notice that there is more.
        Some((plain, size)) => put(&plain, &mut MultiGzDecoder::new(content).take(size + 1)),
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
