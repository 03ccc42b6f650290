//! Reads the rows of ordinary tables from the pages of their b-trees, past SQLite: half the work of reading them through
//! it (<https://sqlite.org/fileformat2.html#b_tree_pages>).
//!
//! Invariant: the values are those that SQLite hands out, or the answer is that they are not known. A table without row
//! ids, with generated columns, with UTF-16 text, with rows older than one of its columns, and anything that looks
//! damaged is left to SQLite, which also has the better words for damage.
//!
//! Only for files that nobody writes and nobody in this process has locked: closing a file gives up its POSIX locks.

use super::record::{self, Column, Values, varint};
use super::schema::TableShape;
use crate::export::ValueRef;
use crate::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Pages are read so many bytes at a time: leaves mostly follow each other.
const WINDOW_BYTES: usize = 64 * 1024;

/// Deeper than any tree: 2^31 pages of 512 bytes make ten levels.
const DEPTH_MAX: u32 = 20;

const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// The file, and how it is divided.
pub(super) struct PageFile {
    file: File,
    page_bytes: usize,
    /// A page without what extensions keep at its end.
    usable_bytes: usize,
    size_bytes: u64,
}

impl PageFile {
    /// `None` where the header does not say what it must.
    pub(super) fn open(path: &Path) -> Option<Self> {
        Self::new(File::open(path).ok()?)
    }

    fn new(file: File) -> Option<Self> {
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0).ok()?;
        let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65536,
            bytes => usize::from(bytes),
        };
        let usable_bytes = page_bytes.checked_sub(usize::from(header[20]))?;
        let is_valid = header.starts_with(b"SQLite format 3\0") && page_bytes >= 512 && usable_bytes >= 480;
        let size_bytes = file.metadata().ok()?.len();
        is_valid.then_some(Self { file, page_bytes, usable_bytes, size_bytes })
    }

    fn pages(&self) -> u64 {
        self.size_bytes / self.page_bytes as u64
    }
}

/// A table whose pages can be read.
pub(super) struct PlainTable {
    root: u32,
    columns: Vec<Column>,
    hidden_rowid: bool,
}

impl PlainTable {
    /// `None` for a table that is left to SQLite.
    pub(super) fn new(shape: &TableShape, root: i64) -> Option<Self> {
        if shape.without_rowid || shape.rowid.is_none() || !shape.generated.is_empty() {
            return None;
        }
        let is_rowid = |name: &str| shape.rowid_is_column && shape.primary_key.first().is_some_and(|key| key == name);
        let column = |(name, declared): &(String, String)| {
            if is_rowid(name) { Column::RowId } else { record::column(declared) }
        };
        Some(Self {
            root: u32::try_from(root).ok()?,
            columns: shape.columns.iter().map(column).collect(),
            hidden_rowid: !shape.rowid_is_column,
        })
    }
}

/// Why reading ended early.
enum Stop {
    NotKnown,
    Failed(Error),
}

/// Calls `row` with the values of each row between two row ids, in their order. `false`: not all are known, and those that
/// were handed out mean nothing.
pub(super) fn for_each(
    file: &PageFile,
    table: &PlainTable,
    between: (i64, i64),
    row: impl FnMut(&mut Values<'_>) -> Result<()>,
) -> Result<bool> {
    let mut walk = Walk {
        file,
        table,
        between,
        window: Window::default(),
        overflow: Window::default(),
        spilled: Vec::new(),
        visited: 0,
        row,
    };
    match walk.subtree(table.root, 0) {
        Ok(()) => Ok(true),
        Err(Stop::NotKnown) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}

struct Walk<'a, F> {
    file: &'a PageFile,
    table: &'a PlainTable,
    between: (i64, i64),
    window: Window,
    /// Overflow pages lie elsewhere than the leaves: reading them must not drop these.
    overflow: Window,
    /// A record that does not fit on its page.
    spilled: Vec<u8>,
    visited: u64,
    row: F,
}

impl<F: FnMut(&mut Values<'_>) -> Result<()>> Walk<'_, F> {
    fn subtree(&mut self, number: u32, depth: u32) -> std::result::Result<(), Stop> {
        self.visited += 1;
        if depth > DEPTH_MAX || self.visited > self.file.pages() {
            return Err(Stop::NotKnown);
        }
        let page = Page::new(self.window.page(self.file, number).ok_or(Stop::NotKnown)?, number);
        match page.kind() {
            Some(LEAF) => self.leaf(number),
            Some(INTERIOR) => {
                let children = page.children(self.between).ok_or(Stop::NotKnown)?;
                children.into_iter().try_for_each(|child| self.subtree(child, depth + 1))
            }
            _ => Err(Stop::NotKnown),
        }
    }

    fn leaf(&mut self, number: u32) -> std::result::Result<(), Stop> {
        let Self { file, table, between, window, overflow, spilled, row, .. } = self;
        let page = Page::new(window.page(file, number).ok_or(Stop::NotKnown)?, number);
        let (low, high) = *between;
        for at in 0..page.cells().ok_or(Stop::NotKnown)? {
            let cell = page.cell(at, 8).and_then(|cell| Cell::parse(cell, file.usable_bytes)).ok_or(Stop::NotKnown)?;
            if cell.rowid < low || cell.rowid > high {
                continue;
            }
            let payload = match cell.overflow {
                None => cell.local,
                Some(first) => {
                    cell.collect(first, file, overflow, spilled).ok_or(Stop::NotKnown)?;
                    spilled.as_slice()
                }
            };
            let values = Values::new(&table.columns, table.hidden_rowid, cell.rowid, payload);
            let mut values = values.ok_or(Stop::NotKnown)?;
            row(&mut values).map_err(Stop::Failed)?;
            if values.is_incomplete {
                return Err(Stop::NotKnown);
            }
        }
        Ok(())
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
            if file.file.read_exact_at(&mut self.bytes, offset).is_err() {
                self.bytes.clear();
            }
        }
        let start = (offset - self.offset) as usize;
        self.bytes.get(start..start + file.usable_bytes)
    }
}

/// A page of a table's b-tree.
struct Page<'a> {
    bytes: &'a [u8],
    /// Where its header starts: the first page begins with that of the file.
    header: usize,
}

