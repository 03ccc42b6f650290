//! Reads the rows of ordinary tables from their pages.
//!
//! A table without row ids, with generated columns, with UTF-16 text, or with rows older than one of its columns that has
//! a default is left to SQLite.

use super::super::record::{self, Column, Values, varint};
use super::super::schema::TableShape;
use super::structure::{Between, Places, Scratch};
use super::{DEPTH_MAX, Kind, Page, PageFile, Payload, Stop, Walked, Window, known};
use crate::Result;

/// A table whose pages can be read.
pub(in super::super) struct PlainTable {
    pub(super) root: u32,
    pub(super) columns: Vec<Column>,
    /// From here on a row may lack columns, which are NULL then.
    pub(super) null_defaults_from: usize,
    pub(super) hidden_rowid: bool,
}

impl PlainTable {
    /// `None` for a table that is left to SQLite.
    pub(in super::super) fn new(shape: &TableShape, root: i64) -> Option<Self> {
        if shape.without_rowid || shape.rowid.is_none() || !shape.generated.is_empty() {
            return None;
        }
        let column = |(name, declared): &(String, String)| {
            if shape.is_rowid(name) { Column::RowId } else { record::column(declared) }
        };
        Some(Self {
            root: u32::try_from(root).ok()?,
            columns: shape.columns.iter().map(column).collect(),
            null_defaults_from: shape.null_defaults_from,
            hidden_rowid: !shape.rowid_is_column,
        })
    }

    /// Where a column stands among the values of a row, and how it is stored; `None` for the row id.
    pub(in super::super) fn place(&self, column: Option<usize>) -> Option<(usize, Column)> {
        match column {
            Some(at) => Some((at + usize::from(self.hidden_rowid), *self.columns.get(at)?)),
            None if self.hidden_rowid => Some((0, Column::AsStored)),
            None => Some((self.columns.iter().position(|&column| column == Column::RowId)?, Column::AsStored)),
        }
    }
}

/// Calls `row` with the values of each row between two row ids, in their order. `false`: not all are known, and those that
/// were handed out mean nothing. In passing, the leaves find their `places`, each leaf with its first row.
pub(in super::super) fn rows(
    file: &PageFile,
    table: &PlainTable,
    between: (i64, i64),
    places: &Places,
    row: impl FnMut(&mut Values<'_>) -> Result<()>,
) -> Result<bool> {
    let mut walk = Walk {
        file,
        table,
        between,
        places,
        window: Window::default(),
        overflow: Window::default(),
        scratch: Scratch::default(),
        spilled: Vec::new(),
        visited: 0,
        are_known: true,
        row,
    };
    let walked = known(walk.subtree(table.root, None, (None, None), 0))?;
    Ok(walked && walk.are_known)
}

struct Walk<'a, F> {
    file: &'a PageFile,
    table: &'a PlainTable,
    between: (i64, i64),
    places: &'a Places,
    window: Window,
    /// Overflow pages lie elsewhere than the leaves: reading them must not drop these.
    overflow: Window,
    scratch: Scratch,
    /// A record that does not fit on its page.
    spilled: Vec<u8>,
    visited: u64,
    /// Rows that are not known are read no further, but the leaves still find their places.
    are_known: bool,
    row: F,
}

impl<F: FnMut(&mut Values<'_>) -> Result<()>> Walk<'_, F> {
    /// `kind` is what all pages beside it are.
    fn subtree(&mut self, number: u32, kind: Option<Kind>, bounds: Between, depth: u32) -> Walked {
        self.visited += 1;
        if depth > DEPTH_MAX || self.visited > self.file.pages() {
            return Err(Stop::NotKnown);
        }
        let page = Page::new(self.window.page(self.file, number).ok_or(Stop::NotKnown)?, number);
        let found = page.kind().filter(|&found| kind.is_none_or(|kind| kind == found));
        match found {
            // One without others beside it was looked at where it was found.
            Some(Kind::TableLeaf) if kind.is_none() => self.leaf(number),
            Some(Kind::TableLeaf) => self.place(number, bounds).and_then(|()| self.leaf(number)),
            Some(Kind::TableInterior) => {
                let below = Some(self.file.first_child_kind(&page).ok_or(Stop::NotKnown)?);
                let children = children(&page, self.between, bounds).ok_or(Stop::NotKnown)?;
                children.into_iter().try_for_each(|(child, bounds)| self.subtree(child, below, bounds, depth + 1))
            }
            _ => Err(Stop::NotKnown),
        }
    }

    /// Of those who read one leaf, each for some of its rows, one looks at it.
    fn place(&mut self, number: u32, bounds: Between) -> Walked {
        let page = Page::new(self.window.page(self.file, number).ok_or(Stop::NotKnown)?, number);
        let first = page.leaf_cell(0).filter(|_| page.cells() > Some(0));
        let (first, _) = first.and_then(|cell| parse(cell, self.file.usable_bytes)).ok_or(Stop::NotKnown)?;
        if first < self.between.0 || first > self.between.1 {
            return Ok(());
        }
        self.places.look_at_leaf(self.file, page, bounds, &mut self.scratch).ok_or(Stop::NotKnown)
    }

    fn leaf(&mut self, number: u32) -> Walked {
        if self.are_known {
            self.are_known = match self.rows(number) {
                Err(Stop::NotKnown) => false,
                read => read.map(|()| true)?,
            };
        }
        Ok(())
    }

    fn rows(&mut self, number: u32) -> Walked {
        let Self { file, table, between, window, overflow, spilled, row, .. } = self;
        let page = Page::new(window.page(file, number).ok_or(Stop::NotKnown)?, number);
        let (low, high) = *between;
        for at in 0..page.cells().ok_or(Stop::NotKnown)? {
            let (rowid, payload) =
                page.leaf_cell(at).and_then(|cell| parse(cell, file.usable_bytes)).ok_or(Stop::NotKnown)?;
            if rowid < low || rowid > high {
                continue;
            }
            let record = payload.whole(file, overflow, spilled).ok_or(Stop::NotKnown)?;
            let values = Values::new(&table.columns, table.hidden_rowid, rowid, record);
            let mut values = values.ok_or(Stop::NotKnown)?.or_null(table.null_defaults_from);
            row(&mut values).map_err(Stop::Failed)?;
            if !values.is_finished() {
                return Err(Stop::NotKnown);
            }
        }
        Ok(())
    }
}

/// The pages below that may hold row ids of the range, each with the bounds of what it may hold at all. Each key is the
/// largest row id below its child.
fn children(page: &Page<'_>, (low, high): (i64, i64), bounds: Between) -> Option<Vec<(u32, Between)>> {
    let mut children = Vec::new();
    let mut before = bounds.0;
    for at in 0..page.cells()? {
        let (child, rest) = page.interior_cell(at)?;
        let key = varint(rest)?.0.cast_signed();
        if key >= low {
            children.push((child, (before, Some(key))));
        }
        if key >= high {
            return Some(children);
        }
        before = Some(key);
    }
    children.push((page.last_child()?, (before, bounds.1)));
    Some(children)
}

/// The row id and the record of a row on a leaf.
fn parse(cell: &[u8], usable_bytes: usize) -> Option<(i64, Payload<'_>)> {
    let (record_bytes, rest) = varint(cell)?;
    let (rowid, rest) = varint(rest)?;
    Some((rowid.cast_signed(), Payload::new(record_bytes, rest, usable_bytes, usable_bytes - 35)?))
}
