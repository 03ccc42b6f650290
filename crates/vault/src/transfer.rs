//! The stations between a component and a store: writers and readers of entries.
//!
//! Invariant: nothing becomes visible before [`EntryWriter::commit`]; a writer that is dropped leaves nothing behind.
//! A source does not know whether an archive or a repository writer takes its entries, and a target does not know
//! which reader they come from.

use crate::entry::{Attributes, Entry, EntryPath, Metadata};
use crate::error::Result;
use std::io::{self, Read};

/// The bytes of one regular file, opened only when the writer wants them: a repository that finds the file unchanged
/// never does.
pub trait Content: Send {
    /// Opens the content at its start. Called once at most.
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// What is known of how the content is put together, for a writer that deduplicates or compresses. A hint: it changes
    /// what a backup costs, never what is restored.
    fn structure(&self) -> Structure {
        Structure::Unknown
    }
}

/// How content is put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Structure {
    /// Nothing is known.
    #[default]
    Unknown,
    /// A SQLite database file: changes touch few pages, which keep their places.
    Pages {
        /// Size of a page.
        page_size_bytes: u32,
    },
    /// A dump with one row a line.
    Rows {
        /// Whether they are in the order of their keys, the key first.
        by_key: bool,
    },
}

/// Content with a hint.
pub struct Hinted<'a> {
    /// The content.
    pub content: &'a mut dyn Content,
    /// What is known of it.
    pub structure: Structure,
}

impl Content for Hinted<'_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.open()
    }

    fn structure(&self) -> Structure {
        self.structure
    }
}

/// Content that is already open or in memory.
impl<R: Read + Send> Content for R {
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self))
    }
}

/// What became of an entry that was handed to a writer.
#[derive(Debug)]
pub enum Outcome {
    /// Stored; so many bytes of content were taken. `padded_bytes` of them were missing at the source (the file shrank or
    /// failed while it was read) and are zeros: report the file as changed.
    Stored {
        /// Bytes of content in the backup.
        bytes: u64,
        /// Of these, zeros put in place of missing bytes.
        padded_bytes: u64,
    },
    /// The writer knew it from an earlier backup by its metadata and did not read it.
    Unchanged {
        /// Bytes of content in the backup.
        bytes: u64,
    },
    /// The content could not be opened; the entry is not in the backup.
    Unreadable(io::Error),
}

/// What a finished backup looks like in its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Name or address: an object's name in its store, or `<repository>#<snapshot>`.
    pub location: String,
    /// Bytes that this backup added to the store.
    pub stored_bytes: u64,
    /// SHA-256 over the stored file; absent for repositories, whose objects are named by their hashes.
    pub sha256: Option<[u8; 32]>,
}

/// Takes entries and turns them into a backup.
pub trait EntryWriter: Send {
    /// Takes one entry; `content` is wanted for regular files only. Folders come before what they hold.
    ///
    /// Errors are the writer's or the store's and end the backup; what is wrong with the content is an [`Outcome`].
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome>;

    /// The extended attributes of a file that an earlier backup holds and whose size, times and inode are the same now: they
    /// need not be read again, since changing them would have changed its `ctime`. `None`: nothing is known. Asked, if at all,
    /// right before the file is handed over, and after the folders that it lies in.
    fn known_attributes(
        &mut self,
        _path: &EntryPath,
        _size_bytes: u64,
        _metadata: &Metadata,
    ) -> Result<Option<Attributes>> {
        Ok(None)
    }

    /// Adds the manifest (a JSON document) and makes the backup visible, durably.
    fn commit(self: Box<Self>, manifest: &[u8]) -> Result<Committed>;
}

/// Which entries of a backup are wanted: all whose path is one of these or lies below it; empty means all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Path prefixes, component first: `uploads/2026`.
    pub prefixes: Vec<Vec<u8>>,
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Everything below one of these paths.
    pub fn below<I: IntoIterator<Item = P>, P: Into<Vec<u8>>>(prefixes: I) -> Self {
        Self { prefixes: prefixes.into_iter().map(Into::into).collect() }
    }

    /// Whether `path` is wanted.
    pub fn matches(&self, path: &EntryPath) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| path.starts_with(prefix))
    }
}

/// Receives the entries of a backup, in the order in which they were written.
pub trait EntryVisitor {
    /// `content` is empty for everything but regular files and need not be read to its end.
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()>;
}

impl<F: FnMut(&Entry, &mut dyn Read) -> Result<()>> EntryVisitor for F {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self(entry, content)
    }
}

/// Reads a backup back.
pub trait EntryReader: Send {
    /// The manifest, authenticated where the format can.
    fn manifest(&mut self) -> Result<Vec<u8>>;

    /// Visits the selected entries. Every byte that reaches the visitor was authenticated before, where the backup is
    /// encrypted. Reads (and so checks) the whole backup when everything is selected.
    fn visit(&mut self, selection: &Selection, visitor: &mut dyn EntryVisitor) -> Result<()>;
}
