//! One log as one gzip file, in bounded memory.

use super::super::Context;
use crate::Result;
use crate::tree::metadata::plain;
use crate::tree::walk::Walk;
use flate2::{Compression, GzBuilder};
use rustix::fs::Stat;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use tempfile::SpooledTempFile;
use vault::error::{IoContext, from_io};
use vault::{Entry, EntryKind, EntryPath};

/// Attribute of an entry that we compressed: its value is the plain size in decimal digits.
pub(crate) const MARK: &[u8] = b"user.strongroom.gzip";

/// Compressed logs up to this size stay in memory.
const MEMORY_BYTES_MAX: usize = 1024 * 1024;

/// Whether the walk's last entry should be compressed: what is compressed already is not, and neither is a log beside
/// which `<name>.gz` lies, for then the two would have one name.
pub(crate) fn is_wanted(walk: &Walk<'_>) -> bool {
    let name = walk.name().to_bytes();
    !name.ends_with(b".gz") && !walk.has_sibling(&[name, b".gz"].concat())
}

/// The entry's metadata as of the opening of the file.
pub(crate) fn refresh(entry: &mut Entry, stat: &Stat) {
    let xattrs = std::mem::take(&mut entry.metadata.xattrs);
    let (user, group) = (entry.metadata.user.take(), entry.metadata.group.take());
    entry.metadata = plain(stat);
    entry.metadata.sparse = false;
    (entry.metadata.user, entry.metadata.group, entry.metadata.xattrs) = (user, group, xattrs);
    entry.kind = EntryKind::File { size_bytes: Some(stat.st_size as u64) };
}

/// Compresses the first `size` bytes of a file; also says how many of them there still were, and why not all.
pub(crate) fn compress(
    context: &Context<'_>,
    path: &EntryPath,
    file: File,
    size: u64,
) -> Result<(SpooledTempFile, u64, Option<String>)> {
    let spool = tempfile::spooled_tempfile_in(MEMORY_BYTES_MAX, context.scratch);
    let name: Vec<u8> = path.file_name().to_vec();
    let mut encoder = GzBuilder::new().filename(name).write(spool, Compression::default());
    let mut plain = Watched { file: file.take(size), context, bytes: 0, failed: None };
    io::copy(&mut plain, &mut encoder).map_err(|cause| from_io(format!("compressing the log {path}"), cause))?;
    let (bytes, failed) = (plain.bytes, plain.failed);
    let spool = encoder.finish().doing(|| format!("compressing the log {path}"))?;
    let why = match failed {
        Some(error) => Some(format!("it could not be read to its end: {error}")),
        None if bytes < size => Some(format!("it became {} bytes shorter while it was read", size - bytes)),
        None => None,
    };
    Ok((spool, bytes, why))
}

/// The entry as it goes into an archive, and its content.
pub(crate) fn entry(plain: &Entry, plain_bytes: u64, mut spool: SpooledTempFile) -> Result<(Entry, SpooledTempFile)> {
    let size = spool.seek(SeekFrom::End(0)).doing(|| "reading a compressed log back")?;
    spool.rewind().doing(|| "reading a compressed log back")?;
    let mut packed = plain.clone();
    packed.path = EntryPath::new([plain.path.as_bytes(), b".gz"].concat())?;
    packed.kind = EntryKind::File { size_bytes: Some(size) };
    packed.metadata.xattrs.push((MARK.to_vec(), plain_bytes.to_string().into_bytes()));
    packed.metadata.xattrs.sort_unstable();
    Ok((packed, spool))
}

struct Watched<'a> {
    file: io::Take<File>,
    context: &'a Context<'a>,
    bytes: u64,
    failed: Option<io::Error>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.context.progress.check_cancelled().map_err(io::Error::from)?;
        match self.file.read(buffer) {
            Ok(length) => {
                self.bytes += length as u64;
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // A log that fails half-way is a warning, not the end of the backup.
            Err(error) => {
                self.failed = Some(error);
                Ok(0)
            }
        }
    }
}
