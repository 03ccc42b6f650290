//! A way down into a tree, one open folder a rung.
//!
//! Only the deepest rungs keep their handle, so that no depth of a tree exhausts the process's handles; a handle that was
//! given up is opened anew through `..` on the way back and must turn out to be the same folder. If somebody moved the
//! folder meanwhile, it is not, and the way back is lost: an error, never a wrong folder.

use super::FOLDER;
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Rungs that keep their handle.
const OPEN_RUNGS_MAX: usize = 64;

/// Device and inode.
type Identity = (u64, u64);

struct Rung {
    handle: Option<Arc<OwnedFd>>,
    identity: Identity,
}

/// The open folders from a root down to where we are.
pub struct Ladder {
    root: Arc<OwnedFd>,
    rungs: Vec<Rung>,
    /// So many of the topmost rungs have given up their handle.
    closed: usize,
}

impl Ladder {
    /// Stands at the root.
    pub fn new(root: Arc<OwnedFd>) -> Self {
        Self { root, rungs: Vec::new(), closed: 0 }
    }

    /// The folder where we are.
    pub fn here(&self) -> &Arc<OwnedFd> {
        self.rungs.last().and_then(|rung| rung.handle.as_ref()).unwrap_or(&self.root)
    }

    /// Folders below the root.
    pub fn depth(&self) -> usize {
        self.rungs.len()
    }

    /// Steps into a folder; a symbolic link is not one.
    pub fn down(&mut self, name: &CStr) -> io::Result<()> {
        let handle = open_folder(self.here(), name)?;
        let identity = identity_of(&handle)?;
        if self.rungs.len() - self.closed >= OPEN_RUNGS_MAX {
            self.rungs[self.closed].handle = None;
            self.closed += 1;
        }
        self.rungs.push(Rung { handle: Some(Arc::new(handle)), identity });
        Ok(())
    }

    /// Steps back to the folder above. On failure we stand at the root: the rest of the tree cannot be reached this way.
    pub fn up(&mut self) -> io::Result<()> {
        let Some(left) = self.rungs.pop() else { return Ok(()) };
        let depth = self.rungs.len();
        let Some(above) = self.rungs.last_mut() else {
            self.closed = 0;
            return Ok(());
        };
        if above.handle.is_some() {
            return Ok(());
        }
        let reopened = match &left.handle {
            Some(left) => reopen(left, above.identity),
            None => Err(Errno::BADF.into()),
        };
        match reopened {
            Ok(handle) => {
                above.handle = Some(Arc::new(handle));
                self.closed = depth - 1;
                Ok(())
            }
            Err(error) => {
                self.rungs.clear();
                self.closed = 0;
                Err(error)
            }
        }
    }
}

fn open_folder(folder: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    match openat(folder, name, FOLDER | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(openat(folder, name, FOLDER, Mode::empty())?),
        other => Ok(other?),
    }
}

fn reopen(below: &OwnedFd, expected: Identity) -> io::Result<OwnedFd> {
    let handle = open_folder(below, c"..")?;
    if identity_of(&handle)? == expected {
        Ok(handle)
    } else {
        Err(io::Error::other("the folder was moved away while it was read"))
    }
}

#[allow(clippy::unnecessary_cast, reason = "the widths of these numbers differ by architecture")]
fn identity_of(folder: &OwnedFd) -> io::Result<Identity> {
    let stat = fstat(folder)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}
