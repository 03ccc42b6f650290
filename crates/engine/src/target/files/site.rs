//! Where a restore lies: what is live, and where beside it the other tree is.

use super::raw_path::RawPath;
use super::record::Shape;
use crate::id::Id;
use crate::tree::BESIDE;
use crate::{Error, ErrorKind, Result};
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The place of one component's restore.
#[derive(Debug, Clone)]
pub struct Site {
    /// What moves are relative to; absolute.
    pub base: PathBuf,
    /// How live and beside are exchanged.
    pub shape: Shape,
    /// Where the other tree lies, below `base`.
    pub beside: RawPath,
    /// The name between two renames, below `base`.
    pub between: RawPath,
}

impl Site {
    /// A folder's place. A symbolic link to the folder is followed: what it leads to is replaced, the link stays.
    pub fn of_folder(path: &Path, id: &Id) -> Result<Self> {
        let live = match std::fs::canonicalize(path) {
            Ok(live) => live,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(Error::io(format!("looking at {}", path.display()), error)),
        };
        let (Some(parent), Some(name)) = (live.parent(), live.file_name()) else {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{} cannot be a component's folder", path.display()),
                "Name a folder below it.",
            ));
        };
        if live.exists() && (is_mount_point(&live) || !may_rename_in(parent, &live)) {
            return Ok(Self::new(&live, Shape::Children, b"", id));
        }
        let name = name.as_bytes();
        Ok(Self::new(parent, Shape::Whole { name: RawPath(name.to_vec()) }, name, id))
    }

    /// The place of single files in the application's folder.
    pub fn of_files(folder: &Path, component: &str, id: &Id) -> Self {
        let base = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        Self::new(&base, Shape::Files { paths: Vec::new() }, component.as_bytes(), id)
    }

    fn new(base: &Path, shape: Shape, prefix: &[u8], id: &Id) -> Self {
        let name =
            |middle: &str| RawPath([prefix, middle.as_bytes(), BESIDE.as_bytes(), id.as_str().as_bytes()].concat());
        Self { base: base.to_owned(), shape, beside: name(""), between: name(".moving") }
    }

    /// The folder that is live, absolute.
    pub fn live(&self) -> PathBuf {
        match &self.shape {
            Shape::Whole { name } => self.base.join(name.as_path()),
            Shape::Children | Shape::Files { .. } => self.base.clone(),
        }
    }

    /// The other tree, absolute.
    pub fn beside(&self) -> PathBuf {
        self.base.join(self.beside.as_path())
    }
}

/// Whether this process may make and rename names in a folder.
pub fn may_write_in(folder: &Path) -> bool {
    accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// The nearest folder at or above `path` that exists.
pub fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

fn may_rename_in(parent: &Path, live: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid().as_raw();
    let (Ok(above), Ok(folder)) = (parent.metadata(), live.metadata()) else { return false };
    let sticky_forbids = above.mode() & STICKY != 0 && user != 0 && user != above.uid() && user != folder.uid();
    may_write_in(parent) && !sticky_forbids
}

fn is_mount_point(path: &Path) -> bool {
    let by_attribute = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).ok().and_then(|found| {
        let known = found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
        known.then(|| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    });
    // Kernels before 5.8 do not say; another device than the folder above tells all but bind mounts.
    by_attribute.unwrap_or_else(|| {
        let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
        path.parent().is_some_and(|parent| device(parent) != device(path))
    })
}

/// Everything that is mounted below a folder. It would move along with the folder, or block its removal.
pub fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    // `man 5 proc`: the fifth field is the mount point, with blanks and the like as three octal digits.
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    text.split(|&b| b == b'\n')
        .filter_map(|line| line.split(|&b| b == b' ').nth(4))
        .map(|field| PathBuf::from(OsStr::from_bytes(&unescape(field))))
        .filter(|mount| mount.starts_with(folder) && mount != folder)
        .collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = (first == b'\\').then(|| after.get(..3)).flatten();
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read() {
        assert_eq!(unescape(br"/a\040b\134c"), br"/a b\c");
        assert_eq!(unescape(br"/a\04"), br"/a\04");
    }

    #[test]
    fn proc_is_a_mount_point_and_found_below_the_root() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(mounts_below(Path::new("/")).contains(&PathBuf::from("/proc")));
    }
}
