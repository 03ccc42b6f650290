//! The pages of a SQLite file and of its b-trees, past SQLite (<https://sqlite.org/fileformat2.html#b_tree_pages>): tables
//! row by row (`table`), indexes entry by entry (`index`), for less than half the work of reading them through it.
//!
//! Invariant: what is handed out is what SQLite would hand out, or the answer is that it is not known. Anything that looks
//! damaged is left to SQLite, which also has the better words for damage.
//!
//! Only for files that nobody writes and nobody in this process has locked: closing a file gives up its POSIX locks.

mod index;
mod structure;
mod table;

pub(super) use index::entries;
pub(super) use structure::{Places, Tree, is_sound};
pub(super) use table::{PlainTable, rows};

use super::record::Column;
use crate::Error;
use crate::export::ValueRef;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Pages are read so many bytes at a time: leaves mostly follow each other.
const WINDOW_BYTES: usize = 64 * 1024;

/// Deeper than any tree: 2^31 pages of 512 bytes make ten levels.
const DEPTH_MAX: u32 = 20;

/// What pages are read from.
pub(super) trait ReadAt: Send + Sync {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    fn size_bytes(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// The file, and how it is divided.
pub(super) struct PageFile {
    file: Arc<dyn ReadAt>,
    page_bytes: usize,
    /// A page without what extensions keep at its end.
    usable_bytes: usize,
    size_bytes: u64,
}

impl PageFile {
    /// `None` where the header does not say what it must.
    pub(super) fn open(path: &Path) -> Option<Self> {
        Self::new(Arc::new(File::open(path).ok()?))
    }

    pub(super) fn new(file: Arc<dyn ReadAt>) -> Option<Self> {
        let mut header = [0; 100];
        read_exact(&*file, &mut header, 0)?;
        let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65536,
            bytes => usize::from(bytes),
        };
        let usable_bytes = page_bytes.checked_sub(usize::from(header[20]))?;
        let is_valid = header.starts_with(b"SQLite format 3\0") && page_bytes >= 512 && usable_bytes >= 480;
        let size_bytes = file.size_bytes().ok()?;
        is_valid.then_some(Self { file, page_bytes, usable_bytes, size_bytes })
    }

    fn pages(&self) -> u64 {
        self.size_bytes / self.page_bytes as u64
    }

    fn read_exact(&self, bytes: &mut [u8], offset: u64) -> Option<()> {
        read_exact(&*self.file, bytes, offset)
    }

    /// What kind of page lies first below another.
    fn first_child_kind(&self, page: &Page<'_>) -> Option<Kind> {
        let first = if page.cells()? > 0 { page.interior_cell(0)?.0 } else { page.last_child()? };
        let mut kind = [0];
        self.read_exact(&mut kind, u64::from(first.checked_sub(1)?) * self.page_bytes as u64)?;
        Kind::of(kind[0])
    }
}

fn read_exact(file: &dyn ReadAt, mut bytes: &mut [u8], mut offset: u64) -> Option<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset) {
            Ok(0) => return None,
            Ok(read) => (bytes, offset) = (&mut bytes[read..], offset + read as u64),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(())
}

/// Why reading ended early.
enum Stop {
    NotKnown,
    Failed(Error),
}

type Walked<T = ()> = std::result::Result<T, Stop>;

/// What was read to the end is known.
fn known(walked: Walked) -> crate::Result<bool> {
    match walked {
        Ok(()) => Ok(true),
        Err(Stop::NotKnown) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Some pages that follow each other.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    offset: u64,
}

impl Window {
    /// The usable part of a page; pages are counted from 1.
    fn page(&mut self, file: &PageFile, number: u32) -> Option<&[u8]> {
        let offset = u64::from(number.checked_sub(1)?) * file.page_bytes as u64;
        let end = offset + file.page_bytes as u64;
        if offset < self.offset || end > self.offset + self.bytes.len() as u64 {
            let left = usize::try_from(file.size_bytes.checked_sub(offset)?).unwrap_or(usize::MAX);
            self.bytes.resize(left.min(WINDOW_BYTES.max(file.page_bytes)), 0);
            self.offset = offset;
            if file.read_exact(&mut self.bytes, offset).is_none() {
                self.bytes.clear();
            }
        }
        let start = (offset - self.offset) as usize;
        self.bytes.get(start..start + file.usable_bytes)
    }
}

/// What kind of page a tree's node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    IndexInterior,
    TableInterior,
    IndexLeaf,
    TableLeaf,
}

impl Kind {
    const fn of(mark: u8) -> Option<Self> {
        Some(match mark {
            2 => Self::IndexInterior,
            5 => Self::TableInterior,
            10 => Self::IndexLeaf,
            13 => Self::TableLeaf,
            _ => return None,
        })
    }
}

/// A page of a b-tree.
#[derive(Clone, Copy)]
struct Page<'a> {
    bytes: &'a [u8],
    /// Where its header starts: the first page begins with that of the file.
    header: usize,
}

