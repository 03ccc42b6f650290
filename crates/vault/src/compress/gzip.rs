//! gzip members (RFC 1952) that know their own size.
//!
//! Each member's header carries the extra subfield `SR` with the member's size in bytes, as BGZF's `BC` does with 16 bits:
//! a reader that knows it hands whole members to its threads without inflating first. The last member is empty and carries
//! the subfield `SM`: where, in the compressed stream, the member begins in which the manifest stands.

use crate::error::{Error, Result};
use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// ID1, ID2, and the only method there is.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Content of a full member.
pub(super) const MEMBER_CONTENT_BYTES: usize = 2 << 20;
/// Header of our members: the fixed part, XLEN, and the `SR` subfield.
pub(super) const HEADER_BYTES: usize = 20;
/// No member of ours is longer: incompressible content grows by less than a thousandth.
const MEMBER_BYTES_MAX: usize = MEMBER_CONTENT_BYTES + 4096;
const TRAILER_BYTES: usize = 8;
/// The empty last member.
pub(super) const MARK_BYTES: usize = 42;

const FIXED: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];

/// Compresses one member.
pub(super) struct MemberWriter {
    compressor: Compressor,
    /// For what cannot be compressed.
    storing: Compressor,
}

impl MemberWriter {
    pub(super) fn new(level: u8) -> Self {
        let compressor = |level: u8| Compressor::new(CompressionLvl::new(i32::from(level.min(12))).unwrap_or_default());
        Self { compressor: compressor(level.max(1)), storing: compressor(0) }
    }

    /// Appends a member to `made`.
    pub(super) fn member(&mut self, content: &[u8], compressible: bool, made: &mut Vec<u8>) -> Result<()> {
        let compressor = if compressible { &mut self.compressor } else { &mut self.storing };
        let bound = compressor.deflate_compress_bound(content.len());
        let start = made.len();
        made.resize(start + HEADER_BYTES + bound, 0);
        let deflated = compressor
            .deflate_compress(content, &mut made[start + HEADER_BYTES..])
            .map_err(|cause| Error::internal(format!("compressing failed: {cause}")))?;
        made.truncate(start + HEADER_BYTES + deflated);
        made.extend_from_slice(&libdeflater::crc32(content).to_le_bytes());
        made.extend_from_slice(&(content.len() as u32).to_le_bytes());
        let size_bytes = (made.len() - start) as u32;
        made[start..start + HEADER_BYTES].copy_from_slice(&header(size_bytes));
        Ok(())
    }
}

fn header(size_bytes: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..10].copy_from_slice(&FIXED);
    header[10..16].copy_from_slice(&[8, 0, b'S', b'R', 4, 0]);
    header[16..].copy_from_slice(&size_bytes.to_le_bytes());
    header
}

/// The empty last member.
pub(super) fn mark(offset: u64) -> [u8; MARK_BYTES] {
    let mut member = [0; MARK_BYTES];
    member[..10].copy_from_slice(&FIXED);
    member[10..16].copy_from_slice(&[20, 0, b'S', b'R', 4, 0]);
    member[16..20].copy_from_slice(&(MARK_BYTES as u32).to_le_bytes());
    member[20..24].copy_from_slice(&[b'S', b'M', 8, 0]);
    member[24..32].copy_from_slice(&offset.to_le_bytes());
    member[32] = 3; // an empty final block with fixed codes; CRC and size are zero
    member
}

/// The offset in a last member of ours.
pub(super) fn parse_mark(member: &[u8]) -> Option<u64> {
    let offset = u64::from_le_bytes(*member.get(24..)?.first_chunk()?);
    (*member == mark(offset)).then_some(offset)
}

/// Size of the whole member, if its first [`HEADER_BYTES`] are those of one of ours.
pub(super) fn member_bytes(start: &[u8]) -> Option<usize> {
    let start: &[u8; HEADER_BYTES] = start.first_chunk()?;
    let extra_bytes = usize::from(start[10]);
    let size_bytes = u32::from_le_bytes(*start.last_chunk()?) as usize;
    let ours = start[..10] == FIXED && matches!(extra_bytes, 8 | 20) && start[11..16] == [0, b'S', b'R', 4, 0];
    let room = HEADER_BYTES + extra_bytes - 8 + TRAILER_BYTES..=MEMBER_BYTES_MAX;
    (ours && room.contains(&size_bytes)).then_some(size_bytes)
}

/// Inflates a whole member whose size came from [`member_bytes`].
pub(super) fn inflate(decompressor: &mut Decompressor, member: &[u8]) -> Result<Vec<u8>> {
    let start = HEADER_BYTES + usize::from(*member.get(10).unwrap_or(&8)).saturating_sub(8);
    let trailer = member.last_chunk::<TRAILER_BYTES>().filter(|_| member.len() >= start + TRAILER_BYTES);
    let Some(trailer) = trailer else { return Err(super::read::damaged("a gzip member is too short")) };
    let [a, b, c, d, e, f, g, h] = *trailer;
    let content_bytes = u32::from_le_bytes([e, f, g, h]) as usize;
    if content_bytes > MEMBER_CONTENT_BYTES {
        return Err(super::read::damaged("a gzip member claims more content than it can hold"));
    }
    let mut content = vec![0; content_bytes];
    let inflated = decompressor.deflate_decompress(&member[start..member.len() - TRAILER_BYTES], &mut content);
    if inflated.ok() != Some(content_bytes) || libdeflater::crc32(&content) != u32::from_le_bytes([a, b, c, d]) {
        return Err(super::read::damaged("a gzip member does not match its checksum"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn any_gzip_reader_reads_members_and_mark() {
        let mut writer = MemberWriter::new(6);
        let mut file = Vec::new();
        writer.member(b"hello ", true, &mut file).unwrap();
        writer.member(b"world", false, &mut file).unwrap();
        file.extend(mark(7));
        let mut content = String::new();
        flate2::read::MultiGzDecoder::new(&file[..]).read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello world");
        assert_eq!(parse_mark(&file[file.len() - MARK_BYTES..]), Some(7));
    }

    #[test]
    fn a_member_inflates_and_a_changed_one_does_not() {
        let content = vec![7; 100_000];
        let mut member = Vec::new();
        MemberWriter::new(1).member(&content, true, &mut member).unwrap();
        assert_eq!(member_bytes(&member), Some(member.len()));
        let mut decompressor = Decompressor::new();
        assert_eq!(inflate(&mut decompressor, &member).unwrap(), content);
        for at in HEADER_BYTES..member.len() {
            let mut changed = member.clone();
            changed[at] ^= 0x10;
            // Some bits mean nothing; no change may make another content.
            let inflated = inflate(&mut decompressor, &changed);
            assert!(inflated.is_err() || inflated.unwrap() == content, "byte {at}");
        }
        assert_eq!(inflate(&mut decompressor, &mark(1)).unwrap(), b"");
    }
}
