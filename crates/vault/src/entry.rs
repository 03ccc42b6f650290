//! What a backup is made of: entries with a path, metadata and, for regular files, content.
//!
//! Invariant: an [`EntryPath`] is relative, `/`-separated, free of empty, `.` and `..` parts and of NUL; whoever holds
//! one may join it to a folder without looking again. It need not be UTF-8, as file names need not be.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::sync::Arc;

/// A safe relative path in raw bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Accepts a relative path without `.`/`..`/empty parts; anything else is [`ErrorKind::UnsafeEntry`].
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self> {
        let path = path.into();
        let bad = |why: &str| {
            Error::new(
                ErrorKind::UnsafeEntry,
                format!("unsafe path in the backup: {:?} {why}", String::from_utf8_lossy(&path)),
                "The archive was not made by Strongroom or was tampered with; nothing was written.",
            )
        };
        if path.is_empty() {
            return Err(bad("is empty"));
        }
        if path.contains(&0) {
            return Err(bad("contains a NUL byte"));
        }
        if path[0] == b'/' {
            return Err(bad("is absolute"));
        }
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" => return Err(bad("has an empty part")),
                b"." | b".." => return Err(bad("leaves its folder")),
                _ => {}
            }
        }
        Ok(Self(path))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path below `folder`.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        let mut path = Vec::with_capacity(folder.len() + 1 + self.0.len());
        path.extend_from_slice(folder.as_bytes());
        path.push(b'/');
        path.extend_from_slice(&self.0);
        Self(path)
    }

    /// The first part and the rest, if there is more than one part.
    pub fn split_first(&self) -> (&[u8], Option<Self>) {
        match self.0.iter().position(|&b| b == b'/') {
            Some(at) => (&self.0[..at], Some(Self(self.0[at + 1..].to_vec()))),
            None => (&self.0, None),
        }
    }

    /// The last part.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or(&self.0)
    }

    /// Whether this path is `prefix` or lies below it. An empty prefix matches everything.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        prefix.is_empty()
            || (self.0.starts_with(prefix) && (self.0.len() == prefix.len() || self.0[prefix.len()] == b'/'))
    }

    /// As a path of the operating system.
    pub fn to_os_path(&self) -> &std::path::Path {
        use std::os::unix::ffi::OsStrExt;
        std::path::Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A point in time, to the nanosecond, as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Extended attributes: names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Everything about an entry that is not its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name where the system knows one.
    pub user: Option<Arc<str>>,
    /// Group's name where the system knows one.
    pub group: Option<Arc<str>>,
    /// Time of last modification.
    pub modified: Timestamp,
    /// Time of last status change; only used to detect changes, never restored.
    pub changed: Timestamp,
    /// Device number of the file system; only used to detect changes and hard links.
    pub device: u64,
    /// Inode number; only used to detect changes and hard links.
    pub inode: u64,
    /// Number of hard links.
    pub links: u64,
    /// Extended attributes, name and value, sorted by name.
    pub xattrs: Attributes,
    /// The file had holes: restore leaves runs of zeros unallocated.
    pub sparse: bool,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder. Folders come before what they hold.
    Directory,
    /// A regular file. The size is known before reading except for streams (a table being dumped).
    File {
        /// Bytes of content; `None` for a stream of unknown length.
        size_bytes: Option<u64>,
    },
    /// A further name of a file that came earlier in the same component.
    HardLink {
        /// The earlier name, relative to the same place as the entry's own path.
        target: EntryPath,
    },
    /// A symbolic link; its target is kept as it is and never followed.
    Symlink {
        /// The target, raw.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A device node; kept in listings, restored only by a repository reader that is asked to.
    Device {
        /// Character device, else block device.
        character: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// One entry of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, relative to the component or, inside archives, below the component's name.
    pub path: EntryPath,
    /// What it is.
    pub kind: EntryKind,
    /// Everything else about it.
    pub metadata: Metadata,
}

impl Entry {
    /// A regular file with default metadata (mode 0600): for generated content such as dumps and manifests.
    pub fn generated(path: EntryPath, size_bytes: Option<u64>, modified: Timestamp) -> Self {
        Self {
            path,
            kind: EntryKind::File { size_bytes },
            metadata: Metadata { mode: 0o600, modified, links: 1, ..Metadata::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_folder_are_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/.", "a\0b", "a/"] {
            assert!(EntryPath::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b", "..a/b..", "\u{fc}/x", "a b"] {
            assert!(EntryPath::new(good).is_ok(), "{good:?}");
        }
        assert!(EntryPath::new(vec![0xff, b'/', 0xfe]).is_ok());
    }

    #[test]
    fn a_prefix_ends_at_a_part() {
        let path = EntryPath::new("uploads/a/b").unwrap();
        assert!(path.starts_with(b"uploads/a"));
        assert!(!path.starts_with(b"uploads/a/b/c"));
        assert!(!EntryPath::new("uploads2/a").unwrap().starts_with(b"uploads"));
    }
}
