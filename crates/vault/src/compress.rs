//! Compression: gzip in members on all cores, zstd, and readers for both.
