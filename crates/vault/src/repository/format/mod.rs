//! The bytes of restic's repository format, versions 1 and 2: what lies in each kind of file, written and read.
//!
//! Source: restic's `doc/design.rst` and, where that is silent, the behaviour of restic itself. Everything here is a pure
//! function over bytes. Invariant: no input panics, and none makes a parser allocate more than a small multiple of the
//! input's length.

pub mod config;
pub mod index_file;
pub mod key_file;
pub mod lock_file;
pub mod mark_file;
pub mod pack;
pub mod quote;
mod scan;
pub mod snapshot;
pub mod time;
pub mod tree;
pub mod unpacked;

use crate::error::{Error, ErrorKind};

/// What a file is, and so in which folder it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Packs of blobs: `data/<2 digits>/<id>`.
    Pack,
    /// Index files.
    Index,
    /// Key files.
    Key,
    /// Lock files.
    Lock,
    /// Snapshot files.
    Snapshot,
    /// Packs that are to be removed, in a folder of our own that restic does not look at.
    Mark,
}

impl FileKind {
    /// The folder.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Pack => "data",
            Self::Index => "index",
            Self::Key => "keys",
            Self::Lock => "locks",
            Self::Snapshot => "snapshots",
            Self::Mark => "strongroom-marks",
        }
    }

    /// The object's name in the store.
    pub fn object_name(self, id: super::Id) -> String {
        let digits = id.to_hex();
        match self {
            Self::Pack => format!("data/{}/{digits}", &digits[..2]),
            _ => format!("{}/{digits}", self.folder()),
        }
    }
}

/// An error for bytes that are authentic but make no sense.
pub(crate) fn malformed(what: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("{what} is malformed: {why}"),
        "Run `strongroom verify`; `restic check` should agree.",
    )
}
