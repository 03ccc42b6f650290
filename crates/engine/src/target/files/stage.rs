//! Builds a tree below an open folder, entry by entry.
//!
//! Invariant: every name is made anew in a folder that was reached without following a symbolic link, so whatever the
//! entries are, nothing outside is touched: `a -> /etc` followed by `a/passwd` is an error. Folders are the owner's alone
//! until [`Stage::finish`] gives them their modes and times, deepest first.

use super::sync::SyncBehind;
use super::write::{Job, SMALL_BYTES_MAX, WritePool, twice, wrong_size};
use crate::tree::ladder::Ladder;
use crate::tree::metadata::{Withheld, apply, apply_at};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Mode, fchmod, linkat, mkdirat, mkfifoat, symlinkat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use vault::{Entry, EntryKind, EntryPath, Metadata, Progress};

/// A tree being built.
pub struct Stage {
    ladder: Ladder,
    /// The names that lead to where the ladder stands.
    here: Vec<CString>,
    root: Arc<OwnedFd>,
    folders: Vec<(EntryPath, Metadata)>,
    /// Folders that were made because something below them came first.
    implied: BTreeSet<Vec<u8>>,
    /// Started with the first small file.
    pool: Option<WritePool>,
    syncing: SyncBehind,
    withheld: Withheld,
}

impl Stage {
    /// Builds below `root`, which is empty or holds only what the entries do not name.
    pub fn new(root: Arc<OwnedFd>) -> Self {
        Self {
            ladder: Ladder::new(Arc::clone(&root)),
            syncing: SyncBehind::new(Arc::clone(&root)),
            here: Vec::new(),
            root,
            folders: Vec::new(),
            implied: BTreeSet::new(),
            pool: None,
            withheld: Withheld::default(),
        }
    }

    /// Makes one entry. `content` is read for regular files only.
    pub fn add(&mut self, entry: &Entry, content: &mut dyn Read, progress: &dyn Progress) -> Result<()> {
        progress.check_cancelled()?;
        let (folder, name) = self.locate(&entry.path)?;
        let made = |result: rustix::io::Result<()>| match result {
            Ok(()) => Ok(()),
            Err(Errno::EXIST | Errno::NOTDIR | Errno::LOOP) => Err(twice(&entry.path)),
            Err(error) => Err(writing(&entry.path)(error.into())),
        };
        match &entry.kind {
            EntryKind::Directory => {
                if !self.implied.remove(entry.path.as_bytes()) {
                    made(mkdirat(&folder, &name, Mode::RWXU))?;
                }
                self.folders.push((entry.path.clone(), entry.metadata.clone()));
            }
            EntryKind::File { size_bytes } => {
                let job = Job::create(&folder, &name, &entry.path, &entry.metadata)?;
                self.file(job, entry, *size_bytes, content)?;
            }
            EntryKind::HardLink { target } => {
                self.flush()?;
                let (from, from_name) = self.locate(target)?;
                let (folder, name) = self.locate(&entry.path)?;
                made(linkat(&from, &from_name, &folder, &name, AtFlags::empty()))?;
            }
            EntryKind::Symlink { target } => {
                let target = CString::new(target.as_slice()).map_err(|_| twice(&entry.path))?;
                made(symlinkat(&target, &folder, &name))?;
                self.apply_at(&folder, &name, entry, true)?;
            }
            EntryKind::Fifo => {
                made(mkfifoat(&folder, &name, Mode::RUSR | Mode::WUSR))?;
                self.apply_at(&folder, &name, entry, false)?;
            }
            EntryKind::Device { .. } => {
                return Err(Error::new(
                    ErrorKind::UnsafeEntry,
                    format!("{} is a device, and devices are never restored", entry.path),
                    "The archive was not made by Strongroom or was tampered with; the live data was not touched.",
                ));
            }
        }
        progress.entries(1);
        Ok(())
    }

    /// Gives the folders their metadata once everything in them is complete.
    pub fn finish(mut self) -> Result<(Arc<OwnedFd>, Withheld)> {
        let withheld = self.flush()?;
        self.withheld.join(withheld);
        while let Some((path, metadata)) = self.folders.pop() {
            self.go_to(path.as_bytes())?;
            let withheld = apply(self.ladder.here().as_fd(), &metadata).map_err(writing(&path))?;
            self.withheld.join(withheld);
        }
        for path in std::mem::take(&mut self.implied) {
            self.go_to(&path)?;
            let open = Mode::from_raw_mode(0o755);
            fchmod(self.ladder.here(), open)
                .map_err(|cause| Error::io("opening up a restored folder", cause.into()))?;
        }
        self.syncing.join().map_err(|cause| Error::io("syncing the restored files", cause))?;
        Ok((self.root, self.withheld))
    }

