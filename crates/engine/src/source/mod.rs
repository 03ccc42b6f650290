//! How components are read. Each file here has a sibling of the same name in [`target`](crate::target).

pub mod config;
pub mod files;
pub mod logs;
pub mod mysql;
pub mod postgres;
pub mod sqlite;

use crate::Result;
use crate::hash::HashKey;
use crate::manifest::ComponentManifest;
use jiff::Timestamp;
use std::path::Path;
use vault::{EntryWriter, Progress};

/// What a source gets to work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Hears the news.
    pub progress: &'a dyn Progress,
    /// An empty owner-only folder for temporary files; removed after the run, also after a crash.
    pub scratch: &'a Path,
    /// Key for content hashes.
    pub hash_key: HashKey,
    /// When the run started; the time of generated entries.
    pub started_at: Timestamp,
    /// The writer deduplicates: hand over content uncompressed and in stable order.
    pub deduplicating: bool,
}

/// Reads a component.
///
/// A backup first calls `capture` on all its sources, databases first, then `read` on each: whatever a captured row
/// refers to among the files is still there when the files are read.
pub trait Source: Send {
    /// Opens the consistent snapshot that `read` will hand over. Sources without snapshots do nothing.
    fn capture(&mut self, _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Hands every entry to `writer`, with paths relative to the component, and returns the figures of exactly what was
    /// handed over. An error fails the backup; what is merely missing is a warning in the result and its state `partial`.
    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest>;
}
