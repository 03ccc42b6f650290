//! What a tree comes to, in figures: the one encoding that a backup and a restore are compared by.
//!
//! Three hashes, because not every place can keep everything: the listing proper must always come back; owners (with
//! setuid and setgid bits) only where the restoring process may give files away; extended attributes only where the file
//! system has them. `security.selinux` is left out: the system there sets its own. Every field is length-prefixed or of
//! fixed width, so that no two different entries encode alike.
//!
//! The content of files is not in here: archives and repositories authenticate it themselves.

use super::filter::Filter;
use super::metadata::MetadataReader;
use super::walk::{Found, Options, Reason, Step, Walk};
use crate::hash::{HashKey, SetHasher};
use crate::manifest::{Figures, RootFolder};
use rustix::fs::{FileType, fstat, readlinkat};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vault::{Entry, EntryKind, EntryPath};

/// Counts and hashes entries.
pub struct Listing {
    files: u64,
    directories: u64,
    symlinks: u64,
    others: u64,
    bytes: u64,
    entries: SetHasher,
    owners: SetHasher,
    attributes: SetHasher,
    buffer: Vec<u8>,
}

impl Listing {
    /// An empty tree under the backup's hash key.
    pub fn new(hash_key: HashKey) -> Self {
        Self {
            files: 0,
            directories: 0,
            symlinks: 0,
            others: 0,
            bytes: 0,
            entries: SetHasher::new(hash_key),
            owners: SetHasher::new(hash_key),
            attributes: SetHasher::new(hash_key),
            buffer: Vec::new(),
        }
    }

    /// Adds an entry; `bytes` is what a regular file really holds.
    pub fn add(&mut self, entry: &Entry, bytes: u64) {
        match entry.kind {
            EntryKind::Directory => self.directories += 1,
            EntryKind::File { .. } => {
                self.files += 1;
                self.bytes += bytes;
            }
            EntryKind::HardLink { .. } => self.files += 1,
            EntryKind::Symlink { .. } => self.symlinks += 1,
            EntryKind::Fifo | EntryKind::Device { .. } => self.others += 1,
        }
        self.encode_entry(entry, bytes);
        self.entries.add(&self.buffer);
        self.encode_owner(entry);
        self.owners.add(&self.buffer);
        if self.encode_attributes(entry) {
            self.attributes.add(&self.buffer);
        }
    }

    /// Entries so far.
    pub const fn entries(&self) -> u64 {
        self.entries.count()
    }

    /// Bytes in regular files so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The figures.
    pub fn figures(&self, root: Option<RootFolder>) -> Figures {
        Figures::Tree {
            files: self.files,
            directories: self.directories,
            symlinks: self.symlinks,
            others: self.others,
            bytes: self.bytes,
            listing_hash: self.entries.finish(),
            owners_hash: Some(self.owners.finish()),
            attributes_hash: Some(self.attributes.finish()),
            root,
        }
    }

    fn encode_entry(&mut self, entry: &Entry, bytes: u64) {
        let (kind, detail): (u8, &[u8]) = match &entry.kind {
            EntryKind::Directory => (b'd', &[]),
            EntryKind::File { .. } => (b'f', &[]),
            EntryKind::HardLink { target } => (b'h', target.as_bytes()),
            EntryKind::Symlink { target } => (b'l', target),
            EntryKind::Fifo => (b'p', &[]),
            EntryKind::Device { character: true, .. } => (b'c', &[]),
            EntryKind::Device { character: false, .. } => (b'b', &[]),
        };
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        let mode = if is_link { 0 } else { entry.metadata.mode & 0o1777 };
        self.begin(entry);
        self.buffer.push(kind);
        self.field(detail);
        self.buffer.extend_from_slice(&bytes.to_le_bytes());
        self.buffer.extend_from_slice(&mode.to_le_bytes());
        self.buffer.extend_from_slice(&entry.metadata.modified.seconds.to_le_bytes());
        self.buffer.extend_from_slice(&entry.metadata.modified.nanoseconds.to_le_bytes());
    }

    fn encode_owner(&mut self, entry: &Entry) {
        self.begin(entry);
        self.buffer.extend_from_slice(&entry.metadata.uid.to_le_bytes());
        self.buffer.extend_from_slice(&entry.metadata.gid.to_le_bytes());
        self.buffer.extend_from_slice(&(entry.metadata.mode & 0o6000).to_le_bytes());
    }

