//! Entries out of a tar archive.

use super::{MANIFEST_NAME, TarParser};
use crate::archive::MANIFEST_BYTES_MAX;
use crate::archive::source::Source;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::transfer::{EntryReader, EntryVisitor, Selection};
use std::io::Read;

/// Reads a tar archive, ours or one that another program made of the same folders.
pub struct TarReader {
    source: Source,
}

impl TarReader {
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }
}

impl EntryReader for TarReader {
    /// Found at once in an archive of ours, by reading everything in others.
    fn manifest(&mut self) -> Result<Vec<u8>> {
        if let Some(marked) = self.source.read_marked()?
            && let Some(manifest) = find_manifest(TarParser::new(marked))?
        {
            return Ok(manifest);
        }
        find_manifest(TarParser::new(self.source.read()?))?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotABackup,
                "the archive has no manifest.json",
                "Strongroom did not make it; unpack it with `tar`.",
            )
        })
    }

    fn visit(&mut self, selection: &Selection, visitor: &mut dyn EntryVisitor) -> Result<()> {
        let mut parser = TarParser::new(self.source.read()?);
        while let Some(entry) = parser.next_entry()? {
            if !is_manifest(&entry) && selection.matches(&entry.path) {
                visitor.entry(&entry, &mut parser)?;
            }
        }
        Ok(())
    }
}

fn is_manifest(entry: &Entry) -> bool {
    entry.path.as_bytes() == MANIFEST_NAME && matches!(entry.kind, EntryKind::File { .. })
}

/// The last entry of that name.
fn find_manifest(mut parser: TarParser<impl Read>) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    while let Some(entry) = parser.next_entry()? {
        if is_manifest(&entry) {
            let mut manifest = Vec::new();
            (&mut parser)
                .take(MANIFEST_BYTES_MAX + 1)
                .read_to_end(&mut manifest)
                .map_err(|cause| from_io("reading the manifest", cause))?;
            if manifest.len() as u64 > MANIFEST_BYTES_MAX {
                return Err(super::super::manifest_too_large());
            }
            found = Some(manifest);
        }
    }
    Ok(found)
}
