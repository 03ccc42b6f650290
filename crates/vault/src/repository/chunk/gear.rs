//! Content-defined cuts with a gear hash and normalized chunking (Xia et al., "FastCDC", USENIX ATC 2016).
//!
//! The table of 256 random words comes from a secret of the repository: without it the sizes of blobs, which an observer of
//! the store may guess, do not tell which known file was stored. Up to the wanted average a cut is four times rarer than
//! the average asks for, beyond it four times more likely: sizes crowd around the average.

/// Limits of a blob's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// No cut before.
    pub min: usize,
    /// About in the middle; a power of two is best.
    pub average: usize,
    /// A cut here at the latest.
    pub max: usize,
}

impl Default for Sizes {
    /// restic's: 512 KiB, 1 MiB, 8 MiB.
    fn default() -> Self {
        Self { min: 512 << 10, average: 1 << 20, max: super::BLOB_BYTES_MAX }
    }
}

/// The table and what to look for.
pub struct Gear {
    table: [u64; 256],
    sizes: Sizes,
    mask_before: u64,
    mask_after: u64,
    row_key: [u8; 32],
}

/// BLAKE3 context string: changes never, or everything is cut anew.
const CONTEXT: &str = "strongroom 2026 repository chunker gear table v1";
const ROW_CONTEXT: &str = "strongroom 2026 repository chunker row key v1";
/// Bits that normalization adds before and takes away after the average.
const NORMALIZATION_BITS: u32 = 2;

impl Gear {
    /// The table of a secret.
    pub fn new(secret: &[u8], sizes: Sizes) -> Self {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_derive_key(CONTEXT).update(secret).finalize_xof().fill(&mut bytes);
        let mut table = [0; 256];
        for (word, bytes) in table.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let beyond_min = sizes.average.saturating_sub(sizes.min).max(64);
        let bits = usize::BITS - 1 - beyond_min.leading_zeros();
        // The top bits of a gear hash depend on the last 64 bytes; the low ones on few.
        let mask = |bits: u32| u64::MAX.checked_shl(64 - bits).unwrap_or(0);
        Self {
            table,
            sizes,
            mask_before: mask(bits + NORMALIZATION_BITS),
            mask_after: mask(bits.saturating_sub(NORMALIZATION_BITS).max(1)),
            row_key: blake3::derive_key(ROW_CONTEXT, secret),
        }
    }

    /// A key for hashing rows' keys.
    pub const fn row_key(&self) -> &[u8; 32] {
        &self.row_key
    }

    /// Begins a content.
    pub const fn scan(&self) -> Scan<'_> {
        Scan { gear: self, hash: 0, position: 0 }
    }
}

/// How far a search for the next cut has come.
pub struct Scan<'g> {
    gear: &'g Gear,
    hash: u64,
    position: usize,
}

impl Scan<'_> {
    pub(super) fn next_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let sizes = self.gear.sizes;
        if self.position == 0 {
            // Cuts before the minimum do not count; the hash looks back 64 bytes.
            self.position = sizes.min.saturating_sub(64);
        }
        let found = self
            .search(bytes, sizes.min.max(sizes.average), self.gear.mask_before)
            .or_else(|| self.search(bytes, sizes.max, self.gear.mask_after))
            .or_else(|| (bytes.len() >= sizes.max).then_some(sizes.max));
        if found.is_some() {
            (self.hash, self.position) = (0, 0);
        }
        found
    }

    fn search(&mut self, bytes: &[u8], limit: usize, mask: u64) -> Option<usize> {
        let end = limit.min(bytes.len());
        let window = bytes.get(self.position..end)?;
        let table = &self.gear.table;
        let mut hash = self.hash;
        for (offset, &byte) in window.iter().enumerate() {
            hash = (hash << 1).wrapping_add(table[usize::from(byte)]);
            if hash & mask == 0 && self.position + offset + 1 >= self.gear.sizes.min {
                return Some(self.position + offset + 1);
            }
        }
        self.hash = hash;
        self.position = end;
        None
    }
}
