//! Cuts between the pages of a database file whose pages keep their places (SQLite).
//!
//! A day's changes touch few pages, but all over the file: only a blob of about a single page stores just the change. A page
//! of SQLite tells its kind in its first byte. Leaves of tables (13) are what updates touch: each begins a blob, and takes
//! with it the next page or two if those are something else, mostly the overflow of its own long values. Longer runs of
//! whatever lies between (indexes, inner and free pages) change rarely and go in groups of at most eight. Fewer blobs compress
//! better and need less of the index; measured on a gigabyte of rows in `docs/repository.md`.

const GROUP_PAGES_MAX: usize = 8;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65_536;
const PAGE_BYTES_DEFAULT: usize = 4096;
/// SQLite's mark of a leaf of a table's B-tree.
const TABLE_LEAF: u8 = 13;

/// Other pages that go with a leaf.
const FOLLOWERS_MAX: usize = 2;

/// The cutter.
pub struct Pages {
    page_bytes: usize,
    /// Pages of the current blob that are there whole.
    pages: usize,
    /// The current blob begins with a leaf.
    has_leaf: bool,
}

impl Pages {
    pub(super) fn new(page_size_bytes: u32) -> Self {
        let asked = page_size_bytes as usize;
        let plausible = PAGE_BYTES.contains(&asked) && asked.is_power_of_two();
        let page_bytes = if plausible { asked } else { PAGE_BYTES_DEFAULT };
        Self { page_bytes, pages: 0, has_leaf: false }
    }

    pub(super) fn next_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(&kind) = bytes.get(self.pages * self.page_bytes) {
            let start = self.pages * self.page_bytes;
            let is_leaf = kind == TABLE_LEAF;
            let pages_max = if self.has_leaf { 1 + FOLLOWERS_MAX } else { GROUP_PAGES_MAX };
            if self.pages > 0 && (is_leaf || self.pages == pages_max) {
                (self.pages, self.has_leaf) = (0, false);
                return Some(start);
            }
            if bytes.len() < start + self.page_bytes {
                return None;
            }
            self.has_leaf |= is_leaf;
            self.pages += 1;
        }
        None
    }
}