impl<'a> Page<'a> {
    const fn new(bytes: &'a [u8], number: u32) -> Self {
        Self { bytes, header: if number == 1 { 100 } else { 0 } }
    }

    fn kind(&self) -> Option<u8> {
        self.bytes.get(self.header).copied()
    }

    fn cells(&self) -> Option<usize> {
        self.bytes.get(self.header + 3..self.header + 5).map(|n| usize::from(n[0]) << 8 | usize::from(n[1]))
    }

    /// From the start of a cell to the end of the page.
    fn cell(&self, at: usize, header_bytes: usize) -> Option<&'a [u8]> {
        let pointer = self.header + header_bytes + 2 * at;
        let start = self.bytes.get(pointer..pointer + 2)?;
        self.bytes.get(usize::from(start[0]) << 8 | usize::from(start[1])..)
    }

    /// The pages below that may hold row ids of the range. Each key is the largest row id below its child.
    fn children(&self, (low, high): (i64, i64)) -> Option<Vec<u32>> {
        let mut children = Vec::new();
        for at in 0..self.cells()? {
            let (child, rest) = self.cell(at, 12)?.split_first_chunk()?;
            let key = varint(rest)?.0.cast_signed();
            if key >= low {
                children.push(u32::from_be_bytes(*child));
            }
            if key >= high {
                return Some(children);
            }
        }
        let last = self.bytes.get(self.header + 8..)?.first_chunk()?;
        children.push(u32::from_be_bytes(*last));
        Some(children)
    }
}

/// A row on a leaf.
struct Cell<'a> {
    rowid: i64,
    /// What of the record lies on the leaf.
    local: &'a [u8],
    /// The page where it goes on.
    overflow: Option<u32>,
    record_bytes: u64,
}

impl<'a> Cell<'a> {
    fn parse(bytes: &'a [u8], usable_bytes: usize) -> Option<Self> {
        let (record_bytes, rest) = varint(bytes)?;
        let (rowid, rest) = varint(rest)?;
        let rowid = rowid.cast_signed();
        let local_max = usable_bytes - 35;
        if record_bytes <= local_max as u64 {
            let local = rest.get(..record_bytes as usize)?;
            return Some(Self { rowid, local, overflow: None, record_bytes });
        }
        let local_min = (usable_bytes - 12) * 32 / 255 - 23;
        let wished = local_min + ((record_bytes - local_min as u64) % (usable_bytes as u64 - 4)) as usize;
        let (local, rest) = rest.split_at_checked(if wished <= local_max { wished } else { local_min })?;
        Some(Self { rowid, local, overflow: Some(u32::from_be_bytes(*rest.first_chunk()?)), record_bytes })
    }

    /// Puts the whole record together in `record`.
    fn collect(&self, first: u32, file: &PageFile, window: &mut Window, record: &mut Vec<u8>) -> Option<()> {
        if self.record_bytes > file.size_bytes {
            return None;
        }
        record.clear();
        record.extend_from_slice(self.local);
        let (mut next, mut missing) = (first, self.record_bytes as usize - self.local.len());
        while missing > 0 {
            let (following, content) = window.page(file, next)?.split_first_chunk()?;
            next = u32::from_be_bytes(*following);
            let taken = &content[..missing.min(content.len())];
            record.extend_from_slice(taken);
            missing -= taken.len();
        }
        Some(())
    }
}

/// For the fuzz target: whatever the bytes of a file, its rows are read, or not, within what the file holds.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok(descriptor) = rustix::fs::memfd_create("pages", rustix::fs::MemfdFlags::CLOEXEC) else { return };
    let file = File::from(descriptor);
    if file.write_all_at(bytes, 0).is_err() {
        return;
    }
    let Some(file) = PageFile::new(file) else { return };
    for root in 1..=3 {
        let columns = vec![Column::AsStored, Column::Real, Column::RowId];
        let table = PlainTable { root, columns, hidden_rowid: root == 2 };
        let mut value_bytes = 0;
        let read = for_each(&file, &table, (-1000, i64::MAX), |values| {
            values.for_each(|value| {
                if let ValueRef::Blob(b) | ValueRef::RawText(b) = value {
                    value_bytes = b.len();
                }
            });
            Ok(())
        });
        assert!(read.is_ok() && value_bytes as u64 <= file.size_bytes, "a value larger than the file");
    }
}

#[cfg(test)]
mod tests;