    /// Whether the folder at `path` was made because something below it came first.
    pub fn is_implied(&self, path: &[u8]) -> bool {
        self.implied.contains(path)
    }

    /// The folders that were made so; whoever takes them [sets](Self::set_folder) them.
    pub fn take_implied(&mut self) -> BTreeSet<Vec<u8>> {
        std::mem::take(&mut self.implied)
    }

    /// Gives a folder that exists its metadata at the end.
    pub fn set_folder(&mut self, path: EntryPath, metadata: Metadata) {
        self.folders.push((path, metadata));
    }

    fn flush(&self) -> Result<Withheld> {
        self.pool.as_ref().map_or(Ok(Withheld::default()), WritePool::flush)
    }

    fn file(&mut self, job: Job, entry: &Entry, size: Option<u64>, content: &mut dyn Read) -> Result<()> {
        let Some(small) = size.filter(|&size| size <= SMALL_BYTES_MAX) else {
            let withheld = job.write(content, size, |bytes| self.syncing.wrote(bytes))?;
            self.withheld.join(withheld);
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(small as usize);
        content
            .take(small + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| vault::error::from_io(format!("reading {} from the backup", entry.path), error))?;
        if bytes.len() as u64 != small {
            return Err(wrong_size(&entry.path, size, bytes.len() as u64));
        }
        self.syncing.wrote(small).map_err(writing(&entry.path))?;
        self.pool.get_or_insert_with(WritePool::new).submit(job, bytes)
    }

    fn apply_at(&mut self, folder: &OwnedFd, name: &CString, entry: &Entry, is_link: bool) -> Result<()> {
        let withheld = apply_at(folder.as_fd(), name, &entry.metadata, is_link).map_err(writing(&entry.path))?;
        self.withheld.join(withheld);
        Ok(())
    }

    /// The open folder that holds `path`, made where it is missing, and the name in it.
    pub fn locate(&mut self, path: &EntryPath) -> Result<(Arc<OwnedFd>, CString)> {
        let bytes = path.as_bytes();
        let split = bytes.iter().rposition(|&b| b == b'/');
        self.go_to(split.map_or(&[], |at| &bytes[..at]))?;
        let name = CString::new(path.file_name()).map_err(|_| twice(path))?;
        Ok((Arc::clone(self.ladder.here()), name))
    }

    fn go_to(&mut self, path: &[u8]) -> Result<()> {
        let parts = || path.split(|&b| b == b'/').filter(|part| !part.is_empty());
        let common = self.here.iter().zip(parts()).take_while(|(here, part)| here.to_bytes() == *part).count();
        while self.here.len() > common {
            self.here.pop();
            // Where the way back is barred (a folder without permissions, far down), begin again at the root.
            if self.ladder.up().is_err() {
                self.here.clear();
            }
        }
        let common = self.here.len();
        let mut length: usize = self.here.iter().map(|name| name.to_bytes().len() + 1).sum();
        for part in parts().skip(common) {
            length += part.len();
            self.step_down(part, &path[..length])?;
            length += 1;
        }
        Ok(())
    }

    fn step_down(&mut self, name: &[u8], path: &[u8]) -> Result<()> {
        let place = EntryPath::new(path)?;
        let name = CString::new(name).map_err(|_| twice(&place))?;
        let result = match self.ladder.down(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                mkdirat(self.ladder.here(), &name, Mode::RWXU).map_err(|error| writing(&place)(error.into()))?;
                self.implied.insert(path.to_vec());
                self.ladder.down(&name)
            }
            other => other,
        };
        match result {
            Ok(()) => {
                self.here.push(name);
                Ok(())
            }
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOTDIR | Errno::LOOP)) => {
                Err(twice(&place))
            }
            Err(error) => Err(writing(&place)(error)),
        }
    }
}

fn writing(path: &EntryPath) -> impl FnOnce(io::Error) -> Error + use<> {
    let what = format!("writing {path}");
    move |cause| Error::io(what, cause)
}
