//! zstd frames (RFC 8878) of a bounded size.
//!
//! Every frame states its content size and carries a checksum. A reader finds a frame's end by walking its block headers, so
//! whole frames go to the threads without decompressing first. The last frame is a skippable one with the offset of the
//! frame in which the manifest begins.

use super::read::damaged;
use super::write::Kind;
use crate::error::{Error, Result};
use std::io::{self, Cursor, Read};
use zstd::zstd_safe::CParameter;

/// Magic number of a frame.
pub(super) const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Magic number of the skippable frame with the mark, and its size field.
const MARK_HEAD: [u8; 12] = [0x5e, 0x2a, 0x4d, 0x18, 12, 0, 0, 0, b'S', b'R', b'M', b'K'];
/// Content of a full frame.
pub(super) const FRAME_CONTENT_BYTES: usize = 4 << 20;
/// The skippable last frame.
pub(super) const MARK_BYTES: usize = 20;

/// A negative level so far down that only long repetitions are still found.
const STORING_LEVEL: i32 = -100;

/// At the default level, pages of a database are compressed at this one: level 3 itself would look for matches in a second
/// table, find three hundredths more (in program code seven, in binaries five: they get it), and take a third longer.
const PAGES_LEVEL: i32 = 2;

/// At the default level, matches in the rows of a dump have at least this length (5 would be level 3's own). What repeats in
/// them (names, addresses, words) is long, and shorter matches are digits that happen to be alike: a few bytes saved, each
/// for a jump when it is expanded.
const ROWS_MATCH_BYTES_MIN: u32 = 6;

/// Compresses one frame.
pub(super) struct FrameWriter {
    compressor: zstd::bulk::Compressor<'static>,
    /// For pages and rows of a database, where these are treated differently.
    pages: Option<zstd::bulk::Compressor<'static>>,
    rows: Option<zstd::bulk::Compressor<'static>>,
    /// For what cannot be compressed.
    storing: zstd::bulk::Compressor<'static>,
}

impl FrameWriter {
    pub(super) fn new(level: u8) -> io::Result<Self> {
        let compressor = |level| {
            let mut compressor = zstd::bulk::Compressor::new(level)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            io::Result::Ok(compressor)
        };
        let level = i32::from(level.clamp(1, 19));
        let is_default = level == zstd::DEFAULT_COMPRESSION_LEVEL;
        let pages = is_default.then(|| compressor(PAGES_LEVEL)).transpose()?;
        let mut rows = is_default.then(|| compressor(level)).transpose()?;
        if let Some(rows) = &mut rows {
            rows.set_parameter(CParameter::MinMatch(ROWS_MATCH_BYTES_MIN))?;
        }
        Ok(Self { compressor: compressor(level)?, pages, rows, storing: compressor(STORING_LEVEL)? })
    }

    /// Appends a frame to `made`.
    pub(super) fn frame(&mut self, content: &[u8], kind: Kind, made: &mut Vec<u8>) -> Result<()> {
        let compressor = match kind {
            Kind::Incompressible => &mut self.storing,
            Kind::Pages => self.pages.as_mut().unwrap_or(&mut self.compressor),
            Kind::Rows => self.rows.as_mut().unwrap_or(&mut self.compressor),
            Kind::Other => &mut self.compressor,
        };
        made.reserve(zstd::zstd_safe::compress_bound(content.len()));
        let mut end = Cursor::new(std::mem::take(made));
        end.set_position(end.get_ref().len() as u64);
        compressor
            .compress_to_buffer(content, &mut end)
            .map_err(|cause| Error::internal(format!("compressing failed: {cause}")))?;
        *made = end.into_inner();
        Ok(())
    }
}

/// The skippable last frame.
pub(super) fn mark(offset: u64) -> [u8; MARK_BYTES] {
    let mut frame = [0; MARK_BYTES];
    frame[..12].copy_from_slice(&MARK_HEAD);
    frame[12..].copy_from_slice(&offset.to_le_bytes());
    frame
}

/// The offset in a last frame of ours.
pub(super) fn parse_mark(frame: &[u8]) -> Option<u64> {
    let offset = u64::from_le_bytes(*frame.get(12..)?.first_chunk()?);
    (*frame == mark(offset)).then_some(offset)
}

/// What lies ahead in a stream of frames.
pub(super) enum Next {
    /// A whole frame, with the size of its content.
    Frame { bytes: Vec<u8>, content_bytes: usize },
    /// A skippable frame, skipped.
    Skipped,
    /// Something that has to be decompressed as a stream: these bytes, then the rest of the source.
    Stream(Vec<u8>),
    /// The end.
    End,
}

