//! File trees as sources read them and targets write them: walking, filtering, metadata, measuring, removing.
//!
//! Invariant: everything below a component's folder is reached through handles of open folders, one name at a time and
//! without following symbolic links; nobody who renames folders meanwhile can lead us out of the tree. The uncomfortable
//! consequence: Linux only, and extended attributes go through `/proc/self/fd`.

pub mod ahead;
pub mod filter;
pub mod ladder;
pub mod listing;
pub mod metadata;
pub mod names;
pub mod remove;
pub mod walk;

use rustix::fs::{Mode, OFlags, openat};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

/// What lies beside live data ends so, followed by the restore's id: `uploads.strongroom-0123456789ab`.
pub const BESIDE: &str = ".strongroom-";

/// Flags for opening a folder below another one.
pub(crate) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether a name is one of ours: staged or replaced data of a restore, which is never part of a backup.
pub fn is_beside(name: &[u8]) -> bool {
    name.len().checked_sub(12).is_some_and(|at| {
        name[..at].ends_with(BESIDE.as_bytes())
            && name[at..].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
    })
}

/// Whether a name is a file of secrets that is never backed up: `.env`, `.env.*`, but not `.env.example`.
pub fn is_secret(name: &[u8]) -> bool {
    name == b".env" || (name.starts_with(b".env.") && name != b".env.example")
}

/// Opens the folder at `path` below `root`; symbolic links are not followed. An empty path is the root itself.
pub(crate) fn open_below(root: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let mut folder = openat(root, c".", FOLDER, Mode::empty())?;
    for part in path.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        folder = openat(&folder, CString::new(part)?, FOLDER, Mode::empty())?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_names_are_known() {
        for ours in ["uploads.strongroom-0123456789ab", ".strongroom-abcdefabcdef"] {
            assert!(is_beside(ours.as_bytes()), "{ours}");
        }
        for other in ["uploads.strongroom-0123", "strongroom-0123456789ab", ".strongroom-0123456789abc", "x", ""] {
            assert!(!is_beside(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn secrets_are_known_and_their_template_is_not_one() {
        for secret in [".env", ".env.local", ".env.production", ".env.example.local"] {
            assert!(is_secret(secret.as_bytes()), "{secret}");
        }
        for harmless in [".env.example", ".environment", "env", "x.env"] {
            assert!(!is_secret(harmless.as_bytes()), "{harmless}");
        }
    }
}
