//! Entries into a tar stream.

use super::header::{Header, NAME_BYTES_MAX, USER_BYTES_MAX};
use super::pax::Pax;
use super::{BLOCK_BYTES, MANIFEST_NAME, PAX_BYTES_MAX, padding_bytes};
use crate::archive::sink::ArchiveSink;
use crate::entry::{Entry, EntryKind, EntryPath, Metadata, Timestamp};
use crate::error::{Result, from_io};
use crate::transfer::{Committed, Content, EntryWriter, Outcome, Structure};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

const BUFFER_BYTES: usize = 128 * 1024;
/// Streams of unknown length below this are kept in memory and stay in one piece with their neighbours; longer ones are
/// compressed into a temporary file.
const STREAM_IN_MEMORY_BYTES: u64 = 1 << 20;
/// Largest number in an octal field of 8 and of 12 bytes.
const ID_MAX: u32 = 0o7_777_777;
const SIZE_BYTES_MAX: u64 = 0o77_777_777_777;

/// Writes a tar archive.
pub struct TarWriter<'a> {
    sink: ArchiveSink<'a>,
    scratch: PathBuf,
    manifest_modified: Timestamp,
    buffer: Vec<u8>,
}

impl<'a> TarWriter<'a> {
    /// `scratch` is a folder for streams of unknown length, which tar cannot hold before their length is known. They
    /// have no name there: nothing of them survives a crash.
    pub(crate) fn new(sink: ArchiveSink<'a>, scratch: PathBuf, manifest_modified: Timestamp) -> Self {
        Self { sink, scratch, manifest_modified, buffer: vec![0; BUFFER_BYTES] }
    }

    fn file(&mut self, entry: &Entry, size_bytes: Option<u64>, content: Option<&mut dyn Content>) -> Result<Outcome> {
        let mut nothing = io::empty();
        let content = content.unwrap_or(&mut nothing);
        let structure = content.structure();
        let mut content = match content.open() {
            Ok(content) => content,
            Err(cause) => return Ok(Outcome::Unreadable(cause)),
        };
        let Some(size_bytes) = size_bytes else { return self.stream(entry, structure, &mut *content) };
        if let Err(cause) = self.header(entry, size_bytes)? {
            return Ok(Outcome::Unreadable(cause));
        }
        self.sink.structure(structure)?;
        let padded_bytes = self.content(&mut *content, size_bytes)?;
        self.sink.structure(Structure::Unknown)?;
        Ok(Outcome::Stored { bytes: size_bytes, padded_bytes })
    }

    /// Compression does not wait for a long stream's end: what was made of it is held back until its length is known.
    fn stream(&mut self, entry: &Entry, structure: Structure, content: &mut dyn Read) -> Result<Outcome> {
        let mut beginning = Vec::new();
        if let Err(cause) = content.take(STREAM_IN_MEMORY_BYTES).read_to_end(&mut beginning) {
            return Ok(Outcome::Unreadable(cause));
        }
        let size_bytes = beginning.len() as u64;
        if size_bytes < STREAM_IN_MEMORY_BYTES {
            if let Err(cause) = self.header(entry, size_bytes)? {
                return Ok(Outcome::Unreadable(cause));
            }
            let padded_bytes = self.content(&mut &beginning[..], size_bytes)?;
            return Ok(Outcome::Stored { bytes: size_bytes, padded_bytes });
        }
        let spool = tempfile::tempfile_in(&self.scratch)
            .map_err(|cause| from_io(format!("making a temporary file in {}", self.scratch.display()), cause))?;
        self.sink.hold(spool)?;
        self.sink.structure(structure)?;
        self.put(&beginning)?;
        drop(beginning);
        let rest = self.rest(content)?;
        self.sink.structure(Structure::Unknown)?;
        let head = match rest {
            Ok(rest_bytes) => head(entry, size_bytes + rest_bytes).map(|head| (head, size_bytes + rest_bytes)),
            Err(cause) => Err(cause),
        };
        match head {
            Ok((head, bytes)) => {
                self.put(&[0; BLOCK_BYTES][..padding_bytes(bytes)])?;
                self.sink.release(&head)?;
                Ok(Outcome::Stored { bytes, padded_bytes: 0 })
            }
            Err(cause) => {
                self.sink.discard()?;
                Ok(Outcome::Unreadable(cause))
            }
        }
    }

    /// Everything that is left of a stream. The inner error is the stream's.
    fn rest(&mut self, content: &mut dyn Read) -> Result<io::Result<u64>> {
        let mut bytes = 0;
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => return Ok(Ok(bytes)),
                Ok(read) => {
                    self.sink.write_all(&self.buffer[..read]).map_err(|cause| from_io("writing the archive", cause))?;
                    bytes += read as u64;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Ok(Err(cause)),
            }
        }
    }

    /// The inner error is the entry's: it cannot be stored.
    fn header(&mut self, entry: &Entry, size_bytes: u64) -> Result<io::Result<()>> {
        match head(entry, size_bytes) {
            Ok(head) => self.put(&head).map(Ok),
            Err(cause) => Ok(Err(cause)),
        }
    }

    /// Exactly `size_bytes` of content and the padding of the last block; what is missing at the source becomes zeros,
    /// for the header is out already. Returns how many.
    fn content(&mut self, content: &mut dyn Read, size_bytes: u64) -> Result<u64> {
        let mut left = size_bytes;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            match content.read(&mut self.buffer[..wanted]) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // The file shrank, or cannot be read on.
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    self.sink.write_all(&self.buffer[..read]).map_err(|cause| from_io("writing the archive", cause))?;
                    left -= read as u64;
                }
            }
        }
        let missing = io::repeat(0).take(left + padding_bytes(size_bytes) as u64);
        io::copy(&mut { missing }, &mut self.sink).map_err(|cause| from_io("writing the archive", cause))?;
        Ok(left)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(|cause| from_io("writing the archive", cause))
    }
}

