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
/// The document's name below its component, where it does not say its path.
const FILE_NAME: &str = "database.json";

/// Reads a JSON archive as the one entry that was written, whose content is the whole document, the members that the
/// archive added included. A document of another make becomes `<component>/database.json`, the component being what its
/// first member says (`{"strongroom":{"component":…}}`), else `database`.
pub struct JsonReader {
    source: Source,
}

impl JsonReader {
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }
}

impl JsonReader {
    /// A member that our writer added at the end. From its mark on the document continues with these members: a brace
    /// before them makes it a document of its own. Without a mark (not compressed, or not ours) all of it is searched.
    fn find(&self, member: &'static str, value_bytes_max: u64) -> Result<Option<Vec<u8>>> {
        match self.source.read_marked()? {
            Some(marked) => find(member, value_bytes_max, b"{,".chain(marked)),
            None => find(member, value_bytes_max, self.source.read()?),
        }
    }
}

impl EntryReader for JsonReader {
    /// Found at once in an archive of ours, by reading everything in others.
    fn manifest(&mut self) -> Result<Vec<u8>> {
        self.find("manifest", MANIFEST_BYTES_MAX)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotABackup,
                "the JSON document has no member `manifest`",
                "Strongroom did not make it; if another program did, restore it with that.",
            )
        })
    }

    fn visit(&mut self, selection: &Selection, visitor: &mut dyn EntryVisitor) -> Result<()> {
        let written = self.find("entry", DESCRIPTION_BYTES_MAX)?;
        let written = written.and_then(|json| serde_json::from_slice::<String>(&json).ok());
        let mut content = self.source.read()?;
        let (component, beginning) = describe(&mut content)?;
        let path = match written {
            Some(path) => EntryPath::new(path)?,
            None => EntryPath::new(format!("{component}/{FILE_NAME}"))?,
        };
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

fn find(member: &'static str, value_bytes_max: u64, mut document: impl Read) -> Result<Option<Vec<u8>>> {
    let mut scanner = MemberScanner::new(member, value_bytes_max);
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
