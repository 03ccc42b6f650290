//! Whether the pages of a file hang together, as `PRAGMA quick_check` would find: each is part of one b-tree, one overflow
//! chain or the free list, and of one alone; the cells of each lie within it, apart from each other, and leave as many bytes
//! over as it says; row ids ascend, and all leaves of a tree lie equally deep. (What stands in the cells, `rows` and `entries`
//! read.) The order follows SQLite's `sqlite3BtreeIntegrityCheck`.
//!
//! Files that move pages about (`auto_vacuum`) are left to SQLite.

use super::super::record::varint;
use super::{DEPTH_MAX, Kind, Page, PageFile, Payload, Window};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Byte that SQLite locks, and whose page it never uses.
const LOCK_BYTE: u64 = 1 << 30;

/// A b-tree.
pub(in super::super) struct Tree {
    pub(in super::super) root: u32,
    /// It has row ids.
    pub(in super::super) is_table: bool,
    /// Its leaves below the root are looked at where their rows are read: [`rows`](super::rows) reads them anyway.
    pub(in super::super) leaves_with_rows: bool,
}

/// Which pages of a file have their place. Several threads find them.
pub(in super::super) struct Places {
    pages: u32,
    /// The page of the byte that SQLite locks.
    lock_page: u32,
    /// A bit for each page.
    taken: Vec<AtomicU64>,
    /// Leaves that were passed over, less those that were looked at with their rows.
    leaves_left: AtomicI64,
}

impl Places {
    /// `None` for a file of more pages than SQLite can have.
    pub(in super::super) fn new(file: &PageFile) -> Option<Self> {
        let pages = u32::try_from(file.pages()).ok()?;
        Some(Self {
            pages,
            lock_page: (LOCK_BYTE / file.page_bytes as u64 + 1) as u32,
            taken: (0..=pages / 64).map(|_| AtomicU64::new(0)).collect(),
            leaves_left: AtomicI64::new(0),
        })
    }

    /// Each page once.
    fn take(&self, page: u32) -> Option<()> {
        if page == 0 || page > self.pages {
            return None;
        }
        let bit = 1 << (page % 64);
        let before = self.taken.get(page as usize / 64)?.fetch_or(bit, Ordering::Relaxed);
        (before & bit == 0).then_some(())
    }

    /// Whether every page is in use, and every leaf was looked at.
    pub(in super::super) fn are_all_taken(&self) -> bool {
        let is_taken = |page: u32| {
            let word = self.taken.get(page as usize / 64);
            word.is_some_and(|word| word.load(Ordering::Relaxed) >> (page % 64) & 1 == 1)
        };
        let is_right = |page| is_taken(page) != (page == self.lock_page);
        self.leaves_left.load(Ordering::Relaxed) == 0 && (1..=self.pages).all(is_right)
    }

    /// Follows an overflow chain, which has to end where the record does.
    fn take_chain(&self, file: &PageFile, window: &mut Window, (first, pages): (u32, u64)) -> Option<()> {
        let (mut next, mut left) = (first, pages);
        while next != 0 {
            self.take(next)?;
            left = left.checked_sub(1)?;
            let (following, _) = window.page(file, next)?.split_first_chunk()?;
            next = u32::from_be_bytes(*following);
        }
        (left == 0).then_some(())
    }

    /// The cells of a page, between the row ids that the page above tells, and what belongs to them.
    fn look_at(
        &self,
        file: &PageFile,
        page: Page<'_>,
        (is_table, is_leaf): (bool, bool),
        between: Between,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let cells = Cells { page, usable_bytes: file.usable_bytes, is_table, is_leaf };
        let overflows = cells.check(between, &mut scratch.extents)?;
        overflows.into_iter().try_for_each(|chain| self.take_chain(file, &mut scratch.overflow, chain))
    }

    /// A leaf with rows that was passed over.
    pub(super) fn look_at_leaf(
        &self,
        file: &PageFile,
        page: Page<'_>,
        between: Between,
        scratch: &mut Scratch,
    ) -> Option<()> {
        self.look_at(file, page, (true, true), between, scratch)?;
        self.leaves_left.fetch_sub(1, Ordering::Relaxed);
        Some(())
    }
}

/// Row ids have to be above the first and not above the second.
pub(super) type Between = (Option<i64>, Option<i64>);

/// What looking at pages needs again and again.
#[derive(Default)]
pub(super) struct Scratch {
    overflow: Window,
    extents: Vec<(usize, usize)>,
}

