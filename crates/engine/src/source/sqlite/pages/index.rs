//! Reads the entries of indexes from their pages, in their order.

use super::super::record::varint;
use super::{DEPTH_MAX, Kind, Page, PageFile, Payload, Stop, Walked, Window, known};
use crate::Result;

/// Calls `entry` with the record of each entry of the index whose tree begins at `root`, in order, until it answers
/// `false`. `false` as well: not all are known.
pub(in super::super) fn entries(file: &PageFile, root: u32, entry: impl FnMut(&[u8]) -> Result<bool>) -> Result<bool> {
    let windows = [Window::default(), Window::default()];
    known(Walk { file, windows, spilled: Vec::new(), visited: 0, entry }.subtree(root, 0))
}

struct Walk<'a, F> {
    file: &'a PageFile,
    /// For the tree, and for overflow pages, which lie elsewhere.
    windows: [Window; 2],
    spilled: Vec<u8>,
    visited: u64,
    entry: F,
}

impl<F: FnMut(&[u8]) -> Result<bool>> Walk<'_, F> {
    fn subtree(&mut self, number: u32, depth: u32) -> Walked {
        self.visited += 1;
        if depth > DEPTH_MAX || self.visited > self.file.pages() {
            return Err(Stop::NotKnown);
        }
        let Self { file, windows: [window, overflow], spilled, entry, .. } = self;
        let bytes = window.page(file, number).ok_or(Stop::NotKnown)?;
        let page = Page::new(bytes, number);
        let cells = page.cells().ok_or(Stop::NotKnown)?;
        match page.kind() {
            Some(Kind::IndexLeaf) => {
                let mut cells = (0..cells).map(|at| page.leaf_cell(at));
                cells.try_for_each(|cell| hand_out(file, cell.ok_or(Stop::NotKnown)?, overflow, spilled, entry))
            }
            Some(Kind::IndexInterior) => {
                // The window moves on with the pages below.
                let bytes = bytes.to_vec();
                self.interior(&Page::new(&bytes, number), cells, depth)
            }
            _ => Err(Stop::NotKnown),
        }
    }

    /// Between two pages below lies one entry.
    fn interior(&mut self, page: &Page<'_>, cells: usize, depth: u32) -> Walked {
        for at in 0..cells {
            let (child, cell) = page.interior_cell(at).ok_or(Stop::NotKnown)?;
            self.subtree(child, depth + 1)?;
            hand_out(self.file, cell, &mut self.windows[1], &mut self.spilled, &mut self.entry)?;
        }
        self.subtree(page.last_child().ok_or(Stop::NotKnown)?, depth + 1)
    }
}

fn hand_out(
    file: &PageFile,
    cell: &[u8],
    overflow: &mut Window,
    spilled: &mut Vec<u8>,
    entry: &mut impl FnMut(&[u8]) -> Result<bool>,
) -> Walked {
    let local_max = (file.usable_bytes - 12) * 64 / 255 - 23;
    let payload = varint(cell).and_then(|(bytes, rest)| Payload::new(bytes, rest, file.usable_bytes, local_max));
    let record = payload.as_ref().and_then(|payload| payload.whole(file, overflow, spilled)).ok_or(Stop::NotKnown)?;
    if entry(record).map_err(Stop::Failed)? { Ok(()) } else { Err(Stop::NotKnown) }
}
