//! Cuts between the pages of a database file whose pages keep their places (SQLite).
//!
//! A day's changes touch few pages, but all over the file: only a blob of a single page stores just the change. A page of
//! SQLite tells its kind in its first byte. Leaves of tables (13) are what updates touch: one blob each. Whatever else lies
//! between them (indexes, overflow of long values, inner and free pages) changes rarely and goes in groups of at most eight,
//! which compress better and need fewer entries in the index.

const GROUP_PAGES_MAX: usize = 8;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65_536;
const PAGE_BYTES_DEFAULT: usize = 4096;
/// SQLite's mark of a leaf of a table's B-tree.
const TABLE_LEAF: u8 = 13;

/// The cutter.
pub struct Pages {
    page_bytes: usize,
    /// Pages of the current blob, all not leaves of tables.
    group: usize,
}

impl Pages {
    pub(super) fn new(page_size_bytes: u32) -> Self {
        let asked = page_size_bytes as usize;
        let plausible = PAGE_BYTES.contains(&asked) && asked.is_power_of_two();
        Self { page_bytes: if plausible { asked } else { PAGE_BYTES_DEFAULT }, group: 0 }
    }

    pub(super) fn next_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        while bytes.len() > self.group * self.page_bytes {
            let start = self.group * self.page_bytes;
            let leaf = bytes[start] == TABLE_LEAF;
            if leaf && self.group > 0 {
                self.group = 0;
                return Some(start);
            }
            if bytes.len() < start + self.page_bytes {
                return None;
            }
            self.group += 1;
            if leaf || self.group == GROUP_PAGES_MAX {
                self.group = 0;
                return Some(start + self.page_bytes);
            }
        }
        None
    }
}
