//! Removes a tree without following a symbolic link and without leaving its file system.
//!
//! A loop, not a recursion, so that no depth exhausts the stack. Where something is mounted inside, that is an error and
//! stays: what is mounted there belongs to somebody else.

use super::ladder::Ladder;
use super::names::Names;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, chmodat, fchmod, openat2, unlinkat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

struct Frame {
    name: CString,
    names: Names,
    next: usize,
}

/// Removes `name` in `folder` with everything below it. What does not exist is already removed.
pub fn remove_tree(folder: &Arc<OwnedFd>, name: &CStr) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ladder = Ladder::new(Arc::clone(folder));
    let mut frames = vec![enter(&mut ladder, name)?];
    while let Some(frame) = frames.last_mut() {
        let Some((name, kind)) = frame.names.get(frame.next) else {
            let Some(done) = frames.pop() else { break };
            ladder.up()?;
            remove_one(&ladder, &done.name, AtFlags::REMOVEDIR)?;
            continue;
        };
        frame.next += 1;
        let name = name.to_owned();
        if kind != FileType::Directory && try_remove(&ladder, &name)? {
            continue;
        }
        frames.push(enter(&mut ladder, &name)?);
    }
    Ok(())
}

/// Removes anything but a folder; says whether it was something else than a folder.
fn try_remove(ladder: &Ladder, name: &CStr) -> io::Result<bool> {
    match remove_one(ladder, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::ISDIR.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_one(ladder: &Ladder, name: &CStr, flags: AtFlags) -> io::Result<()> {
    let mut result = unlinkat(ladder.here(), name, flags);
    if result == Err(Errno::ACCESS) && ladder.depth() > 0 {
        fchmod(ladder.here(), Mode::RWXU)?;
        result = unlinkat(ladder.here(), name, flags);
    }
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn enter(ladder: &mut Ladder, name: &CStr) -> io::Result<Frame> {
    stays_on_mount(ladder.here(), name)?;
    if let Err(error) = ladder.down(name) {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        chmodat(ladder.here(), name, Mode::RWXU, AtFlags::empty())?;
        ladder.down(name)?;
    }
    let names = Names::read_all(ladder.here(), |_| true)?;
    Ok(Frame { name: name.to_owned(), names, next: 0 })
}

fn stays_on_mount(folder: &OwnedFd, name: &CStr) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(folder, name, flags, Mode::empty(), ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS) {
        Err(Errno::XDEV) => Err(io::Error::other(format!(
            "another file system is mounted at {}: unmount it first",
            name.to_string_lossy()
        ))),
        // Kernels before 5.6 and some sandboxes lack the call; the folder above is private to us there all the same.
        Ok(_) | Err(_) => Ok(()),
    }
}
