//! Takes along what the backup does not hold: excluded files, `.env`, sockets, in the folder that is to be replaced.
//!
//! Invariant: before an exchange, the tree that is about to go live gets the entries that do not belong to the component
//! exactly as they are live now, as further names of the same files. So neither a restore nor its undo loses any of them,
//! whatever the application did to them in between, and a program that has one open goes on writing to the right file.
//! What is created during the exchange itself is added right after it. Nothing here needs a journal: only the tree that is
//! not live is changed, and doing it again gives the same.
//!
//! The uncomfortable consequence: an excluded folder of a million files costs a million links. Where the file system has
//! no hard links, regular files are copied.

use super::stage::Stage;
use crate::tree::filter::Filter;
use crate::tree::listing::entry_of;
use crate::tree::metadata::{MetadataReader, apply, plain, set_times};
use crate::tree::remove::remove_tree;
use crate::tree::walk::{Found, Options, Reason, Step, Walk};
use crate::tree::{FOLDER, open_below};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Mode, fstat, linkat, openat, statat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use vault::{EntryPath, Metadata, Progress};

/// How to take along.
#[derive(Clone, Copy)]
pub struct Carry<'a> {
    /// What belongs to the component.
    pub filter: &'a Filter,
    /// As in the component's settings.
    pub one_file_system: bool,
    /// Names directly in the live folder are exchanged one by one, so those that do not belong simply stay.
    pub top_stays: bool,
    /// Make the other tree's exactly like these; otherwise only add what it lacks.
    pub exactly: bool,
    /// Hears the news.
    pub progress: &'a dyn Progress,
}

impl Carry<'_> {
    /// Whether there is anything to take along.
    pub fn is_needed(&self, from: &Arc<OwnedFd>) -> Result<bool> {
        let mut walk = self.walk(from)?;
        while let Some(step) = walk.step() {
            if self.left_out(step)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes along from one tree to the other.
    pub fn run(&self, from: &Arc<OwnedFd>, to: &Arc<OwnedFd>) -> Result<()> {
        let mut taken = BTreeSet::new();
        let mut links = Links {
            stage: Stage::new(Arc::clone(to)),
            metadata: MetadataReader::new(),
            touched: BTreeMap::new(),
            carry: *self,
        };
        let mut walk = self.walk(from)?;
        while let Some(step) = walk.step() {
            self.progress.check_cancelled()?;
            if let Some(path) = self.left_out(step)? {
                links.take_along(&walk, &path)?;
                taken.insert(path.as_bytes().to_vec());
            }
        }
        if self.exactly {
            let mut walk = self.walk(to)?;
            while let Some(step) = walk.step() {
                if let Some(path) = self.left_out(step)?.filter(|path| !taken.contains(path.as_bytes())) {
                    links.touch(&path)?;
                    remove_tree(walk.folder(), walk.name()).map_err(taking_along(&path))?;
                }
            }
        }
        links.finish(from)
    }

    fn walk(&self, root: &Arc<OwnedFd>) -> Result<Walk<'_>> {
        let options = Options { filter: self.filter, one_file_system: self.one_file_system, tell_left_out: true };
        let fresh = openat(root, c".", FOLDER, Mode::empty()).map_err(io::Error::from);
        fresh
            .and_then(|root| Walk::new(Arc::new(root), options))
            .map_err(|cause| Error::io("reading the live folder", cause))
    }

    /// The path of an entry that does not belong to the component.
    fn left_out(&self, step: Step) -> Result<Option<EntryPath>> {
        let Step::LeftOut(left_out) = step else { return Ok(None) };
        let path = EntryPath::new(left_out.path)?;
        match left_out.reason {
            Reason::Lost(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Reason::Lost(error) => Err(taking_along(&path)(error)),
            _ if self.top_stays && !path.as_bytes().contains(&b'/') => Ok(None),
            _ => Ok(Some(path)),
        }
    }
}

struct Links<'a> {
    stage: Stage,
    metadata: MetadataReader,
    /// Folders that were there already, with their times.
    touched: BTreeMap<Vec<u8>, Metadata>,
    carry: Carry<'a>,
}