    fn encode_attributes(&mut self, entry: &Entry) -> bool {
        self.begin(entry);
        let start = self.buffer.len();
        for (name, value) in entry.metadata.xattrs.iter().filter(|(name, _)| name != b"security.selinux") {
            self.field(name);
            self.field(value);
        }
        self.buffer.len() > start
    }

    fn begin(&mut self, entry: &Entry) {
        self.buffer.clear();
        self.field(entry.path.as_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }
}

/// Remembers the first names of files that have several, and forgets them once all their names have come by.
#[derive(Default)]
pub struct FirstNames(HashMap<(u64, u64), (EntryPath, u64)>);

impl FirstNames {
    /// The first name of the file that `entry` is a further name of. The first time, `None`, and it is remembered.
    pub fn earlier(&mut self, entry: &Entry) -> Option<EntryPath> {
        if entry.metadata.links < 2 {
            return None;
        }
        let identity = (entry.metadata.device, entry.metadata.inode);
        if let Some((path, left)) = self.0.get_mut(&identity) {
            *left -= 1;
            let path = path.clone();
            if *left == 0 {
                self.0.remove(&identity);
            }
            return Some(path);
        }
        self.0.insert(identity, (entry.path.clone(), entry.metadata.links - 1));
        None
    }

    /// The file did not get into the backup under that name: its next one counts as its first.
    pub fn forget(&mut self, entry: &Entry) {
        self.0.remove(&(entry.metadata.device, entry.metadata.inode));
    }
}

/// Makes an entry of what a walk found. `None` where there is no such kind of entry. `warning` hears what is missing of it.
pub fn entry_of(
    walk: &Walk<'_>,
    found: Found,
    reader: &mut MetadataReader,
    warning: &mut dyn FnMut(io::Error),
) -> io::Result<Option<Entry>> {
    let kind = match found.kind {
        FileType::Directory => EntryKind::Directory,
        FileType::RegularFile => EntryKind::File { size_bytes: Some(found.stat.st_size as u64) },
        FileType::Symlink => {
            EntryKind::Symlink { target: readlinkat(walk.folder(), walk.name(), Vec::new())?.into_bytes() }
        }
        FileType::Fifo => EntryKind::Fifo,
        _ => return Ok(None),
    };
    let (mut metadata, error) = reader.read(walk.folder(), walk.name(), &found.stat);
    if let Some(error) = error {
        warning(error);
    }
    metadata.sparse &= found.kind == FileType::RegularFile;
    let path = EntryPath::new(found.path).map_err(io::Error::other)?;
    Ok(Some(Entry { path, kind, metadata }))
}

/// Which entries a component's source hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// All of them; further names of a file are hard links.
    All,
    /// Each name of a file is a file of its own.
    NoHardLinks,
    /// The same, and no folders.
    NoFolders,
}

/// Measures a tree that nobody changes meanwhile: anything that cannot be read is an error.
pub fn measure(root: Arc<OwnedFd>, hash_key: HashKey, kinds: Kinds) -> io::Result<Listing> {
    let everything = Filter::everything();
    let mut walk = Walk::new(root, Options { filter: &everything, one_file_system: false, tell_left_out: false })?;
    let mut reader = MetadataReader::new();
    let mut first_names = FirstNames::default();
    let mut listing = Listing::new(hash_key);
    while let Some(step) = walk.step() {
        let found = match step {
            Step::Entry(found) => found,
            Step::LeftOut(left_out) => return Err(unmeasurable(left_out.reason)),
        };
        if kinds == Kinds::NoFolders && found.kind == FileType::Directory {
            continue;
        }
        let size = found.stat.st_size as u64;
        let mut lost = None;
        let entry = entry_of(&walk, found, &mut reader, &mut |error| lost = Some(error))?;
        if let Some(error) = lost {
            return Err(error);
        }
        let Some(mut entry) = entry else { continue };
        if kinds == Kinds::All
            && matches!(entry.kind, EntryKind::File { .. })
            && let Some(target) = first_names.earlier(&entry)
        {
            entry.kind = EntryKind::HardLink { target };
        }
        let bytes = if matches!(entry.kind, EntryKind::File { .. }) { size } else { 0 };
        listing.add(&entry, bytes);
    }
    Ok(listing)
}

fn unmeasurable(reason: Reason) -> io::Error {
    match reason {
        Reason::Lost(error) => error,
        other => io::Error::other(format!("found what a restore never writes: {other:?}")),
    }
}

/// Who may use an open folder.
pub fn root_folder(root: &OwnedFd) -> io::Result<RootFolder> {
    let stat = fstat(root)?;
    Ok(RootFolder { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
}