impl EntryWriter for TarWriter<'_> {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        if let EntryKind::File { size_bytes } = entry.kind {
            return self.file(entry, size_bytes, content);
        }
        Ok(match self.header(entry, 0)? {
            Ok(()) => Outcome::Stored { bytes: 0, padded_bytes: 0 },
            Err(cause) => Outcome::Unreadable(cause),
        })
    }

    fn commit(mut self: Box<Self>, manifest: &[u8]) -> Result<Committed> {
        self.sink.mark()?;
        let path = EntryPath::new(MANIFEST_NAME)?;
        let entry = Entry::generated(path, Some(manifest.len() as u64), self.manifest_modified);
        self.write(&entry, Some(&mut &*manifest))?;
        self.put(&[0; 2 * BLOCK_BYTES])?;
        self.sink.finish()
    }
}

/// Everything that stands before an entry's content: its header, with a pax header and long names before it where it needs
/// them. Fails for what an archive cannot hold.
fn head(entry: &Entry, size_bytes: u64) -> io::Result<Vec<u8>> {
    let unsupported = |what: &str| io::Error::new(io::ErrorKind::Unsupported, what);
    let (header, pax) = encode(entry, size_bytes)
        .ok_or_else(|| unsupported("device nodes cannot be kept in an archive; a repository can"))?;
    let records = pax.encode();
    if records.len() as u64 > PAX_BYTES_MAX {
        return Err(unsupported(
            "its name and extended attributes take more than 1 MiB, which no archive of ours may hold",
        ));
    }
    let mut head = Vec::new();
    if !records.is_empty() {
        extension(&mut head, b'x', b"./PaxHeaders/entry", &records);
    }
    for (type_flag, text) in [(b'K', &header.link), (b'L', &header.name)] {
        if text.len() > NAME_BYTES_MAX && is_raw(text) {
            extension(&mut head, type_flag, b"././@LongLink", &[text, &b"\0"[..]].concat());
        }
    }
    head.extend(header.encode());
    Ok(head)
}

fn extension(head: &mut Vec<u8>, type_flag: u8, name: &[u8], content: &[u8]) {
    let header = Header {
        name: name.to_vec(),
        mode: Some(0o600),
        size_bytes: Some(content.len() as u64),
        type_flag,
        ..Header::default()
    };
    head.extend(header.encode());
    head.extend(content);
    head.extend(&[0; BLOCK_BYTES][..padding_bytes(content.len() as u64)]);
}

/// Header and pax records of an entry; `None` for what an archive does not hold.
fn encode(entry: &Entry, size_bytes: u64) -> Option<(Header, Pax)> {
    let metadata = &entry.metadata;
    let mut name = entry.path.as_bytes().to_vec();
    let mut link = Vec::new();
    let type_flag = match &entry.kind {
        EntryKind::File { .. } => b'0',
        EntryKind::HardLink { target } => {
            link.extend_from_slice(target.as_bytes());
            b'1'
        }
        EntryKind::Symlink { target } => {
            link.clone_from(target);
            b'2'
        }
        EntryKind::Directory => {
            name.push(b'/');
            b'5'
        }
        EntryKind::Fifo => b'6',
        EntryKind::Device { .. } => return None,
    };
    let bytes = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().as_bytes().to_vec();
    let (user, group) = (bytes(&metadata.user), bytes(&metadata.group));
    let fits = |text: &[u8], bytes_max| is_raw(text) || text.is_ascii() && text.len() <= bytes_max;
    let unfit = |text: &Vec<u8>, bytes_max| (!fits(text, bytes_max)).then(|| text.clone());
    let pax = Pax {
        path: unfit(&name, NAME_BYTES_MAX),
        link: unfit(&link, NAME_BYTES_MAX),
        size_bytes: (size_bytes > SIZE_BYTES_MAX).then_some(size_bytes),
        uid: (metadata.uid > ID_MAX).then_some(metadata.uid.into()),
        gid: (metadata.gid > ID_MAX).then_some(metadata.gid.into()),
        user: unfit(&user, USER_BYTES_MAX),
        group: unfit(&group, USER_BYTES_MAX),
        modified: exact_time(metadata),
        xattrs: metadata.xattrs.clone(),
        sparse: metadata.sparse,
        gnu_sparse: false,
    };
    let header = Header {
        name,
        mode: Some(u64::from(metadata.mode & 0o7777)),
        uid: Some(metadata.uid.into()),
        gid: Some(metadata.gid.into()),
        size_bytes: Some(size_bytes),
        modified_seconds: Some(metadata.modified.seconds),
        type_flag,
        link,
        user: user.into_iter().take(USER_BYTES_MAX).collect(),
        group: group.into_iter().take(USER_BYTES_MAX).collect(),
    };
    Some((header, pax))
}

/// Not UTF-8, which pax records must be: such names stand raw in the header, or before it in GNU's long name (`L`, `K`).
fn is_raw(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err()
}

/// A time that the header's octal seconds cannot hold.
fn exact_time(metadata: &Metadata) -> Option<Timestamp> {
    let time = metadata.modified;
    let plain = time.nanoseconds == 0 && (0..=SIZE_BYTES_MAX as i64).contains(&time.seconds);
    (!plain).then_some(time)
}