/// Whether a file with these trees, the schema's own among them, is sound, as far as `places` does not still tell: after the
/// rows of all trees that have them were read, all places must be taken. `false` also where that is not known.
pub(in super::super) fn is_sound(file: &PageFile, trees: &[Tree], places: &Places) -> bool {
    Structure::new(file, places).is_some_and(|mut structure| structure.check(trees).is_some())
}

struct Structure<'a> {
    file: &'a PageFile,
    places: &'a Places,
    free_pages: (u32, u32),
    window: Window,
    scratch: Scratch,
}

/// A subtree: how deep its leaves lie.
type Depth = u32;

impl<'a> Structure<'a> {
    fn new(file: &'a PageFile, places: &'a Places) -> Option<Self> {
        let mut header = [0; 100];
        file.read_exact(&mut header, 0)?;
        let number = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        // The size in the header counts where whoever wrote last knew of it.
        let is_counted = number(24)? == number(92)? && number(28)? == places.pages;
        let is_whole = file.size_bytes.is_multiple_of(file.page_bytes as u64);
        let moves_pages = number(52)? != 0 || number(64)? != 0;
        (is_counted && is_whole && !moves_pages).then(|| Self {
            file,
            places,
            free_pages: (number(32).unwrap_or(0), number(36).unwrap_or(0)),
            window: Window::default(),
            scratch: Scratch::default(),
        })
    }

    fn check(&mut self, trees: &[Tree]) -> Option<()> {
        self.free_list()?;
        for tree in trees {
            self.subtree(tree, tree.root, (None, None), 0)?;
        }
        Some(())
    }

    fn free_list(&mut self) -> Option<()> {
        let (mut trunk, expected) = self.free_pages;
        let mut count = 0;
        while trunk != 0 {
            self.places.take(trunk)?;
            let bytes = self.window.page(self.file, trunk)?;
            let (numbers, _) = bytes.as_chunks::<4>();
            let mut numbers = numbers.iter().map(|bytes| u32::from_be_bytes(*bytes));
            let (next, leaves) = (numbers.next()?, numbers.next()?);
            if leaves as usize > self.file.usable_bytes / 4 - 2 {
                return None;
            }
            let leaves = numbers.take(leaves as usize).collect::<Vec<_>>();
            count += 1 + leaves.len();
            leaves.into_iter().try_for_each(|leaf| self.places.take(leaf))?;
            trunk = next;
        }
        (count == expected as usize).then_some(())
    }

    fn subtree(&mut self, tree: &Tree, number: u32, between: Between, depth: u32) -> Option<Depth> {
        self.places.take(number)?;
        if depth > DEPTH_MAX {
            return None;
        }
        let bytes = self.window.page(self.file, number)?;
        let page = Page::new(bytes, number);
        match (page.kind()?, tree.is_table) {
            (Kind::TableLeaf, true) | (Kind::IndexLeaf, false) => {
                self.places.look_at(self.file, page, (tree.is_table, true), between, &mut self.scratch)?;
                Some(depth)
            }
            (Kind::TableInterior, true) | (Kind::IndexInterior, false) => {
                // The window moves on with the pages below.
                let bytes = bytes.to_vec();
                self.interior(tree, &Page::new(&bytes, number), between, depth)
            }
            _ => None,
        }
    }

    fn interior(&mut self, tree: &Tree, page: &Page<'_>, (mut low, high): Between, depth: u32) -> Option<Depth> {
        self.places.look_at(self.file, *page, (tree.is_table, false), (low, high), &mut self.scratch)?;
        if tree.leaves_with_rows && self.file.first_child_kind(page)? == Kind::TableLeaf {
            return self.pass_over(page).map(|()| depth + 1);
        }
        let mut deepest = None;
        for at in 0..page.cells()? {
            let (child, rest) = page.interior_cell(at)?;
            let key = if tree.is_table { Some(varint(rest)?.0.cast_signed()) } else { None };
            let found = self.subtree(tree, child, (low, key), depth + 1)?;
            if *deepest.get_or_insert(found) != found {
                return None;
            }
            low = key;
        }
        let found = self.subtree(tree, page.last_child()?, (low, high), depth + 1)?;
        (*deepest.get_or_insert(found) == found).then_some(found)
    }

    /// Leaves below a page. That all of them are leaves is seen where they are looked at.
    fn pass_over(&self, page: &Page<'_>) -> Option<()> {
        let cells = page.cells()?;
        (0..cells).try_for_each(|at| self.places.take(page.interior_cell(at)?.0))?;
        self.places.take(page.last_child()?)?;
        self.places.leaves_left.fetch_add(cells as i64 + 1, Ordering::Relaxed);
        Some(())
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
    fn check(&self, (mut low, high): Between, extents: &mut Vec<(usize, usize)>) -> Option<Vec<(u32, u64)>> {
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
