//! Reading an entry's metadata, and putting it on a restored one.

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, futimens, lgetxattr, llistxattr, lsetxattr, utimensat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use vault::{Attributes, Metadata, Timestamp};

/// The kernel's limit for a list of names and for a value.
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// Reads metadata; knows the names of users and groups.
pub struct MetadataReader {
    users: HashMap<u32, Arc<str>>,
    groups: HashMap<u32, Arc<str>>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl MetadataReader {
    /// Reads the system's user and group files once. Users known only to a directory service have no name here; their
    /// numbers are what counts.
    pub fn new() -> Self {
        Self {
            users: ids("/etc/passwd"),
            groups: ids("/etc/group"),
            names: vec![0; XATTR_BYTES_MAX],
            value: vec![0; XATTR_BYTES_MAX],
        }
    }

    /// Everything about an entry but its content. The second value says what could not be read of its extended attributes.
    pub fn read(&mut self, folder: impl AsFd, name: &CStr, stat: &Stat) -> (Metadata, Option<io::Error>) {
        let mut metadata = self.described(stat);
        let error = self.attributes(folder, name).map(|attributes| metadata.xattrs = attributes).err();
        (metadata, error)
    }

    /// What `lstat` knows, with the names of the owners.
    pub fn described(&self, stat: &Stat) -> Metadata {
        let mut metadata = plain(stat);
        metadata.user = self.users.get(&metadata.uid).cloned();
        metadata.group = self.groups.get(&metadata.gid).cloned();
        metadata
    }

    /// The extended attributes of an entry.
    pub fn attributes(&mut self, folder: impl AsFd, name: &CStr) -> io::Result<Attributes> {
        let path = path_of(folder.as_fd(), name);
        self.collect(|names| llistxattr(&path, names), |name, value| lgetxattr(&path, name, value))
    }

    /// Those of an open file, which is the cheaper way.
    pub fn attributes_of(&mut self, file: impl AsFd) -> io::Result<Attributes> {
        let file = file.as_fd();
        self.collect(|names| flistxattr(file, names), |name, value| fgetxattr(file, name, value))
    }

    fn collect(
        &mut self,
        list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
        get: impl Fn(&CStr, &mut [u8]) -> rustix::io::Result<usize>,
    ) -> io::Result<Attributes> {
        let length = match list(&mut self.names) {
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
            other => other?,
        };
        let mut attributes = Vec::new();
        for name in self.names[..length].split_inclusive(|&b| b == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            match get(name, &mut self.value) {
                Ok(length) => attributes.push((name.to_bytes().to_vec(), self.value[..length].to_vec())),
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
        attributes.sort_unstable();
        Ok(attributes)
    }
}

impl Default for MetadataReader {
    fn default() -> Self {
        Self::new()
    }
}

/// What `lstat` alone knows.
#[allow(clippy::unnecessary_cast, reason = "the widths of these numbers differ by architecture")]
pub fn plain(stat: &Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: Timestamp { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        changed: Timestamp { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 },
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
        sparse: (stat.st_blocks as u64).saturating_mul(512) < stat.st_size as u64,
        ..Metadata::default()
    }
}

/// What could not be given to restored entries, because of who restores or of the file system there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Owners and groups, and with them setuid and setgid bits.
    pub owners: u64,
    /// Extended attributes.
    pub attributes: u64,
}

impl Withheld {
    /// Both.
    pub fn join(&mut self, other: Self) {
        self.owners += other.owners;
        self.attributes += other.attributes;
    }
}

/// Gives an open file or folder its owner, mode, extended attributes and time, in the order in which none undoes another:
/// a change of owner clears setuid bits and capabilities.
pub fn apply(handle: BorrowedFd<'_>, metadata: &Metadata) -> io::Result<Withheld> {
    let mut withheld = Withheld::default();
    let owned = refused(fchown(handle, Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid))))?;
    if !owned {
        withheld.owners = 1;
        refused(fchown(handle, None, Some(Gid::from_raw(metadata.gid))))?;
    }
    fchmod(handle, Mode::from_raw_mode(mode_for(metadata, owned)))?;
    if !metadata.xattrs.is_empty() {
        set_xattrs(metadata, &mut withheld, |name, value| fsetxattr(handle, name, value, XattrFlags::empty()))?;
    }
    futimens(handle, &times(metadata))?;
    Ok(withheld)
}

/// The same for an entry that cannot be opened: a symbolic link or a pipe. A symbolic link has no mode of its own.
pub fn apply_at(folder: BorrowedFd<'_>, name: &CStr, metadata: &Metadata, is_link: bool) -> io::Result<Withheld> {
    let mut withheld = Withheld::default();
    let chown = |uid| refused(chownat(folder, name, uid, Some(Gid::from_raw(metadata.gid)), AtFlags::SYMLINK_NOFOLLOW));
    let owned = chown(Some(Uid::from_raw(metadata.uid)))?;
    if !owned {
        withheld.owners = 1;
        chown(None)?;
    }
    if !is_link {
        rustix::fs::chmodat(folder, name, Mode::from_raw_mode(mode_for(metadata, owned)), AtFlags::empty())?;
    }
    if !metadata.xattrs.is_empty() {
        let path = path_of(folder, name);
        set_xattrs(metadata, &mut withheld, |name, value| lsetxattr(&path, name, value, XattrFlags::empty()))?;
    }
    utimensat(folder, name, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(withheld)
}

/// Gives an open file or folder its time of modification.
pub fn set_times(handle: BorrowedFd<'_>, metadata: &Metadata) -> io::Result<()> {
    Ok(futimens(handle, &times(metadata))?)
}

/// A setuid bit belongs to its owner: without the one, not the other.
fn mode_for(metadata: &Metadata, owned: bool) -> u32 {
    metadata.mode & if owned { 0o7777 } else { 0o1777 }
}

/// Whether it was done; a refusal because of who we are is not an error.
fn refused(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn set_xattrs(
    metadata: &Metadata,
    withheld: &mut Withheld,
    set: impl Fn(&CStr, &[u8]) -> rustix::io::Result<()>,
) -> io::Result<()> {
    let mut all = true;
    for (name, value) in &metadata.xattrs {
        let Ok(name) = CString::new(name.as_slice()) else { continue };
        match set(&name, value) {
            Ok(()) => {}
            Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS | Errno::INVAL) => all = false,
            Err(error) => return Err(error.into()),
        }
    }
    withheld.attributes += u64::from(!all);
    Ok(())
}

fn times(metadata: &Metadata) -> Timestamps {
    let time = Timespec { tv_sec: metadata.modified.seconds, tv_nsec: metadata.modified.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// A path that leads to `name` in an open folder and nowhere else, for system calls that take no handle.
fn path_of(folder: BorrowedFd<'_>, name: &CStr) -> CString {
    let mut path = Vec::with_capacity(32 + name.to_bytes().len());
    // Writing to a vector cannot fail, and a name holds no NUL.
    let _ = write!(path, "/proc/self/fd/{}/", folder.as_raw_fd());
    path.extend_from_slice(name.to_bytes());
    CString::new(path).unwrap_or_default()
}

fn ids(file: &str) -> HashMap<u32, Arc<str>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.into();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // The first of several names of one number is the one that the system answers with.
    text.lines().rev().filter_map(entry).collect()
}
