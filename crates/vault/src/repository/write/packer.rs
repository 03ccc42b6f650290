//! Compressing and sealing single blobs, and collecting them in packs.

use crate::compress::sample;
use crate::error::{Error, Result};
use crate::repository::crypto::{MasterKey, Nonces, OVERHEAD_BYTES};
use crate::repository::format::pack::{self, BLOBS_MAX, BlobKind, PackedBlob};
use crate::repository::id::Id;
use zstd::zstd_safe::{self, CParameter};

/// Blobs smaller than this are always tried.
const SAMPLED_BYTES_MIN: usize = 32 << 10;
/// At zstd's default level data is compressed with zstd's `fast` strategy, a table as large as the level's own and shorter
/// matches. For blobs of our sizes that comes to within a hundredth of what the level itself makes of them in two thirds of
/// the time, and is expanded faster: see `docs/repository.md`.
const FAST_HASH_LOG: u32 = 17;
const FAST_MATCH_BYTES: u32 = 5;
/// The level for trees, which are mostly hexadecimal digits of hashes: zstd's higher levels look for repetitions where there
/// are none and make them longer, by a tenth.
const TREE_LEVEL: i32 = 1;
/// A buffer that a large blob has made longer is given back.
const KEPT_BYTES_MAX: usize = 2 << 20;

/// A worker's zstd contexts and what it compressed last.
pub struct Compressor {
    contexts: Option<Contexts>,
    compressed: Vec<u8>,
}

struct Contexts {
    data: zstd::bulk::Compressor<'static>,
    trees: zstd::bulk::Compressor<'static>,
}

/// What of a blob is to be sealed.
pub struct Content<'a> {
    bytes: &'a [u8],
    uncompressed_length: Option<u32>,
}

impl Compressor {
    /// Contexts for zstd's `level`.
    pub fn new(level: i32, compress: bool) -> Result<Self> {
        let contexts = if compress { Some(Contexts::new(level)?) } else { None };
        Ok(Self { contexts, compressed: Vec::new() })
    }

    /// Compresses a blob where that helps.
    pub fn compress<'a>(&'a mut self, kind: BlobKind, plain: &'a [u8]) -> Result<Content<'a>> {
        let length = u32::try_from(plain.len()).map_err(|_| Error::internal("a blob is too long"))?;
        let as_it_is = Content { bytes: plain, uncompressed_length: None };
        let Some(contexts) = &mut self.contexts else { return Ok(as_it_is) };
        if plain.is_empty() || (plain.len() >= SAMPLED_BYTES_MIN && !sample::is_any_compressible(plain)) {
            return Ok(as_it_is);
        }
        let context = match kind {
            BlobKind::Data => &mut contexts.data,
            BlobKind::Tree => &mut contexts.trees,
        };
        self.compressed.clear();
        self.compressed.shrink_to(KEPT_BYTES_MAX);
        self.compressed.reserve(zstd_safe::compress_bound(plain.len()));
        context
            .compress_to_buffer(plain, &mut self.compressed)
            .map_err(|cause| Error::internal(format!("zstd failed: {cause}")))?;
        // Four bytes more in the header and twenty in the index must be worth it.
        if self.compressed.len() + 24 >= plain.len() {
            return Ok(as_it_is);
        }
        Ok(Content { bytes: &self.compressed, uncompressed_length: Some(length) })
    }
}

impl Contexts {
    fn new(level: i32) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::internal(format!("zstd level {level}: {cause}"));
        let make = |level| zstd::bulk::Compressor::new(level).map_err(failed);
        let mut data = make(level)?;
        if level == zstd::DEFAULT_COMPRESSION_LEVEL {
            let fast = CParameter::Strategy(zstd_safe::Strategy::ZSTD_fast);
            for parameter in [fast, CParameter::HashLog(FAST_HASH_LOG), CParameter::MinMatch(FAST_MATCH_BYTES)] {
                data.set_parameter(parameter).map_err(failed)?;
            }
        }
        Ok(Self { data, trees: make(level.min(TREE_LEVEL))? })
    }
}

/// A pack that is being filled.
#[derive(Default)]
pub struct OpenPack {
    bytes: Vec<u8>,
    blobs: Vec<PackedBlob>,
}

/// A pack that is complete but for its header.
pub struct FullPack {
    bytes: Vec<u8>,
    blobs: Vec<PackedBlob>,
}

impl OpenPack {
    /// Takes the pack's content when the next blob has no room in it.
    pub fn take_if_full(&mut self, next: &Content<'_>, pack_size_bytes: usize) -> Option<FullPack> {
        let full = self.bytes.len() + next.bytes.len() + OVERHEAD_BYTES > pack_size_bytes;
        if full || self.blobs.len() >= BLOBS_MAX { self.take() } else { None }
    }

    /// Takes the pack's content, if there is any.
    pub fn take(&mut self) -> Option<FullPack> {
        if self.blobs.is_empty() {
            return None;
        }
        Some(FullPack { bytes: std::mem::take(&mut self.bytes), blobs: std::mem::take(&mut self.blobs) })
    }

    /// Seals a blob into the pack, which begins in `buffer`'s.
    pub fn add(
        &mut self,
        id: Id,
        kind: BlobKind,
        content: &Content<'_>,
        sealing: (&MasterKey, &mut Nonces),
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> Result<()> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffer();
        }
        let offset = self.bytes.len();
        sealing.0.seal_into(sealing.1, content.bytes, &mut self.bytes)?;
        self.blobs.push(PackedBlob {
            id,
            kind,
            offset: offset as u32,
            length: (self.bytes.len() - offset) as u32,
            uncompressed_length: content.uncompressed_length,
        });
        Ok(())
    }

    /// Adds a blob that is sealed already, as it lies in another pack.
    pub fn add_sealed(&mut self, blob: &PackedBlob, sealed: &[u8]) {
        self.blobs.push(PackedBlob { offset: self.bytes.len() as u32, ..*blob });
        self.bytes.extend_from_slice(sealed);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl FullPack {
    /// Appends the header.
    pub fn seal(mut self, key: &MasterKey, nonces: &mut Nonces) -> Result<(Vec<u8>, Vec<PackedBlob>)> {
        self.bytes.reserve_exact(self.blobs.len() * 41 + OVERHEAD_BYTES + 4);
        pack::append_header(key, nonces, &self.blobs, &mut self.bytes)?;
        Ok((self.bytes, self.blobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_are_not_compressed_and_text_is() {
        let mut random = vec![0; 100_000];
        blake3::Hasher::new().finalize_xof().fill(&mut random);
        let base64: Vec<u8> = random.iter().map(|byte| b'A' + byte % 64).collect();
        let mut compressor = Compressor::new(3, true).unwrap();
        assert_eq!(compressor.compress(BlobKind::Data, &base64).unwrap().uncompressed_length, Some(100_000));
        assert_eq!(compressor.compress(BlobKind::Data, &random).unwrap().uncompressed_length, None);
    }
}
