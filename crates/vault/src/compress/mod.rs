//! Compression on all cores.
//!
//! Both formats are cut into independent pieces (gzip members of 2 MiB, zstd frames of 4 MiB of content), so that they can
//! be made and read in parallel; to every other program they are one ordinary `.gz` or `.zst`. The pieces depend on the
//! content alone: the same content always makes the same bytes, on any number of threads. Within a piece, what cannot be
//! compressed (`sample`) is stored as a piece of its own.
//!
//! Invariant: queues are bounded; memory is a few pieces per thread, whatever the size.
//! Uncomfortable: pieces cannot refer to each other, which costs about half a percent of size. `docs/formats.md` has the
//! bytes.

mod gzip;
mod in_order;
mod ordered;
mod pool;
mod read;
pub(crate) mod sample;
mod write;
mod zstandard;

pub(crate) use read::SharedObject;
pub use read::{DecompressionReader, ExpansionLimit};
pub use write::CompressionWriter;

/// How content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip in members.
    Gzip {
        /// libdeflate's level, 1 to 12.
        level: u8,
    },
    /// zstd in frames.
    Zstd {
        /// zstd's level, 1 to 19. Above 9 a thread takes up to 50 MiB.
        level: u8,
    },
    /// Not at all.
    None,
}

impl Compression {
    /// gzip at the level that makes files no larger than `gzip -6`.
    pub const GZIP_DEFAULT: Self = Self::Gzip { level: 6 };
    /// zstd at its own default level.
    pub const ZSTD_DEFAULT: Self = Self::Zstd { level: 3 };

    /// The format that it makes.
    pub const fn format(self) -> CompressionFormat {
        match self {
            Self::Gzip { .. } => CompressionFormat::Gzip,
            Self::Zstd { .. } => CompressionFormat::Zstd,
            Self::None => CompressionFormat::None,
        }
    }
}

/// A compressed format, as it is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionFormat {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// Not compressed.
    None,
}

impl CompressionFormat {
    /// Recognises a format by its first bytes; what is neither is `None`.
    pub fn of(beginning: &[u8]) -> Self {
        if beginning.starts_with(&gzip::MAGIC) {
            Self::Gzip
        } else if beginning.starts_with(&zstandard::FRAME_MAGIC) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// More threads are not used: each holds some 12 MiB, and memory must not grow with the machine.
const THREADS_MAX: usize = 8;

/// Content bytes of one independent piece.
const fn piece_bytes(compression: Compression) -> usize {
    match compression {
        Compression::Gzip { .. } | Compression::None => gzip::MEMBER_CONTENT_BYTES,
        Compression::Zstd { .. } => zstandard::FRAME_CONTENT_BYTES,
    }
}