impl Links<'_> {
    fn take_along(&mut self, walk: &Walk<'_>, path: &EntryPath) -> Result<()> {
        let failed = taking_along(path);
        let stat = match statat(walk.folder(), walk.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|error| failed(error.into()))?,
        };
        self.touch(path)?;
        let (folder, name) = self.locate(path)?;
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(taking_along(path)(error.into())),
            Ok(there) if (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino) => return Ok(()),
            Ok(_) if !self.carry.exactly => return Ok(()),
            Ok(_) => remove_tree(&folder, &name).map_err(taking_along(path))?,
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return self.link(walk.folder(), walk.name(), path);
        }
        let entry = vault::Entry {
            path: path.clone(),
            kind: vault::EntryKind::Directory,
            metadata: self.metadata.read(walk.folder(), walk.name(), &stat).0,
        };
        self.stage.add(&entry, &mut io::empty(), &vault::Silent)?;
        let below = openat(walk.folder(), walk.name(), FOLDER, Mode::empty())
            .map_err(|error| taking_along(path)(error.into()))?;
        self.whole_folder(Arc::new(below), path)
    }

    /// Everything below a folder that does not belong to the component.
    fn whole_folder(&mut self, below: Arc<OwnedFd>, top: &EntryPath) -> Result<()> {
        let everything = Filter::everything();
        let options = Options { filter: &everything, one_file_system: false, tell_left_out: true };
        let mut walk = Walk::new(below, options).map_err(taking_along(top))?;
        while let Some(step) = walk.step() {
            self.carry.progress.check_cancelled()?;
            match step {
                Step::LeftOut(left_out) => match left_out.reason {
                    Reason::Lost(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Reason::Lost(error) => return Err(taking_along(top)(error)),
                    _ => {
                        let path = join(top, &left_out.path)?;
                        self.link(walk.folder(), walk.name(), &path)?;
                    }
                },
                Step::Entry(found) => self.below(&walk, found, top)?,
            }
        }
        Ok(())
    }

    fn below(&mut self, walk: &Walk<'_>, found: Found, top: &EntryPath) -> Result<()> {
        let path = join(top, &found.path)?;
        if found.kind != FileType::Directory {
            return self.link(walk.folder(), walk.name(), &path);
        }
        let entry = entry_of(walk, found, &mut self.metadata, &mut |_| {}).map_err(taking_along(&path))?;
        if let Some(entry) = entry {
            self.stage.add(&vault::Entry { path, ..entry }, &mut io::empty(), &vault::Silent)?;
        }
        Ok(())
    }

    /// A further name of the same file; a copy where that cannot be.
    fn link(&mut self, from: &OwnedFd, name: &CStr, path: &EntryPath) -> Result<()> {
        let (folder, new_name) = self.locate(path)?;
        match linkat(from, name, &folder, &new_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::XDEV | Errno::PERM | Errno::NOTSUP | Errno::MLINK) => self.copy(from, name, path),
            Err(error) => Err(taking_along(path)(error.into())),
        }
    }

    fn copy(&mut self, from: &OwnedFd, name: &CStr, path: &EntryPath) -> Result<()> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| taking_along(path)(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(taking_along(path)(io::Error::other("this file system has no hard links for it")));
        }
        let (mut file, _) = crate::source::files::open_file(from, name).map_err(taking_along(path))?;
        let (metadata, _) = self.metadata.read(from, name, &stat);
        let entry = vault::Entry { path: path.clone(), kind: vault::EntryKind::File { size_bytes: None }, metadata };
        self.stage.add(&entry, &mut file, &vault::Silent)
    }

    /// Remembers the times of the folder that holds `path`, because making a name in it changes them.
    fn touch(&mut self, path: &EntryPath) -> Result<()> {
        let parent = parent(path);
        if !self.touched.contains_key(parent) && !self.stage.is_implied(parent) {
            let (folder, _) = self.locate(path)?;
            if !self.stage.is_implied(parent) {
                let stat = fstat(&folder).map_err(|error| taking_along(path)(error.into()))?;
                self.touched.insert(parent.to_vec(), plain(&stat));
            }
        }
        Ok(())
    }

    fn locate(&mut self, path: &EntryPath) -> Result<(Arc<OwnedFd>, std::ffi::CString)> {
        self.stage.locate(path).map_err(|error| match error.kind() {
            ErrorKind::UnsafeEntry => Error::new(
                ErrorKind::Refused,
                format!(
                    "{path} is not part of the backup and cannot be kept: what holds it is no folder in the backup"
                ),
                "Move it elsewhere and restore again; nothing was changed.",
            ),
            _ => error,
        })
    }

    fn finish(mut self, from: &Arc<OwnedFd>) -> Result<()> {
        // Folders that exist only for what was taken along look like the ones it came from.
        for path in self.stage.take_implied() {
            let path = EntryPath::new(path)?;
            let failed = taking_along(&path);
            let read = open_below(from, path.as_bytes()).and_then(|folder| {
                let stat = fstat(&folder)?;
                Ok(self.metadata.read(&folder, c".", &stat).0)
            });
            self.stage.set_folder(path, read.map_err(failed)?);
        }
        let (root, _) = self.stage.finish()?;
        for (path, metadata) in self.touched {
            let folder = open_below(&root, &path);
            folder
                .and_then(|folder| set_times(folder.as_fd(), &metadata))
                .map_err(|cause| Error::io("setting a folder's time", cause))?;
        }
        Ok(())
    }
}

/// Copies who may use a folder, and its attributes, to another one.
pub fn like(from: &Arc<OwnedFd>, to: &Arc<OwnedFd>) -> io::Result<()> {
    let (metadata, _) = MetadataReader::new().read(from, c".", &fstat(from)?);
    apply(to.as_fd(), &metadata).map(|_| ())
}

fn parent(path: &EntryPath) -> &[u8] {
    let bytes = path.as_bytes();
    bytes.iter().rposition(|&b| b == b'/').map_or(&[], |at| &bytes[..at])
}

fn join(top: &EntryPath, below: &[u8]) -> Result<EntryPath> {
    EntryPath::new([top.as_bytes(), b"/", below].concat())
}

fn taking_along(path: &EntryPath) -> impl FnOnce(io::Error) -> Error + use<> {
    let what = format!("keeping {path}, which the backup does not hold,");
    move |cause| Error::io(what, cause)
}
