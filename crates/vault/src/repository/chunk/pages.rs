//! Cuts between the pages of a database file whose pages keep their places (SQLite).
//!
//! A day's changes touch few pages, but all over the file: only a blob of about a single page stores just the change. A page
//! of SQLite tells its kind in its first byte. Leaves of tables (13) are what updates touch: each begins a blob, and takes
//! with it the next page or two if those are something else, mostly the overflow of its own long values. Longer runs of
//! whatever lies between (indexes, inner and free pages) change rarely and go in groups of at most eight. Fewer blobs compress
//! better and need less of the index. A file of more than a million pages (4 GiB) is cut evenly, into at most a million blobs,
//! as far as that goes. What it brings was measured: see `docs/repository.md`.

const GROUP_PAGES_MAX: usize = 8;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65_536;
const PAGE_BYTES_DEFAULT: usize = 4096;
/// SQLite's mark of a leaf of a table's B-tree.
const TABLE_LEAF: u8 = 13;

/// A file of more pages has several to a blob: each blob costs some 50 bytes of memory in every run from then on.
const BLOBS_MAX: u64 = 1 << 20;
/// However large the file, no blob is larger.
const FIXED_PAGES_MAX: u64 = 64;
/// Other pages that go with a leaf.
const FOLLOWERS_MAX: usize = 2;

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
    /// Pages of the current blob that are there whole.
    taken: usize,
    /// The current blob begins with a leaf.
    has_leaf: bool,
}

impl Pages {
    pub(super) fn new(page_size_bytes: u32, size_bytes: Option<u64>) -> Self {
        let asked = page_size_bytes as usize;
        let plausible = PAGE_BYTES.contains(&asked) && asked.is_power_of_two();
        let page_bytes = if plausible { asked } else { PAGE_BYTES_DEFAULT };
        let blobs = size_bytes.unwrap_or(0) / page_bytes as u64;
        let evenly = blobs.div_ceil(BLOBS_MAX).next_power_of_two().min(FIXED_PAGES_MAX) as usize;
        Self { page_bytes, evenly, taken: 0, has_leaf: false }
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
        while let Some(&kind) = bytes.get(self.taken * self.page_bytes) {
            let start = self.taken * self.page_bytes;
            let is_leaf = kind == TABLE_LEAF;
            let pages_max = if self.has_leaf { 1 + FOLLOWERS_MAX } else { GROUP_PAGES_MAX };
            if self.taken > 0 && (is_leaf || self.taken == pages_max) {
                (self.taken, self.has_leaf) = (0, false);
                return Some(start);
            }
            if bytes.len() < start + self.page_bytes {
                return None;
            }
            self.has_leaf |= is_leaf;
            self.taken += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(kinds: &[u8], size_bytes: Option<u64>) -> Vec<usize> {
        let bytes: Vec<u8> = kinds.iter().flat_map(|kind| [[*kind; 512]]).flatten().collect();
        let (mut pages, mut start, mut lengths) = (Pages::new(512, size_bytes), 0, Vec::new());
        while let Some(length) = pages.next_cut(&bytes[start..]) {
            lengths.push(length / 512);
            start += length;
        }
        lengths
    }

    #[test]
    fn a_leaf_begins_a_blob_and_takes_few_others_with_it() {
        assert_eq!(cut(&[13, 13, 0, 13, 0, 0, 0, 13, 13], None), [1, 2, 3, 1, 1]);
        assert_eq!(cut(&[10; 20], None), [8, 8]);
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
        assert_eq!(cut(&[13; 9], Some(512 << 22)), [4, 4]);
        assert_eq!(Pages::new(512, Some(u64::MAX)).evenly, 64);
        assert_eq!(Pages::new(512, Some(512 << 20)).evenly, 1);
    }
}
