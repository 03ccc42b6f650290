//! One document out of an archive.

use super::MemberScanner;
use crate::archive::MANIFEST_BYTES_MAX;
use crate::archive::source::Source;
use crate::compress::DecompressionReader;
use crate::entry::{Entry, EntryPath, Timestamp};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::transfer::{EntryReader, EntryVisitor, Selection};
use std::io::{self, Cursor, Read};

const BUFFER_BYTES: usize = 128 * 1024;
/// How far into the document its own description is looked for.
const DESCRIPTION_BYTES_MAX: u64 = 64 * 1024;
/// The component of a document that does not name one.
const COMPONENT: &str = "database";
/// The document's name below its component.
const FILE_NAME: &str = "database.json";

/// Reads a JSON archive as one entry, `<component>/database.json`, whose content is the whole document, its `manifest`
/// member included. The component is what the document's first member says (`{"strongroom":{"component":…}}`), else
/// `database`.
pub struct JsonReader {
    source: Source,
}

impl JsonReader {
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }
}

impl EntryReader for JsonReader {
    /// Found at once in an archive of ours, by reading everything in others.
    fn manifest(&mut self) -> Result<Vec<u8>> {
        if let Some(marked) = self.source.read_marked()? {
            // From the mark on the document continues with its last member: the brace makes it a document of its own.
            if let Some(manifest) = find_manifest(b"{".chain(marked))? {
                return Ok(manifest);
            }
        }
        find_manifest(self.source.read()?)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotABackup,
                "the JSON document has no member `manifest`",
                "Strongroom did not make it; if another program did, restore it with that.",
            )
        })
    }

    fn visit(&mut self, selection: &Selection, visitor: &mut dyn EntryVisitor) -> Result<()> {
        let mut content = self.source.read()?;
        let (component, beginning) = describe(&mut content)?;
        let path = EntryPath::new(format!("{component}/{FILE_NAME}"))?;
        let mut content =
            Scanned { inner: Cursor::new(beginning).chain(content), scanner: MemberScanner::new("", 0), failed: None };
        if selection.matches(&path) {
            visitor.entry(&Entry::generated(path, None, Timestamp::default()), &mut content)?;
        }
        io::copy(&mut content, &mut io::sink()).map_err(|cause| from_io("reading the archive", cause))?;
        content.scanner.finish().map(drop)
    }
}

/// The component that the document names, and the bytes that were read to find it.
fn describe(content: &mut DecompressionReader) -> Result<(String, Vec<u8>)> {
    let mut beginning = Vec::new();
    content
        .take(DESCRIPTION_BYTES_MAX)
        .read_to_end(&mut beginning)
        .map_err(|cause| from_io("reading the archive", cause))?;
    let mut scanner = MemberScanner::new("strongroom", DESCRIPTION_BYTES_MAX);
    scanner.take(&beginning)?;
    let description = scanner.found().and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
    let component = description.as_ref().and_then(|value| value.get("component")).and_then(|name| name.as_str());
    Ok((component.unwrap_or(COMPONENT).to_owned(), beginning))
}

fn find_manifest(mut document: impl Read) -> Result<Option<Vec<u8>>> {
    let mut scanner = MemberScanner::new("manifest", MANIFEST_BYTES_MAX);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match document.read(&mut buffer) {
            Ok(0) => return scanner.finish(),
            Ok(read) => scanner.take(&buffer[..read])?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(from_io("reading the archive", cause)),
        }
    }
}

/// Watches the document's shape while the visitor reads it.
struct Scanned<R> {
    inner: R,
    scanner: MemberScanner,
    failed: Option<ErrorKind>,
}

impl<R: Read> Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(Error::new(kind, "the archive could not be read to its end", "").into());
        }
        let read = self.inner.read(buffer)?;
        if let Err(error) = self.scanner.take(&buffer[..read]) {
            self.failed = Some(error.kind());
            return Err(error.into());
        }
        Ok(read)
    }
}
