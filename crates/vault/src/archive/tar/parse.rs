//! A tar stream into entries, trusting nothing.

use super::header::Header;
use super::pax::Pax;
use super::{BLOCK_BYTES, Block, PAX_BYTES_MAX, padding_bytes};
use crate::archive::guard::PathGuard;
use crate::entry::{Entry, EntryKind, EntryPath, Metadata, Timestamp};
use crate::error::{Error, ErrorKind, Result, from_io};
use std::io::{self, Read};
use std::sync::Arc;

/// Parses a tar stream: [`next_entry`](Self::next_entry) gives an entry, reading `self` gives its content.
///
/// Reads the pax, ustar and GNU dialects, but neither GNU's sparse maps nor archives of several volumes.
pub struct TarParser<R> {
    source: R,
    globals: Pax,
    /// What the headers before the next entry may still take.
    extension_bytes_left: u64,
    guard: PathGuard,
    /// Content of the present entry that was not read yet, and its padding.
    content_left: u64,
    padding: usize,
}

impl<R: Read> TarParser<R> {
    /// Begins at a header block.
    pub fn new(source: R) -> Self {
        Self {
            source,
            globals: Pax::default(),
            extension_bytes_left: 0,
            guard: PathGuard::default(),
            content_left: 0,
            padding: 0,
        }
    }

    /// The next entry; `None` after the end marker, when everything behind it was read too.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut pax = self.globals.clone();
        self.extension_bytes_left = PAX_BYTES_MAX;
        loop {
            let Some(header) = self.header()? else {
                self.read_to_end()?;
                return Ok(None);
            };
            match header.type_flag {
                b'x' => decode(&mut pax, &self.extension(&header)?)?,
                b'g' => {
                    let records = self.extension(&header)?;
                    decode(&mut self.globals, &records)?;
                    self.globals.xattrs.clear();
                    decode(&mut pax, &records)?;
                }
                b'L' => pax.path = Some(gnu_name(self.extension(&header)?)),
                b'K' => pax.link = Some(gnu_name(self.extension(&header)?)),
                _ => {
                    if let Some(entry) = self.entry(&header, std::mem::take(&mut pax))? {
                        return Ok(Some(entry));
                    }
                    self.skip_content()?;
                    pax = self.globals.clone();
                }
            }
        }
    }

    /// A header block that is not the end marker.
    fn header(&mut self) -> Result<Option<Header>> {
        let block = self.block()?.ok_or_else(|| truncated("without its end marker"))?;
        if block == [0; BLOCK_BYTES] {
            return match self.block()? {
                Some(second) if second == [0; BLOCK_BYTES] => Ok(None),
                Some(_) => Err(damaged("half an end marker is followed by something else")),
                None => Err(truncated("within its end marker")),
            };
        }
        Header::decode(&block).map(Some).ok_or_else(|| damaged("the checksum of a tar header does not match"))
    }

    /// A whole block, or `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(truncated("within a tar header")),
                Ok(read) => filled += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(from_io("reading the archive", cause)),
            }
        }
        Ok(Some(block))
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size_bytes = header.size_bytes.ok_or_else(|| damaged("a size in a tar header is not a number"))?;
        let Some(left) = self.extension_bytes_left.checked_sub(size_bytes.max(1)) else {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the metadata of an entry takes {size_bytes} bytes; no honest archive needs more than 1 MiB"),
                "The archive was not made by Strongroom or was tampered with; nothing was restored from it.",
            ));
        };
        self.extension_bytes_left = left;
        let mut content = vec![0; size_bytes as usize + padding_bytes(size_bytes)];
        self.source.read_exact(&mut content).map_err(|cause| from_io("reading the archive", cause))?;
        content.truncate(size_bytes as usize);
        Ok(content)
    }

    /// `None` for what stands for the archive's own root folder.
    fn entry(&mut self, header: &Header, pax: Pax) -> Result<Option<Entry>> {
        let name = pax.path.clone().unwrap_or_else(|| header.name.clone());
        if pax.gnu_sparse || header.type_flag == b'S' {
            return Err(unsupported(&name, "is stored as a sparse map of GNU tar"));
        }
        let size_bytes = match pax.size_bytes {
            Some(size_bytes) => size_bytes,
            None => header.size_bytes.ok_or_else(|| damaged("a size in a tar header is not a number"))?,
        };
        if size_bytes > i64::MAX as u64 {
            return Err(damaged("a size in a tar header is impossible"));
        }
        let kind = kind(header, &pax, &name, size_bytes)?;
        if !matches!(kind, EntryKind::File { .. }) && size_bytes > 0 {
            return Err(unsupported(&name, "has content although it is no file"));
        }
        self.content_left = size_bytes;
        self.padding = padding_bytes(size_bytes);
        let Some(path) = normalised(&name)? else { return Ok(None) };
        self.guard.check(&path, &kind)?;
        Ok(Some(Entry { path, kind, metadata: metadata(header, pax)? }))
    }

    fn skip_content(&mut self) -> Result<()> {
        let reading = |cause| from_io("reading the archive", cause);
        io::copy(self, &mut io::sink()).map_err(reading)?;
        let padding = std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut (&mut self.source).take(padding as u64), &mut io::sink()).map_err(reading)?;
        if skipped < padding as u64 { Err(truncated("within the padding of an entry")) } else { Ok(()) }
    }

    /// Everything behind the end marker must be padding, and must be read: checksums and tags come last.
    fn read_to_end(&mut self) -> Result<()> {
        while let Some(block) = self.block()? {
            if block != [0; BLOCK_BYTES] {
                return Err(damaged("something follows the end marker"));
            }
        }
        Ok(())
    }
}

