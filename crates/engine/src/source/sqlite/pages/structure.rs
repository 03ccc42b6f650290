//! Whether the pages of a file hang together, as `PRAGMA quick_check` would find: each is part of one b-tree, one overflow
//! chain or the free list, and of one alone; the cells of each lie within it, apart from each other, and leave as many bytes
//! over as it says; row ids ascend, and all leaves of a tree lie equally deep. (What stands in the cells, `rows` and `entries`
//! read.) The order follows SQLite's `sqlite3BtreeIntegrityCheck`.
//!
//! Files that move pages about (`auto_vacuum`) are left to SQLite.

use super::super::record::varint;
use super::{DEPTH_MAX, Kind, Page, PageFile, Payload, Window};
use std::os::unix::fs::FileExt as _;

/// Byte that SQLite locks, and whose page it never uses.
const LOCK_BYTE: u64 = 1 << 30;

/// Whether a file with these trees, the schema's own among them, is sound. `false` also where that is not known.
pub(in super::super) fn is_sound(file: &PageFile, trees: &[(u32, bool)]) -> bool {
    Structure::new(file).is_some_and(|mut structure| structure.check(trees).is_some())
}

struct Structure<'a> {
    file: &'a PageFile,
    pages: u32,
    /// A bit for each page that has its place.
    placed: Vec<u64>,
    free_pages: (u32, u32),
    window: Window,
    overflow: Window,
    extents: Vec<(usize, usize)>,
}

/// A subtree: how deep its leaves lie.
type Depth = u32;

impl<'a> Structure<'a> {
    fn new(file: &'a PageFile) -> Option<Self> {
        let mut header = [0; 100];
        file.file.read_exact_at(&mut header, 0).ok()?;
        let number = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let pages = u32::try_from(file.pages()).ok()?;
        // The size in the header counts where whoever wrote last knew of it.
        let is_counted = number(24)? == number(92)? && number(28)? == pages;
        let is_whole = file.size_bytes.is_multiple_of(file.page_bytes as u64);
        let moves_pages = number(52)? != 0 || number(64)? != 0;
        (is_counted && is_whole && !moves_pages).then(|| Self {
            file,
            pages,
            placed: vec![0; pages as usize / 64 + 1],
            free_pages: (number(32).unwrap_or(0), number(36).unwrap_or(0)),
            window: Window::default(),
            overflow: Window::default(),
            extents: Vec::new(),
        })
    }

    fn check(&mut self, trees: &[(u32, bool)]) -> Option<()> {
        self.free_list()?;
        for &(root, is_table) in trees {
            self.subtree(root, is_table, (None, None), 0)?;
        }
        let lock_page = (LOCK_BYTE / self.file.page_bytes as u64 + 1) as u32;
        let never_used = (1..=self.pages).filter(|&page| page != lock_page).any(|page| !self.is_placed(page));
        (!never_used && !self.is_placed(lock_page)).then_some(())
    }

    fn is_placed(&self, page: u32) -> bool {
        self.placed.get(page as usize / 64).is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Each page once.
    fn place(&mut self, page: u32) -> Option<()> {
        if page == 0 || page > self.pages || self.is_placed(page) {
            return None;
        }
        self.placed[page as usize / 64] |= 1 << (page % 64);
        Some(())
    }

    fn free_list(&mut self) -> Option<()> {
        let (mut trunk, expected) = self.free_pages;
        let mut count = 0;
        while trunk != 0 {
            self.place(trunk)?;
            let bytes = self.window.page(self.file, trunk)?;
            let (numbers, _) = bytes.as_chunks::<4>();
            let mut numbers = numbers.iter().map(|bytes| u32::from_be_bytes(*bytes));
            let (next, leaves) = (numbers.next()?, numbers.next()?);
            if leaves as usize > self.file.usable_bytes / 4 - 2 {
                return None;
            }
            let leaves = numbers.take(leaves as usize).collect::<Vec<_>>();
            count += 1 + leaves.len();
            leaves.into_iter().try_for_each(|leaf| self.place(leaf))?;
            trunk = next;
        }
        (count == expected as usize).then_some(())
    }

    /// `between`: row ids have to be above the first and not above the second.
    fn subtree(
        &mut self,
        number: u32,
        is_table: bool,
        between: (Option<i64>, Option<i64>),
        depth: u32,
    ) -> Option<Depth> {
        self.place(number)?;
        if depth > DEPTH_MAX {
            return None;
        }
        let bytes = self.window.page(self.file, number)?;
        let page = Page::new(bytes, number);
        match (page.kind()?, is_table) {
            (Kind::TableLeaf, true) | (Kind::IndexLeaf, false) => {
                let mut extents = std::mem::take(&mut self.extents);
                let overflows = Cells { page, usable_bytes: self.file.usable_bytes, is_table, is_leaf: true }
                    .check(between, &mut extents);
                self.extents = extents;
                overflows?.into_iter().try_for_each(|chain| self.chain(chain))?;
                Some(depth)
            }
            (Kind::TableInterior, true) | (Kind::IndexInterior, false) => {
                // The window moves on with the pages below.
                let bytes = bytes.to_vec();
                self.interior(&Page::new(&bytes, number), is_table, between, depth)
            }
            _ => None,
        }
    }

    fn interior(
        &mut self,
        page: &Page<'_>,
        is_table: bool,
        (mut low, high): (Option<i64>, Option<i64>),
        depth: u32,
    ) -> Option<Depth> {
        let cells = Cells { page: *page, usable_bytes: self.file.usable_bytes, is_table, is_leaf: false };
        let mut extents = std::mem::take(&mut self.extents);
        let overflows = cells.check((low, high), &mut extents);
        self.extents = extents;
        overflows?.into_iter().try_for_each(|chain| self.chain(chain))?;
        let mut deepest = None;
        for at in 0..page.cells()? {
            let (child, rest) = page.interior_cell(at)?;
            let key = if is_table { Some(varint(rest)?.0.cast_signed()) } else { None };
            let found = self.subtree(child, is_table, (low, key), depth + 1)?;
            if *deepest.get_or_insert(found) != found {
                return None;
            }
            low = key;
        }
        let found = self.subtree(page.last_child()?, is_table, (low, high), depth + 1)?;
        (*deepest.get_or_insert(found) == found).then_some(found)
    }

    /// Follows an overflow chain, which has to end where the record does.
    fn chain(&mut self, (first, pages): (u32, u64)) -> Option<()> {
        let (mut next, mut left) = (first, pages);
        while next != 0 {
            self.place(next)?;
            left = left.checked_sub(1)?;
            let (following, _) = self.overflow.page(self.file, next)?.split_first_chunk()?;
            next = u32::from_be_bytes(*following);
        }
        (left == 0).then_some(())
    }
}

/// The cells of one page.
struct Cells<'a> {
    page: Page<'a>,
    usable_bytes: usize,
    is_table: bool,
    is_leaf: bool,
}

