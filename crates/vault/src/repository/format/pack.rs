//! Packs: sealed blobs one after the other, then a sealed header that lists them, then the header's length.
//!
//! The header can be read without an index, so a lost index can be made anew.

use super::malformed;
use crate::error::{Error, Result};
use crate::repository::crypto::{MasterKey, Nonces, OVERHEAD_BYTES};
use crate::repository::id::Id;
use serde::{Deserialize, Serialize};

const LENGTH_BYTES: usize = 4;
const PLAIN_ENTRY_BYTES: usize = 1 + 4 + 32;
const COMPRESSED_ENTRY_BYTES: usize = PLAIN_ENTRY_BYTES + 4;
/// restic reads no longer header.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// No pack holds more blobs, so that restic can read its header.
pub const BLOBS_MAX: usize = (HEADER_BYTES_MAX - OVERHEAD_BYTES) / COMPRESSED_ENTRY_BYTES;

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// A part of a file.
    Data,
    /// A folder's listing.
    Tree,
}

/// A blob within a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedBlob {
    /// SHA-256 of the plaintext.
    pub id: Id,
    /// What it holds.
    pub kind: BlobKind,
    /// Where the sealed bytes begin.
    pub offset: u32,
    /// Length of the sealed bytes.
    pub length: u32,
    /// Length of the plaintext if it was compressed.
    pub uncompressed_length: Option<u32>,
}

impl PackedBlob {
    /// Length of the plaintext.
    pub const fn plain_bytes(&self) -> u32 {
        match self.uncompressed_length {
            Some(length) => length,
            None => self.length.saturating_sub(OVERHEAD_BYTES as u32),
        }
    }

    const fn entry_bytes(&self) -> usize {
        if self.uncompressed_length.is_some() { COMPRESSED_ENTRY_BYTES } else { PLAIN_ENTRY_BYTES }
    }
}

/// Length of the whole pack that holds exactly these blobs.
pub fn size_bytes<'a>(blobs: impl IntoIterator<Item = &'a PackedBlob>) -> u64 {
    let overhead = (OVERHEAD_BYTES + LENGTH_BYTES) as u64;
    blobs.into_iter().map(|blob| u64::from(blob.length) + blob.entry_bytes() as u64).sum::<u64>() + overhead
}

/// Appends the header for `blobs` to a pack's sealed blobs.
pub fn append_header(key: &MasterKey, nonces: &mut Nonces, blobs: &[PackedBlob], pack: &mut Vec<u8>) -> Result<()> {
    let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY_BYTES);
    for blob in blobs {
        let compressed = if blob.uncompressed_length.is_some() { 2 } else { 0 };
        header.push(compressed | u8::from(blob.kind == BlobKind::Tree));
        header.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(length) = blob.uncompressed_length {
            header.extend_from_slice(&length.to_le_bytes());
        }
        header.extend_from_slice(&blob.id.0);
    }
    let start = pack.len();
    key.seal_into(nonces, &header, pack)?;
    let length = u32::try_from(pack.len() - start).map_err(|_| Error::internal("a pack's header is too long"))?;
    pack.extend_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The header's sealed length, from a pack's last four bytes.
pub fn header_length(tail: [u8; LENGTH_BYTES], pack_bytes: u64) -> Result<usize> {
    let length = u32::from_le_bytes(tail) as usize;
    let possible = OVERHEAD_BYTES + PLAIN_ENTRY_BYTES..=HEADER_BYTES_MAX;
    if !possible.contains(&length) || (length + LENGTH_BYTES) as u64 > pack_bytes {
        return Err(malformed("a pack", format!("its header cannot be {length} bytes long in {pack_bytes}")));
    }
    Ok(length)
}

/// Opens and reads a header; `sealed` ends before the length. `None`: not sealed with this key, or damaged.
pub fn open_header(key: &MasterKey, sealed: &mut [u8], pack_bytes: u64) -> Result<Option<Vec<PackedBlob>>> {
    let body_bytes = pack_bytes - (sealed.len() + LENGTH_BYTES) as u64;
    key.open(sealed).map(|header| read_header(header, body_bytes)).transpose()
}

/// Reads a header's plaintext. The blobs must fill the `body_bytes` before it exactly.
pub fn read_header(mut header: &[u8], body_bytes: u64) -> Result<Vec<PackedBlob>> {
    let mut blobs = Vec::with_capacity(header.len() / PLAIN_ENTRY_BYTES);
    let mut offset: u32 = 0;
    while let Some(&kind) = header.first() {
        let (kind, compressed) = match kind {
            0 => (BlobKind::Data, false),
            1 => (BlobKind::Tree, false),
            2 => (BlobKind::Data, true),
            3 => (BlobKind::Tree, true),
            other => return Err(malformed("a pack's header", format!("blob type {other} is unknown"))),
        };
        header = &header[1..];
        let length = take_length(&mut header)?;
        let uncompressed_length = if compressed { Some(take_length(&mut header)?) } else { None };
        let (id, rest) = header.split_first_chunk::<32>().ok_or_else(cut_off)?;
        header = rest;
        blobs.push(PackedBlob { id: Id(*id), kind, offset, length, uncompressed_length });
        offset = offset
            .checked_add(length)
            .filter(|_| length as usize >= OVERHEAD_BYTES)
            .ok_or_else(|| malformed("a pack's header", "a blob's length is impossible"))?;
    }
    if u64::from(offset) != body_bytes {
        return Err(malformed("a pack", format!("its header lists {offset} bytes of blobs, {body_bytes} are there")));
    }
    Ok(blobs)
}

fn take_length(header: &mut &[u8]) -> Result<u32> {
    let (length, rest) = header.split_first_chunk::<4>().ok_or_else(cut_off)?;
    *header = rest;
    Ok(u32::from_le_bytes(*length))
}

fn cut_off() -> Error {
    malformed("a pack's header", "it ends within an entry")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blobs_strategy() -> impl Strategy<Value = Vec<PackedBlob>> {
        let blob = (any::<[u8; 32]>(), any::<bool>(), 32_u32..5000, proptest::option::of(1_u32..10000));
        proptest::collection::vec(blob, 1..50).prop_map(|parts| {
            let mut offset = 0;
            let place = |(id, tree, length, uncompressed_length)| {
                let kind = if tree { BlobKind::Tree } else { BlobKind::Data };
                let blob = PackedBlob { id: Id(id), kind, offset, length, uncompressed_length };
                offset += length;
                blob
            };
            parts.into_iter().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn a_pack_lists_what_was_put_in(blobs in blobs_strategy()) {
            let key = MasterKey::generate().unwrap();
            let mut pack = vec![0; blobs.iter().map(|blob| blob.length as usize).sum()];
            append_header(&key, &mut Nonces::default(), &blobs, &mut pack).unwrap();
            prop_assert_eq!(pack.len() as u64, size_bytes(&blobs));
            let bytes = pack.len() as u64;
            let tail = *pack.last_chunk::<4>().unwrap();
            let length = header_length(tail, bytes).unwrap();
            let end = pack.len() - 4;
            let read = open_header(&key, &mut pack[end - length..end], bytes).unwrap().unwrap();
            prop_assert_eq!(read, blobs);
        }

        #[test]
        fn no_header_panics(header in proptest::collection::vec(any::<u8>(), 0..300), body: u64) {
            let _ = read_header(&header, body);
        }
    }
}
