//! Cuts between the lines of a dump in the order of its keys.
//!
//! A row's first field, its key, stays when the rest of the row changes. Whether a blob ends before a row is decided by a
//! hash of that field and the length of the row before it: an update moves no cut, and an insertion or a deletion only its
//! own. The chance is proportional to the row's length, so that blobs have about the same size whatever the rows are like.
//!
//! Text without line ends, or with very long lines, is cut at the maximum.

use super::gear::Gear;

/// About what a blob holds; after each of these lengths four times as much: a blob costs some 50 bytes of memory in every run
/// from then on.
const AVERAGE_BYTES: usize = 4096;
const LONG_BYTES: [u64; 2] = [4 << 30, 32 << 30];
/// No cut before that part of the average, and none later than so many times it.
const MIN_PART: usize = 4;
const MAX_TIMES: usize = 16;
/// How much of a row is looked at for its key.
const KEY_BYTES_MAX: usize = 40;

/// The cutter.
pub struct Rows<'g> {
    gear: &'g Gear,
    /// Where the search goes on.
    position: usize,
    /// Where the current line began.
    line: usize,
    /// Length of all blobs so far.
    total_bytes: u64,
}

impl<'g> Rows<'g> {
    pub(super) const fn new(gear: &'g Gear) -> Self {
        Self { gear, position: 0, line: 0, total_bytes: 0 }
    }

    fn average_bytes(&self) -> usize {
        let steps = LONG_BYTES.iter().filter(|&&length| self.total_bytes >= length).count();
        AVERAGE_BYTES << (2 * steps)
    }

    pub(super) fn next_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let max_bytes = self.average_bytes() * MAX_TIMES;
        let found = self.search(&bytes[..bytes.len().min(max_bytes + KEY_BYTES_MAX)]);
        let found = found.or_else(|| (bytes.len() >= max_bytes + KEY_BYTES_MAX).then_some(max_bytes));
        if let Some(length) = found {
            (self.position, self.line) = (0, 0);
            self.total_bytes += length as u64;
        }
        found
    }

    fn search(&mut self, bytes: &[u8]) -> Option<usize> {
        let average_bytes = self.average_bytes();
        while let Some(offset) = bytes.get(self.position..)?.iter().position(|&byte| byte == b'\n') {
            let next = self.position + offset + 1;
            let key = bytes.get(next..next + KEY_BYTES_MAX)?;
            if next > average_bytes * MAX_TIMES {
                return None;
            }
            let length = next - self.line;
            (self.position, self.line) = (next, next);
            if next >= average_bytes / MIN_PART && self.ends_before(key, length) {
                return Some(next);
            }
        }
        self.position = bytes.len();
        None
    }

    /// Cuts with a chance of `length` in what is left of the average.
    fn ends_before(&self, row: &[u8], length: usize) -> bool {
        let separator = row.iter().skip(1).position(|byte| matches!(byte, b',' | b'\t' | b'\n'));
        let key = &row[..separator.map_or(row.len(), |at| at + 1)];
        let average_bytes = self.average_bytes();
        let hash = blake3::keyed_hash(self.gear.row_key(), key);
        let draw = u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]]);
        u64::from(draw) * ((average_bytes - average_bytes / MIN_PART) as u64) < (length as u64) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::cuts;
    use super::super::{Gear, Sizes};
    use crate::transfer::Structure;

    fn dump(rows: u32, changed: impl Fn(u32) -> bool) -> Vec<u8> {
        let row = |id: u32| {
            let text = "lorem ipsum ".repeat(id as usize % 30);
            format!("[{id},\"{text}\",{}]\n", if changed(id) { "\"changed since\"" } else { "1" })
        };
        (0..rows).map(row).collect::<String>().into_bytes()
    }

    fn blobs(content: &[u8]) -> std::collections::HashSet<Vec<u8>> {
        let mut start = 0;
        let gear = Gear::new(b"s", Sizes::default());
        let cuts = cuts(&gear, Structure::Rows { by_key: true }, content, 100_000);
        cuts.into_iter().map(|cut| content[std::mem::replace(&mut start, cut)..cut].to_vec()).collect()
    }

    #[test]
    fn an_updated_row_changes_its_own_blob_only() {
        let before = blobs(&dump(50_000, |_| false));
        let after = blobs(&dump(50_000, |id| id % 1000 == 0));
        let average = dump(50_000, |_| false).len() / before.len();
        assert!((3000..5500).contains(&average), "{average}");
        let new = after.difference(&before).count();
        assert!((50..=58).contains(&new), "{new} new blobs for 50 changed rows");
    }

    #[test]
    fn text_without_lines_is_cut_at_the_maximum() {
        let gear = Gear::new(b"s", Sizes::default());
        let cuts = cuts(&gear, Structure::Rows { by_key: true }, &vec![b'x'; 200_000], 100_000);
        assert_eq!(cuts, [65_536, 131_072, 196_608, 200_000]);
    }
}
