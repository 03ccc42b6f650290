//! Beginning an archive.

use super::json::JsonWriter;
use super::sink::ArchiveSink;
use super::tar::TarWriter;
use crate::compress::Compression;
use crate::entry::Timestamp;
use crate::error::Result;
use crate::key::Key;
use crate::store::Store;
use crate::transfer::EntryWriter;
use std::path::PathBuf;

/// What is inside an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// Entries as a tar archive, `manifest.json` last.
    Tar,
    /// One JSON document, its path and the manifest as its last members.
    Json,
}

/// How an archive is written.
#[derive(Debug, Clone)]
pub struct ArchiveSettings {
    /// What is inside.
    pub format: ArchiveFormat,
    /// How it is compressed.
    pub compression: Compression,
    /// Encrypts it.
    pub key: Option<Key>,
    /// Compression threads; at least one and at most 8 are used.
    pub threads: usize,
    /// An owner-only folder for streams of unknown length. What lies there has no name and vanishes with the process.
    pub scratch: PathBuf,
    /// Time of the manifest's entry: when the run started.
    pub modified: Timestamp,
}

/// Begins an archive named `name` in `store`. Dropped without a commit, it leaves nothing behind.
pub fn create<'a>(store: &'a dyn Store, name: &str, settings: ArchiveSettings) -> Result<Box<dyn EntryWriter + 'a>> {
    let ArchiveSettings { format, compression, key, threads, scratch, modified } = settings;
    let sink = ArchiveSink::create(store, name, compression, key.as_ref(), threads)?;
    Ok(match format {
        ArchiveFormat::Tar => Box::new(TarWriter::new(sink, scratch, modified)),
        ArchiveFormat::Json => Box::new(JsonWriter::new(sink)),
    })
}
