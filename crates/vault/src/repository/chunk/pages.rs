//! Cuts between the pages of a database file whose pages keep their places (SQLite).
//!
//! A day's changes touch few pages, but all over the file: only a blob of about a single page stores just the change. How
//! likely a page changes grows with the number of rows that it holds, and a leaf of a table tells that number in its header.
//! So a blob takes pages until it holds some eight rows: leaves with many short rows are blobs of their own, those with a few
//! long ones go together, with whatever lies between (overflow, indexes, inner and free pages), which changes rarely. Fewer
//! blobs compress better, cost less time and need less of the index.
//!
//! No blob reaches across a multiple of eight pages: a leaf that gains a row moves the cuts around it and no others. A file of
//! more than a million pages (4 GiB) is cut evenly, into at most a million blobs, as far as that goes. What it brings was
//! measured: see `docs/repository.md`.

/// More than these lie in a blob only if a single page holds them.
const ROWS_MAX: usize = 8;
/// No blob reaches from one window into the next.
const WINDOW_PAGES: usize = 8;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65_536;
const PAGE_BYTES_DEFAULT: usize = 4096;
/// SQLite's mark of a leaf of a table's B-tree (sqlite.org/fileformat2.html, 1.6).
const TABLE_LEAF: u8 = 13;
/// Of a leaf: its mark, two bytes about free space, the number of its cells.
const LEAF_HEADER_BYTES: usize = 5;

/// A file of more pages has several to a blob: each blob costs some 50 bytes of memory in every run from then on.
const BLOBS_MAX: u64 = 1 << 20;
/// However large the file, no blob is larger.
const FIXED_PAGES_MAX: u64 = 64;

/// What SQLite's files begin with, and as much as tells the size of their pages (sqlite.org/fileformat2.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
pub(super) const HEADER_BYTES: usize = 18;
/// A smaller file that nobody announced is a blob or two anyway.
const RECOGNISED_BYTES_MIN: u64 = 1 << 20;

/// The cutter.
pub struct Pages {
    page_bytes: usize,
    /// Pages to a blob, whatever they are: more than one in very large files.
    evenly: usize,
    /// The current blob's first page: its number in the file.
    first: u64,
    /// Pages of the current blob that are there whole, and their rows.
    taken: usize,
    rows: usize,
}

impl Pages {
    pub(super) fn new(page_size_bytes: u32, size_bytes: Option<u64>) -> Self {
        let asked = page_size_bytes as usize;
        let plausible = PAGE_BYTES.contains(&asked) && asked.is_power_of_two();
        let page_bytes = if plausible { asked } else { PAGE_BYTES_DEFAULT };
        let blobs = size_bytes.unwrap_or(0) / page_bytes as u64;
        let evenly = blobs.div_ceil(BLOBS_MAX).next_power_of_two().min(FIXED_PAGES_MAX) as usize;
        Self { page_bytes, evenly, first: 0, taken: 0, rows: 0 }
    }

    /// For a file among others that begins as a SQLite database does.
    pub(super) fn recognise(bytes: &[u8], size_bytes: Option<u64>) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let (magic, page_size) = header.split_at(MAGIC.len());
        let large = size_bytes.is_some_and(|size| size >= RECOGNISED_BYTES_MIN);
        let page_size_bytes = match u16::from_be_bytes(page_size.try_into().ok()?) {
            1 => 65_536,
            size => u32::from(size),
        };
        (large && magic == MAGIC).then(|| Self::new(page_size_bytes, size_bytes))
    }

    pub(super) fn next_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.evenly > 1 {
            let length = self.evenly * self.page_bytes;
            return (bytes.len() >= length).then_some(length);
        }
        loop {
            let start = self.taken * self.page_bytes;
            let number = self.first + self.taken as u64;
            let in_window = (number % WINDOW_PAGES as u64) as usize;
            let header = bytes.get(start..start + LEAF_HEADER_BYTES)?;
            let rows = rows_of(number, header);
            if self.taken > 0 && (in_window == 0 || self.rows + rows > ROWS_MAX) {
                (self.first, self.taken, self.rows) = (number, 0, 0);
                return Some(start);
            }
            if bytes.len() < start + self.page_bytes {
                return None;
            }
            self.taken += 1;
            self.rows += rows;
        }
    }
}

/// How many rows a change of a page may have come from; a page that is no leaf of a table counts as one.
fn rows_of(number: u64, header: &[u8]) -> usize {
    match *header {
        // The file's first page counts its changes.
        _ if number == 0 => ROWS_MAX,
        [TABLE_LEAF, _, _, high, low] => usize::from(u16::from_be_bytes([high, low])),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page for each: a leaf of so many rows, or none.
    fn cut(leaves: &[Option<u8>], size_bytes: Option<u64>) -> Vec<usize> {
        let mut bytes = vec![0; leaves.len() * 512];
        for (page, rows) in bytes.chunks_mut(512).zip(leaves) {
            let rows = rows.map(|rows| [TABLE_LEAF, 0, 0, 0, rows]);
            page[..LEAF_HEADER_BYTES].copy_from_slice(&rows.unwrap_or([10, 0, 0, 0, 200]));
        }
        let (mut pages, mut start, mut lengths) = (Pages::new(512, size_bytes), 0, Vec::new());
        while let Some(length) = pages.next_cut(&bytes[start..]) {
            lengths.push(length / 512);
            start += length;
        }
        lengths
    }

    #[test]
    fn a_blob_holds_some_rows_and_does_not_leave_its_window() {
        let (busy, quiet, other) = (Some(30), Some(3), None);
        assert_eq!(cut(&[other, busy, busy, quiet, quiet, quiet, other, other, busy], None), [1, 1, 1, 2, 3]);
        assert_eq!(cut(&[other; 25], None), [1, 7, 8, 8]);
        // A leaf that gains rows moves the cuts of its window alone.
        let mut leaves = [quiet; 33];
        assert_eq!(cut(&leaves, None), [1, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        leaves[9] = busy;
        assert_eq!(cut(&leaves, None), [1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn a_database_among_files_is_recognised_by_its_beginning() {
        let page_bytes = |header: &[u8], size| Pages::recognise(header, size).map(|pages| pages.page_bytes);
        let large = Some(RECOGNISED_BYTES_MIN);
        assert_eq!(page_bytes(b"SQLite format 3\0\x10\x00rest", large), Some(4096));
        assert_eq!(page_bytes(b"SQLite format 3\0\x00\x01", large), Some(65_536));
        for (header, size) in [
            (&b"SQLite format 3\0\x10"[..], large),
            (b"SQLite format 4\0\x10\x00", large),
            (b"SQLite format 3\0\x10\x00", Some(RECOGNISED_BYTES_MIN - 1)),
            (b"SQLite format 3\0\x10\x00", None),
        ] {
            assert_eq!(page_bytes(header, size), None, "{header:?} {size:?}");
        }
    }

    #[test]
    fn a_very_large_file_is_cut_evenly() {
        assert_eq!(cut(&[Some(1); 9], Some(512 << 22)), [4, 4]);
        assert_eq!(Pages::new(512, Some(u64::MAX)).evenly, 64);
        assert_eq!(Pages::new(512, Some(512 << 20)).evenly, 1);
    }
}
