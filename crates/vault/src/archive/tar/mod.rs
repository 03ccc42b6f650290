//! Backups as a tar archive: POSIX pax interchange format (POSIX.1-2008, pax), so that an ordinary `tar -x` restores
//! them, with `manifest.json` as the last entry.
//!
//! The writer stores entries as they are given: paths and hard link targets already begin with the component's name.
//! Invariant: what [`TarReader`] hands out never leads outside: it refuses absolute paths, `..`, entries below a symbolic
//! link, and device nodes. Everything else that is wrong has its own kind of error; nothing panics.

mod header;
mod parse;
mod pax;
mod read;
mod write;

pub(crate) use header::is_header as is_tar_header;
pub use parse::TarParser;
pub use read::TarReader;
pub use write::TarWriter;

/// Block of a tar archive.
const BLOCK_BYTES: usize = 512;
/// Longest pax extended header that is written or read.
const PAX_BYTES_MAX: u64 = 1 << 20;
/// The manifest's entry.
const MANIFEST_NAME: &[u8] = b"manifest.json";

type Block = [u8; BLOCK_BYTES];

/// Bytes that fill a content's last block.
const fn padding_bytes(content_bytes: u64) -> usize {
    (BLOCK_BYTES as u64 - 1 - (content_bytes + BLOCK_BYTES as u64 - 1) % BLOCK_BYTES as u64) as usize
}

#[cfg(test)]
mod tests;
