//! Entries to back up, and what comes back.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use vault::repository::{Environment, Id, Options, Repository, Sizes, WriterOptions};
use vault::{
    Entry, EntryKind, EntryPath, EntryReader, EntryWriter, Key, Metadata, Outcome, Result, Selection, Silent, Store,
    Timestamp,
};

pub fn key() -> Key {
    Key::from_bytes([0x5a; 32])
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct Clock(pub Arc<AtomicI64>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_790_000_000)))
    }
}

impl Clock {
    pub fn environment(&self, hostname: &str) -> Environment {
        let clock = Arc::clone(&self.0);
        let now = move || Timestamp { seconds: clock.load(Ordering::Relaxed), nanoseconds: 0 };
        Environment::new(hostname, "tester", now)
    }
}

/// Small packs and blobs, so that small contents make many of both.
pub fn options() -> Options {
    Options {
        chunk_sizes: Sizes { min: 1 << 10, average: 4 << 10, max: 16 << 10 },
        pack_size_bytes: 32 << 10,
        lock_settle: std::time::Duration::ZERO,
    }
}

pub fn init(store: Arc<dyn Store>) -> Repository {
    Repository::init(store, &key(), Clock::default().environment("here"), options()).unwrap()
}

/// Bytes without a pattern.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in &mut bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = (state >> 32) as u8;
    }
    bytes
}

/// A file's entry with everything that tells whether it changed.
pub fn file(path: &str, content: &[u8], inode: u64) -> (Entry, Vec<u8>) {
    let metadata = Metadata {
        mode: 0o640,
        uid: 1000,
        gid: 1000,
        modified: Timestamp { seconds: 1_700_000_000 + inode.cast_signed(), nanoseconds: 5 },
        changed: Timestamp { seconds: 1_700_000_001, nanoseconds: 0 },
        inode,
        links: 1,
        ..Metadata::default()
    };
    let kind = EntryKind::File { size_bytes: Some(content.len() as u64) };
    (Entry { path: EntryPath::new(path).unwrap(), kind, metadata }, content.to_vec())
}

pub fn other(path: &[u8], kind: EntryKind) -> (Entry, Vec<u8>) {
    let metadata =
        Metadata { mode: 0o750, links: 1, modified: Timestamp { seconds: 5, nanoseconds: 0 }, ..Metadata::default() };
    (Entry { path: EntryPath::new(path).unwrap(), kind, metadata }, Vec::new())
}

/// A small tree of many kinds: folders, small and large files, copies, compressible and not. `seed` varies a part of it.
pub fn sample(seed: u64) -> Vec<(Entry, Vec<u8>)> {
    let text = b"All work and no play makes a dull day. ".repeat(900);
    let mut changed = text.clone();
    changed.extend_from_slice(format!("day {seed}").as_bytes());
    vec![
        other(b"uploads", EntryKind::Directory),
        file("uploads/a.txt", b"hello", 11),
        file("uploads/big.bin", &noise(90_000, 7), 12),
        file("uploads/copy.bin", &noise(90_000, 7), 13),
        file("uploads/day.bin", &noise(30_000, 1000 + seed), 100 + seed),
        other(b"uploads/deep", EntryKind::Directory),
        other(b"uploads/deep/er", EntryKind::Directory),
        file("uploads/deep/er/notes.txt", &changed, 200 + seed),
        file("uploads/deep/text.txt", &text, 15),
        file("uploads/empty", b"", 16),
        other(b"uploads/void", EntryKind::Directory),
        file("zz/implicit.txt", b"its folder has no entry", 17),
    ]
}

pub fn back_up(
    repository: &Repository,
    entries: &[(Entry, Vec<u8>)],
    parent: Option<Id>,
    threads: usize,
) -> Result<Id> {
    // Always the same time: what is backed up twice makes the same trees.
    let time = Some(Timestamp { seconds: 1_790_000_000, nanoseconds: 0 });
    let options = WriterOptions { parent, time, threads, ..WriterOptions::default() };
    let mut writer = repository.writer(options, Arc::new(Silent))?;
    for (entry, content) in entries {
        let outcome = writer.write(entry, Some(&mut content.as_slice()))?;
        assert!(!matches!(outcome, Outcome::Unreadable(_)));
    }
    Id::parse(&Box::new(writer).commit(b"{\"of\":\"tests\"}")?.location)
}

/// Everything of a snapshot by path. Undescribed folders are left out, as nobody put them in.
pub type Tree = BTreeMap<Vec<u8>, (EntryKind, Metadata, Vec<u8>)>;

pub fn restore(repository: &Repository, snapshot: Id) -> Result<Tree> {
    restore_below(repository, snapshot, &Selection::all())
}

pub fn restore_below(repository: &Repository, snapshot: Id, selection: &Selection) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut put = |entry: &Entry, content: &mut dyn Read| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|cause| vault::error::from_io("reading", cause))?;
        tree.insert(entry.path.as_bytes().to_vec(), (entry.kind.clone(), entry.metadata.clone(), bytes));
        Ok(())
    };
    repository.reader(snapshot)?.with_threads(1).visit(selection, &mut put)?;
    Ok(tree)
}

pub fn assert_restores(repository: &Repository, snapshot: Id, entries: &[(Entry, Vec<u8>)]) {
    let tree = restore(repository, snapshot).unwrap();
    for (entry, content) in entries {
        let (kind, metadata, bytes) =
            tree.get(entry.path.as_bytes()).unwrap_or_else(|| panic!("{} is missing", entry.path));
        assert_eq!(kind, &entry.kind, "{}", entry.path);
        assert_eq!(metadata, &entry.metadata, "{}", entry.path);
        assert!(bytes == content, "{}", entry.path);
    }
    // Folders that nobody described are made where they are needed.
    let described = |path: &[u8]| entries.iter().any(|(entry, _)| entry.path.as_bytes() == path);
    let more: Vec<_> = tree.iter().filter(|(path, _)| !described(path)).collect();
    assert!(more.iter().all(|(_, (kind, _, _))| *kind == EntryKind::Directory), "{more:?}");
}