impl Cells<'_> {
    /// The overflow chains that begin here: first page, and how many there must be.
    fn check(
        &self,
        (mut low, high): (Option<i64>, Option<i64>),
        extents: &mut Vec<(usize, usize)>,
    ) -> Option<Vec<(u32, u64)>> {
        let (bytes, header) = (self.page.bytes, self.page.header);
        let short = |at: usize| bytes.get(at..at + 2).map(|n| usize::from(n[0]) << 8 | usize::from(n[1]));
        let header_bytes = if self.is_leaf { 8 } else { 12 };
        let cells = self.page.cells()?;
        let content = match short(header + 5)? {
            0 => 65536,
            start => start,
        };
        if header + header_bytes + 2 * cells > content || content > self.usable_bytes {
            return None;
        }
        extents.clear();
        let mut overflows = Vec::new();
        for at in 0..cells {
            let start = short(header + header_bytes + 2 * at)?;
            let (length, key) = self.cell(bytes.get(start..)?, &mut overflows)?;
            if start < content || start + length > self.usable_bytes {
                return None;
            }
            if let Some(key) = key {
                if low.is_some_and(|low| key <= low) || high.is_some_and(|high| key > high) {
                    return None;
                }
                low = Some(key);
            }
            extents.push((start, start + length));
        }
        let mut block = short(header + 1)?;
        while block != 0 {
            let (next, length) = (short(block)?, short(block + 2)?);
            // Blocks ascend, with more than a fragment between two of them.
            let in_order = next == 0 || next > block + length + 3;
            if block < content || length < 4 || block + length > self.usable_bytes || !in_order {
                return None;
            }
            extents.push((block, block + length));
            block = next;
        }
        extents.sort_unstable();
        let mut end = content;
        let mut fragments = 0;
        for &(start, next_end) in &*extents {
            fragments += start.checked_sub(end)?;
            end = next_end;
        }
        fragments += self.usable_bytes - end;
        (fragments == usize::from(*bytes.get(header + 7)?)).then_some(overflows)
    }

    /// How long a cell is, and its row id where it has one.
    fn cell(&self, cell: &[u8], overflows: &mut Vec<(u32, u64)>) -> Option<(usize, Option<i64>)> {
        let mut rest = cell;
        if !self.is_leaf {
            rest = rest.get(4..)?;
            if self.is_table {
                let (key, after) = varint(rest)?;
                return Some((4.max(cell.len() - after.len()), Some(key.cast_signed())));
            }
        }
        let (record_bytes, after) = varint(rest)?;
        let (key, after) = if self.is_table {
            let (key, after) = varint(after)?;
            (Some(key.cast_signed()), after)
        } else {
            (None, after)
        };
        let local_max = if self.is_table { self.usable_bytes - 35 } else { (self.usable_bytes - 12) * 64 / 255 - 23 };
        let payload = Payload::new(record_bytes, after, self.usable_bytes, local_max)?;
        let mut length = cell.len() - after.len() + payload.local.len();
        if let Some(first) = payload.overflow {
            length += 4;
            let beyond = payload.record_bytes - payload.local.len() as u64;
            overflows.push((first, beyond.div_ceil(self.usable_bytes as u64 - 4)));
        }
        Some((length.max(4), key))
    }
}