/// Takes one frame from `source`, as long as it says that it is not larger than those of ours.
pub(super) fn next_frame(source: &mut impl Read) -> Result<Next> {
    let mut bytes = Vec::new();
    if !more(source, &mut bytes, 4)? {
        return if bytes.is_empty() { Ok(Next::End) } else { Err(truncated()) };
    }
    if bytes[..] == MARK_HEAD[..4] {
        return if more(source, &mut bytes, MARK_BYTES - 4)? && parse_mark(&bytes).is_some() {
            Ok(Next::Skipped)
        } else {
            Ok(Next::Stream(bytes))
        };
    }
    if bytes[..] != FRAME_MAGIC {
        return Ok(Next::Stream(bytes));
    }
    let Some(content_bytes) = frame_header(source, &mut bytes)? else { return Ok(Next::Stream(bytes)) };
    let checksum = bytes[4] & 4 != 0;
    loop {
        need(source, &mut bytes, 3)?;
        let [.., a, b, c] = bytes[..] else { return Err(truncated()) };
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = (header >> 3) as usize;
        let kind = header >> 1 & 3;
        // A block never holds more than 128 KiB (RFC 8878, 3.1.1.2.4), so the frame is bounded too.
        if size > 128 * 1024 || kind == 3 || bytes.len() > 2 * FRAME_CONTENT_BYTES {
            return Err(damaged("a zstd block is impossible"));
        }
        need(source, &mut bytes, if kind == 1 { 1 } else { size })?;
        if header & 1 == 1 {
            break;
        }
    }
    if checksum {
        need(source, &mut bytes, 4)?;
    }
    Ok(Next::Frame { bytes, content_bytes })
}

/// Reads the rest of a frame's header; `None` when it does not promise to fit into our pieces.
fn frame_header(source: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Option<usize>> {
    need(source, bytes, 1)?;
    let descriptor = bytes[4];
    let single_segment = descriptor & 0x20 != 0;
    let window_bytes = usize::from(!single_segment);
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = [usize::from(single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
    need(source, bytes, window_bytes + dictionary_bytes + size_bytes)?;
    if size_bytes == 0 || dictionary_bytes > 0 {
        return Ok(None);
    }
    let mut field = [0; 8];
    field[..size_bytes].copy_from_slice(&bytes[bytes.len() - size_bytes..]);
    let content_bytes = u64::from_le_bytes(field) + if size_bytes == 2 { 256 } else { 0 };
    Ok(usize::try_from(content_bytes).ok().filter(|bytes| *bytes <= FRAME_CONTENT_BYTES))
}

/// Decompresses a whole frame.
pub(super) fn decompress(
    decompressor: &mut zstd::bulk::Decompressor<'_>,
    frame: &[u8],
    content_bytes: usize,
) -> Result<Vec<u8>> {
    match decompressor.decompress(frame, content_bytes) {
        Ok(content) if content.len() == content_bytes => Ok(content),
        Ok(_) => Err(damaged("a zstd frame holds less than it says")),
        Err(cause) => Err(damaged("a zstd frame does not decompress").because(cause)),
    }
}

fn need(source: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> Result<()> {
    if more(source, bytes, count)? { Ok(()) } else { Err(truncated()) }
}

/// Appends `count` bytes of `source`; false when it ends before.
fn more(source: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> Result<bool> {
    let read = source
        .take(count as u64)
        .read_to_end(bytes)
        .map_err(|cause| crate::error::from_io("reading the archive", cause))?;
    Ok(read == count)
}

fn truncated() -> Error {
    super::read::truncated("within a zstd frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_whole_by_its_block_headers() {
        let content: Vec<u8> = (0..900_000_u32).flat_map(|n| (n / 3 % 977).to_le_bytes()).collect();
        let mut frame = Vec::new();
        FrameWriter::new(3).unwrap().frame(&content, Kind::Other, &mut frame).unwrap();
        let mut file = frame.clone();
        file.extend(mark(5));
        let mut source = &file[..];
        let Next::Frame { bytes, content_bytes } = next_frame(&mut source).unwrap() else { panic!("no frame") };
        assert_eq!((&bytes, content_bytes), (&frame, content.len()));
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        assert_eq!(decompress(&mut decompressor, &bytes, content_bytes).unwrap(), content);
        assert!(matches!(next_frame(&mut source).unwrap(), Next::Skipped));
        assert!(matches!(next_frame(&mut source).unwrap(), Next::End));
        assert_eq!(zstd::decode_all(&file[..]).unwrap(), content);
    }
}