impl<'a> Page<'a> {
    const fn new(bytes: &'a [u8], number: u32) -> Self {
        Self { bytes, header: if number == 1 { 100 } else { 0 } }
    }

    fn kind(&self) -> Option<Kind> {
        Kind::of(*self.bytes.get(self.header)?)
    }

    fn cells(&self) -> Option<usize> {
        self.bytes.get(self.header + 3..self.header + 5).map(|n| usize::from(n[0]) << 8 | usize::from(n[1]))
    }

    /// From the start of a leaf's cell to the end of the page.
    fn leaf_cell(&self, at: usize) -> Option<&'a [u8]> {
        self.cell(at, 8)
    }

    /// The page below, and the rest of the cell to the end of the page.
    fn interior_cell(&self, at: usize) -> Option<(u32, &'a [u8])> {
        let (child, rest) = self.cell(at, 12)?.split_first_chunk()?;
        Some((u32::from_be_bytes(*child), rest))
    }

    /// The page below that has no cell of its own.
    fn last_child(&self) -> Option<u32> {
        self.bytes.get(self.header + 8..)?.first_chunk().map(|child| u32::from_be_bytes(*child))
    }

    fn cell(&self, at: usize, header_bytes: usize) -> Option<&'a [u8]> {
        let pointer = self.header + header_bytes + 2 * at;
        let start = self.bytes.get(pointer..pointer + 2)?;
        self.bytes.get(usize::from(start[0]) << 8 | usize::from(start[1])..)
    }
}

/// A record in a cell.
struct Payload<'a> {
    /// What of it lies on the page.
    local: &'a [u8],
    /// The page where it goes on.
    overflow: Option<u32>,
    record_bytes: u64,
}

impl<'a> Payload<'a> {
    /// Takes the record from what follows its length in a cell. `local_max` is what a page of this kind may hold of it.
    fn new(record_bytes: u64, rest: &'a [u8], usable_bytes: usize, local_max: usize) -> Option<Self> {
        if record_bytes <= local_max as u64 {
            return Some(Self { local: rest.get(..record_bytes as usize)?, overflow: None, record_bytes });
        }
        let local_min = (usable_bytes - 12) * 32 / 255 - 23;
        let wished = local_min + ((record_bytes - local_min as u64) % (usable_bytes as u64 - 4)) as usize;
        let (local, rest) = rest.split_at_checked(if wished <= local_max { wished } else { local_min })?;
        Some(Self { local, overflow: Some(u32::from_be_bytes(*rest.first_chunk()?)), record_bytes })
    }

    /// The whole record; put together in `record` where it does not fit on its page.
    fn whole<'r>(&self, file: &PageFile, window: &mut Window, record: &'r mut Vec<u8>) -> Option<&'r [u8]>
    where
        'a: 'r,
    {
        let Some(mut next) = self.overflow else { return Some(self.local) };
        if self.record_bytes > file.size_bytes {
            return None;
        }
        record.clear();
        record.extend_from_slice(self.local);
        let mut missing = self.record_bytes as usize - self.local.len();
        while missing > 0 {
            let (following, content) = window.page(file, next)?.split_first_chunk()?;
            next = u32::from_be_bytes(*following);
            let taken = &content[..missing.min(content.len())];
            record.extend_from_slice(taken);
            missing -= taken.len();
        }
        Some(record)
    }
}

/// For the fuzz target: whatever the bytes of a file, its rows and entries are read, or not, within what the file holds.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok(descriptor) = rustix::fs::memfd_create("pages", rustix::fs::MemfdFlags::CLOEXEC) else { return };
    let file = File::from(descriptor);
    if file.write_all_at(bytes, 0).is_err() {
        return;
    }
    let Some(file) = PageFile::new(Arc::new(file)) else { return };
    let Some(places) = Places::new(&file) else { return };
    let tree = |root, is_table| Tree { root, is_table, leaves_with_rows: root == 3 };
    is_sound(&file, &[tree(1, true), tree(2, false), tree(3, true)], &places);
    for root in 1..=3 {
        let columns = vec![Column::AsStored, Column::Real, Column::RowId];
        let table = PlainTable { root, columns, null_defaults_from: 2, hidden_rowid: root == 2 };
        let mut value_bytes = 0;
        let read = rows(&file, &table, (-1000, i64::MAX), &places, |values| {
            values.for_each(|value| {
                if let ValueRef::Blob(b) | ValueRef::RawText(b) = value {
                    value_bytes = b.len();
                }
            });
            Ok(())
        });
        assert!(read.is_ok() && value_bytes as u64 <= file.size_bytes, "a value larger than the file");
        let read = entries(&file, root, |record| {
            assert!(record.len() as u64 <= file.size_bytes, "an entry larger than the file");
            Ok(true)
        });
        assert!(read.is_ok());
    }
    places.are_all_taken();
}

#[cfg(test)]
pub(super) mod tests;
