//! Symbolic links that an archive made earlier must not carry later entries away.
//!
//! Remembers a 64-bit hash, under a random key, of the path of each symbolic link (8 bytes each, not the paths). A collision
//! would refuse a good archive, at odds of one in billions for millions of links, and never lets a bad one pass.

use crate::entry::{EntryKind, EntryPath};
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

#[derive(Default)]
pub(crate) struct PathGuard {
    hasher: RandomState,
    symlinks: HashSet<u64>,
}

impl PathGuard {
    /// Refuses an entry at or below an earlier symbolic link, and a hard link to something below one.
    pub(crate) fn check(&mut self, path: &EntryPath, kind: &EntryKind) -> Result<()> {
        if !self.symlinks.is_empty() {
            if let Some(link) = self.passes(path.as_bytes(), true) {
                return Err(escape(path, &format!("would be written through the symbolic link {link:?}")));
            }
            if let EntryKind::HardLink { target } = kind
                && let Some(link) = self.passes(target.as_bytes(), false)
            {
                return Err(escape(path, &format!("is a hard link through the symbolic link {link:?}")));
            }
        }
        let links_to_symlink = matches!(kind, EntryKind::HardLink { target } if self.knows(target.as_bytes()));
        if links_to_symlink || matches!(kind, EntryKind::Symlink { .. }) {
            self.symlinks.insert(self.hasher.hash_one(path.as_bytes()));
        }
        Ok(())
    }

    fn knows(&self, path: &[u8]) -> bool {
        self.symlinks.contains(&self.hasher.hash_one(path))
    }

    /// The symbolic link on the way to `path`, or at it where `inclusive`.
    fn passes(&self, path: &[u8], inclusive: bool) -> Option<String> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let found = ends.chain(inclusive.then_some(path.len())).find(|end| self.knows(&path[..*end]));
        found.map(|end| String::from_utf8_lossy(&path[..end]).into_owned())
    }
}

fn escape(path: &EntryPath, what: &str) -> Error {
    Error::new(
        ErrorKind::UnsafeEntry,
        format!("unsafe entry in the backup: {path:?} {what}"),
        "The archive was not made by Strongroom or was tampered with; nothing was written.",
    )
}
