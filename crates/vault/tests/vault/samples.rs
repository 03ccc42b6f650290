//! Archives to test with, and visitors that remember what they saw.

use std::io::Read;
use std::path::PathBuf;
use vault::archive::{self, ArchiveFormat, ArchiveOptions, ArchiveSettings};
use vault::compress::Compression;
use vault::store::LocalStore;
use vault::{Committed, Entry, EntryKind, EntryPath, EntryReader, Key, Metadata, Result, Selection, Timestamp};

/// A store in a folder of its own, which goes with it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub store: LocalStore,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create_root(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.store.root().join(name)
    }

    pub fn settings(&self, format: ArchiveFormat, compression: Compression, key: Option<Key>) -> ArchiveSettings {
        let scratch = self.folder.path().to_path_buf();
        let modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
        ArchiveSettings { format, compression, key, threads: 2, scratch, modified }
    }

    pub fn open(&self, name: &str, options: &ArchiveOptions) -> Result<Box<dyn EntryReader>> {
        archive::open(&self.store, name, options)
    }
}

pub const MANIFEST: &[u8] = br#"{"format":"strongroom-manifest","version":1}"#;

pub fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

pub fn options(keys: &[Key]) -> ArchiveOptions {
    ArchiveOptions { keys: keys.to_vec(), threads: 2, ..ArchiveOptions::default() }
}

pub fn path(path: &str) -> EntryPath {
    EntryPath::new(path).unwrap()
}

pub fn metadata(mode: u32) -> Metadata {
    let modified = Timestamp { seconds: 1_600_000_000, nanoseconds: 123_456_789 };
    Metadata { mode, uid: 1000, gid: 1000, modified, links: 1, ..Metadata::default() }
}

pub fn folder(name: &str) -> (Entry, Vec<u8>) {
    (Entry { path: path(name), kind: EntryKind::Directory, metadata: metadata(0o755) }, Vec::new())
}

pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> (Entry, Vec<u8>) {
    let content = content.into();
    let kind = EntryKind::File { size_bytes: Some(content.len() as u64) };
    (Entry { path: EntryPath::new(name).unwrap(), kind, metadata: metadata(0o640) }, content)
}

/// Bytes that neither compress to nothing nor repeat soon.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 & 0x3f
    };
    (0..len).map(|_| next()).collect()
}

pub fn write(place: &Place, name: &str, settings: ArchiveSettings, entries: &[(Entry, Vec<u8>)]) -> Committed {
    let mut writer = archive::create(&place.store, name, settings).unwrap();
    for (entry, content) in entries {
        let outcome = writer.write(entry, Some(&mut &content[..])).unwrap();
        assert!(matches!(outcome, vault::Outcome::Stored { padded_bytes: 0, .. }), "{outcome:?}");
    }
    writer.commit(MANIFEST).unwrap()
}

/// Everything that a visitor gets.
pub fn contents(reader: &mut dyn EntryReader) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut seen = Vec::new();
    reader.visit(&Selection::all(), &mut |entry: &Entry, content: &mut dyn Read| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|cause| vault::error::from_io("reading", cause))?;
        seen.push((entry.clone(), bytes));
        Ok(())
    })?;
    Ok(seen)
}
