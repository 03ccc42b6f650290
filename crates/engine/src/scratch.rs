//! Temporary folders inside the backup folder.
//!
//! Invariant: a scratch folder goes when its holder goes. While the holder lives, a lock file in it is locked; the next
//! start of any command sweeps the folders of holders that died. Scratch folders may hold plaintext: they are owner-only.

use crate::{Error, Result};
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use vault::error::IoContext;

const LOCK_NAME: &str = ".lock";

/// An owner-only folder that is removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    lock: File,
}

impl Scratch {
    /// Makes `parent/name`.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        let folder = parent.join(name);
        let what = || format!("making the folder {}", folder.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).doing(what)?;
        let lock = File::create(folder.join(LOCK_NAME)).doing(what)?;
        lock.try_lock().map_err(|cause| Error::internal(format!("locking a new scratch folder: {cause}")))?;
        Ok(Self { folder, lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now, the next sweep removes: the lock goes with us.
        let _ = self.lock.unlock();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the scratch folders in `parent` whose holders died. Returns their number.
pub fn sweep(parent: &Path) -> Result<u64> {
    let mut removed = 0;
    let Ok(entries) = fs::read_dir(parent) else { return Ok(0) };
    for entry in entries.flatten() {
        let abandoned = match File::open(entry.path().join(LOCK_NAME)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => is_old(&entry),
        };
        if abandoned && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(entry.path()).doing(|| format!("removing {}", entry.path().display()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Between making a folder and locking it lies a moment: a folder without a lock is given a minute.
fn is_old(entry: &fs::DirEntry) -> bool {
    entry
        .metadata()
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age.as_secs() > 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_stay_and_the_dead_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::create(parent.path(), "living").unwrap();
        let dead = Scratch::create(parent.path(), "dead").unwrap();
        fs::write(dead.path().join("plaintext"), "x").unwrap();
        let folder = dead.path().to_owned();
        dead.lock.unlock().unwrap();
        std::mem::forget(dead);
        assert_eq!(sweep(parent.path()).unwrap(), 1);
        assert!(!folder.exists() && living.path().exists());
    }

    #[test]
    fn dropping_removes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path(), "x").unwrap();
        let folder = scratch.path().to_owned();
        drop(scratch);
        assert!(!folder.exists());
    }
}
