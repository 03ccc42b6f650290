//! One document into an archive.

use crate::archive::sink::ArchiveSink;
use crate::entry::{Entry, EntryKind, EntryPath};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::transfer::{Committed, Content, EntryWriter, Outcome};
use std::io::{self, Read, Write};

const BUFFER_BYTES: usize = 128 * 1024;

/// Takes exactly one regular file whose content is a JSON object, and adds its path and the manifest as its last members.
pub struct JsonWriter<'a> {
    sink: ArchiveSink<'a>,
    document: Option<(OpenObject, EntryPath)>,
}

impl<'a> JsonWriter<'a> {
    pub(crate) fn new(sink: ArchiveSink<'a>) -> Self {
        Self { sink, document: None }
    }
}

impl EntryWriter for JsonWriter<'_> {
    /// Content that fails while it is read ends the backup: half a document cannot be taken back.
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        let (EntryKind::File { .. }, Some(content)) = (&entry.kind, content) else {
            return Err(not_one_document());
        };
        if self.document.is_some() {
            return Err(not_one_document());
        }
        let mut content = match content.open() {
            Ok(content) => content,
            Err(cause) => return Ok(Outcome::Unreadable(cause)),
        };
        let mut document = OpenObject::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    bytes += read as u64;
                    document.pass(&buffer[..read], &mut self.sink)?;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(from_io(format!("reading {}", entry.path), cause)),
            }
        }
        self.document = Some((document, entry.path.clone()));
        Ok(Outcome::Stored { bytes, padded_bytes: 0 })
    }

    fn commit(mut self: Box<Self>, manifest: &[u8]) -> Result<Committed> {
        let (document, path) = self.document.take().ok_or_else(not_one_document)?;
        let comma: &[u8] = if document.finish()? { b"," } else { b"" };
        let path = serde_json::to_vec(&path.to_string()).map_err(|cause| Error::internal(cause.to_string()))?;
        self.sink.mark()?;
        for part in [comma, b"\"entry\":", &path, b",\"manifest\":", manifest.trim_ascii(), b"}\n"] {
            self.sink.write_all(part).map_err(|cause| from_io("writing the archive", cause))?;
        }
        self.sink.finish()
    }
}

/// Passes a JSON object on but for its last brace and what whitespace follows it.
#[derive(Default)]
struct OpenObject {
    /// Starts with a brace, then whitespace; or empty.
    held: Vec<u8>,
    begins_well: Option<bool>,
    /// Something other than whitespace was passed on after the opening brace.
    has_members: bool,
}

impl OpenObject {
    fn pass(&mut self, bytes: &[u8], sink: &mut impl Write) -> Result<()> {
        let Some(last) = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()) else {
            if !self.held.is_empty() {
                self.hold(bytes)?;
                return Ok(());
            }
            return put(sink, bytes);
        };
        let held = std::mem::take(&mut self.held);
        self.note(&held);
        put(sink, &held)?;
        let end = if bytes[last] == b'}' { last } else { bytes.len() };
        self.note(&bytes[..end]);
        put(sink, &bytes[..end])?;
        self.hold(&bytes[end..])
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() > BUFFER_BYTES * 2 {
            return Err(Error::internal("the database's export is followed by more whitespace than a document has"));
        }
        Ok(())
    }

    /// Looks at what is passed on: does it begin with a brace, and does anything follow?
    fn note(&mut self, bytes: &[u8]) {
        let mut rest = bytes.trim_ascii_start();
        if rest.is_empty() || self.has_members {
            return;
        }
        if self.begins_well.is_none() {
            self.begins_well = Some(rest[0] == b'{');
            rest = rest[1..].trim_ascii_start();
        }
        self.has_members = !rest.is_empty();
    }

    /// Whether a comma is wanted before a further member.
    fn finish(self) -> Result<bool> {
        if self.begins_well == Some(true) && self.held.first() == Some(&b'}') {
            return Ok(self.has_members);
        }
        Err(Error::internal("the database's export is not one JSON object"))
    }
}

fn put(sink: &mut impl Write, bytes: &[u8]) -> Result<()> {
    sink.write_all(bytes).map_err(|cause| from_io("writing the archive", cause))
}

fn not_one_document() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a json archive holds the JSON export of exactly one database, and nothing else",
        "Back up several components, or files, with `format = \"tar\"`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(pieces: &[&str]) -> Result<(String, bool)> {
        let (mut object, mut sink) = (OpenObject::default(), Vec::new());
        for piece in pieces {
            object.pass(piece.as_bytes(), &mut sink)?;
        }
        let comma = object.finish()?;
        Ok((String::from_utf8(sink).unwrap(), comma))
    }

    #[test]
    fn the_last_brace_is_held_back_however_the_document_is_cut() {
        let document = " {\"a\":{\"b\":[{}, {}]} } \n";
        let expected = (" {\"a\":{\"b\":[{}, {}]} ".to_owned(), true);
        for cut in 0..document.len() {
            assert_eq!(opened(&[&document[..cut], &document[cut..]]).unwrap(), expected, "cut at {cut}");
        }
        let bytes: Vec<String> = document.chars().map(String::from).collect();
        assert_eq!(opened(&bytes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(), expected);
    }

    #[test]
    fn an_empty_object_takes_no_comma_and_anything_else_is_refused() {
        assert_eq!(opened(&["{", " ", "}"]).unwrap(), ("{ ".to_owned(), false));
        for bad in ["", " ", "[]", "{\"a\":1", "{\"a\":[1]", "x}"] {
            assert!(opened(&[bad]).is_err(), "{bad:?}");
        }
    }
}