/// Content of the entry that [`next_entry`](Self::next_entry) gave last.
impl<R: Read> Read for TarParser<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.content_left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(truncated("within the content of an entry").into());
        }
        self.content_left -= read as u64;
        Ok(read)
    }
}

fn kind(header: &Header, pax: &Pax, name: &[u8], size_bytes: u64) -> Result<EntryKind> {
    let link = || pax.link.clone().unwrap_or_else(|| header.link.clone());
    Ok(match header.type_flag {
        // Before ustar, folders were files whose name ends with a slash.
        b'0' | 0 | b'7' if !name.ends_with(b"/") => EntryKind::File { size_bytes: Some(size_bytes) },
        b'0' | 0 | b'5' => EntryKind::Directory,
        b'1' => match normalised(&link())? {
            Some(target) => EntryKind::HardLink { target },
            None => return Err(unsafe_entry(name, "is a hard link to the archive's root folder")),
        },
        b'2' => {
            let target = link();
            if target.is_empty() {
                return Err(unsafe_entry(name, "is a symbolic link to nothing"));
            }
            if target.contains(&0) {
                return Err(unsafe_entry(name, "is a symbolic link whose target contains a NUL byte"));
            }
            EntryKind::Symlink { target }
        }
        b'6' => EntryKind::Fifo,
        b'3' | b'4' => return Err(unsafe_entry(name, "is a device node")),
        b'V' | b'M' | b'D' | b'N' => {
            return Err(unsupported(name, "belongs to a GNU incremental or multi-volume archive"));
        }
        other => return Err(unsupported(name, &format!("is of the unknown kind {:?}", char::from(other)))),
    })
}

fn metadata(header: &Header, pax: Pax) -> Result<Metadata> {
    let impossible = || damaged("an owner in a tar header is not a number");
    let id = |pax: Option<u64>, header: Option<u64>| {
        pax.or(header).and_then(|id| u32::try_from(id).ok()).ok_or_else(impossible)
    };
    let text = |pax: Option<Vec<u8>>, header: &[u8]| {
        let bytes = pax.unwrap_or_else(|| header.to_vec());
        String::from_utf8(bytes).ok().filter(|name| !name.is_empty()).map(Arc::from)
    };
    let mut xattrs = pax.xattrs;
    // A later record replaces an earlier one of the same name.
    xattrs.reverse();
    xattrs.sort_by(|(a, _), (b, _)| a.cmp(b));
    xattrs.dedup_by(|(later, _), (first, _)| later == first);
    let modified = match pax.modified {
        Some(modified) => modified,
        None => Timestamp {
            seconds: header.modified_seconds.ok_or_else(|| damaged("a time in a tar header is not a number"))?,
            nanoseconds: 0,
        },
    };
    Ok(Metadata {
        mode: header.mode.ok_or_else(|| damaged("a mode in a tar header is not a number"))? as u32 & 0o7777,
        uid: id(pax.uid, header.uid)?,
        gid: id(pax.gid, header.gid)?,
        user: text(pax.user, &header.user),
        group: text(pax.group, &header.group),
        modified,
        links: 1,
        xattrs,
        sparse: pax.sparse,
        ..Metadata::default()
    })
}

/// Without `./`, doubled and trailing slashes, as other programs write them; `None` for the root folder itself.
/// Whatever could lead outside is refused.
fn normalised(name: &[u8]) -> Result<Option<EntryPath>> {
    if name.starts_with(b"/") {
        return EntryPath::new(name).map(Some);
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.is_empty() && !name.is_empty() {
        return Ok(None);
    }
    EntryPath::new(parts.join(&b'/')).map(Some)
}

fn decode(pax: &mut Pax, records: &[u8]) -> Result<()> {
    pax.decode(records).map_err(|why| damaged(&format!("in a pax header {why}")))
}

fn gnu_name(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

fn damaged(what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the archive is damaged: {what}"),
        "It was altered or rotted: use another copy of it or an older backup.",
    )
}

fn truncated(place: &str) -> Error {
    Error::new(
        ErrorKind::Truncated,
        format!("the archive ends too early, {place}"),
        "It was cut off or not copied to its end: use another copy of it or an older backup.",
    )
}

fn unsupported(name: &[u8], what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{:?} in the archive {what}", String::from_utf8_lossy(name)),
        "Strongroom never writes such entries; unpack this archive with the program that made it.",
    )
}

fn unsafe_entry(name: &[u8], what: &str) -> Error {
    Error::new(
        ErrorKind::UnsafeEntry,
        format!("unsafe entry in the backup: {:?} {what}", String::from_utf8_lossy(name)),
        "The archive was not made by Strongroom or was tampered with; nothing was written.",
    )
}
