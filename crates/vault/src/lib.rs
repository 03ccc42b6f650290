//! Bytes at rest.
//!
//! `vault` knows how backups lie on a disk or in an object store: the [`store`]s themselves, the encrypted
//! [`envelope`], the [`archive`] formats and the deduplicating [`repository`]. It knows nothing of databases, HTTP,
//! configuration files, environment variables, terminals or the wall clock: times are passed in, news goes to a
//! [`Progress`].
//!
//! The way of the data is the same in both directions: a source pushes [`Entry`]s into an [`EntryWriter`]; an
//! [`EntryReader`] pushes them into an [`EntryVisitor`].

pub mod archive;
pub mod compress;
pub mod entry;
pub mod envelope;
pub mod error;
pub mod key;
mod priority;
pub mod progress;
pub mod repository;
pub mod store;
pub mod transfer;

pub use entry::{Attributes, Entry, EntryKind, EntryPath, Metadata, Timestamp};
pub use error::{Error, ErrorKind, Result};
pub use key::Key;
pub use progress::{Noting, Progress, Silent};
pub use store::Store;
pub use transfer::{Committed, Content, EntryReader, EntryVisitor, EntryWriter, Hinted, Outcome, Selection, Structure};
