//! A local folder as a store.
//!
//! An object is written under a temporary name in the folder it will live in (`.tmp-<random>`), synced, renamed and the
//! folder synced: after a crash it is there whole or not at all. Left-over temporary files are litter;
//! [`LocalStore::sweep_temporary`] removes those that nobody holds locked. Files are 0600, folders 0700.

use super::{DurableFile, ObjectInfo, ObjectReader, ObjectWriter, Store};
use crate::entry::EntryPath;
use crate::error::{Error, ErrorKind, IoContext, Result};
use std::cell::Cell;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const TEMPORARY_PREFIX: &str = ".tmp-";

/// A folder.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// Uses `root`, which must exist.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let metadata = fs::metadata(&root).doing(|| format!("opening the folder {}", root.display()))?;
        if !metadata.is_dir() {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{} is not a folder", root.display()),
                "Name a folder for the backups.",
            ));
        }
        Ok(Self { root })
    }

    /// Uses `root`, making it (owner-only) if need be.
    pub fn create_root(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        create_folder(&root)?;
        Self::open(root)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        Ok(self.root.join(EntryPath::new(name)?.to_os_path()))
    }

    /// Removes temporary files of writers that died; those of living ones are locked and stay.
    pub fn sweep_temporary(&self) -> Result<u64> {
        let mut removed = 0;
        walk(&self.root, &mut |entry| {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX)
                && let Ok(file) = File::open(&path)
                && file.try_lock().is_ok()
            {
                fs::remove_file(&path).doing(|| format!("removing {}", path.display()))?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }
}

impl Store for LocalStore {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        self.path(name).ok()
    }

    fn create(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        let path = self.path(name)?;
        let folder = path.parent().unwrap_or(&self.root).to_path_buf();
        create_folder(&folder)?;
        if path.symlink_metadata().is_ok() {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{} exists already", path.display()),
                "Backups are never overwritten; remove it first if it is not wanted.",
            ));
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|cause| Error::internal(cause.to_string()))?;
        let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}", hex::encode(random)));
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .doing(|| format!("making a file in {}", folder.display()))?;
        file.try_lock().map_err(|cause| Error::internal(format!("locking a new temporary file: {cause}")))?;
        Ok(Box::new(LocalWriter {
            name: name.to_owned(),
            path,
            folder,
            temporary,
            file: DurableFile::new(file),
            read_back: Cell::new(false),
            finished: false,
        }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn ObjectReader>> {
        let path = self.path(name)?;
        Ok(Box::new(File::open(&path).doing(|| format!("opening {}", path.display()))?))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let mut file = File::open(&path).doing(|| format!("opening {}", path.display()))?;
        // What is going to be overwritten is not cleared before.
        let mut bytes = Vec::with_capacity(length);
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(length as u64).read_to_end(&mut bytes));
        let whole =
            read.and_then(|read| if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
        whole.doing(|| format!("reading {}", path.display()))?;
        Ok(bytes)
    }

    fn read_all(&self, name: &str, size_bytes_max: u64) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let file = File::open(&path).doing(|| format!("opening {}", path.display()))?;
        let mut bytes = Vec::new();
        file.take(size_bytes_max + 1).read_to_end(&mut bytes).doing(|| format!("reading {}", path.display()))?;
        if bytes.len() as u64 > size_bytes_max {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("{} is larger than {size_bytes_max} bytes, which no file of its kind is", path.display()),
                "It is not what its name says; was it replaced?",
            ));
        }
        Ok(bytes)
    }

    fn stat(&self, name: &str) -> Result<Option<ObjectInfo>> {
        let path = self.path(name)?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(info(name, &metadata))),
            Ok(_) => Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io(format!("looking at {}", path.display()), cause)),
        }
    }

    fn lists_at_once(&self) -> bool {
        true
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        let start = if folder.is_empty() { self.root.clone() } else { self.path(folder)? };
        let mut found = Vec::new();
        walk(&start, &mut |entry| {
            let path = entry.path();
            let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str) else { return Ok(()) };
            if name.rsplit('/').next().unwrap_or(name).starts_with(TEMPORARY_PREFIX) {
                return Ok(());
            }
            match entry.metadata() {
                Ok(metadata) => found.push(info(name, &metadata)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::io(format!("looking at {}", path.display()), cause)),
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().unwrap_or(&self.root)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::io(format!("removing {}", path.display()), cause)),
        }
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|cause| Error::io(format!("asking for free space in {}", self.root.display()), cause.into()))?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }
}

struct LocalWriter {
    name: String,
    path: PathBuf,
    folder: PathBuf,
    temporary: PathBuf,
    file: DurableFile,
    /// Somebody reads it while it is being finished.
    read_back: Cell<bool>,
    finished: bool,
}

/// Objects of at least this size do not stay in the page cache, unless they are being read back.
const CACHED_BYTES_MAX: u64 = 4 << 20;

impl LocalWriter {
    /// Gives the memory back that a large object's bytes took on their way to the disk: they would push out what the
    /// application reads, nobody reads them soon, and a verification should read the disk.
    fn leave_cache(&self) {
        if self.file.written_bytes() >= CACHED_BYTES_MAX && !self.read_back.get() {
            // It is advice: where it is not taken, nothing is lost.
            let _ = rustix::fs::fadvise(self.file.file(), 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

impl Write for LocalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl ObjectWriter for LocalWriter {
    fn rewrite_head(&mut self, head: &[u8]) -> Result<()> {
        if head.len() as u64 > self.file.written_bytes() {
            return Err(Error::internal("the head to rewrite is longer than what was written"));
        }
        self.file.file().write_all_at(head, 0).doing(|| format!("writing {}", self.temporary.display()))
    }

    fn read_back(&self) -> Result<Option<Box<dyn ObjectReader>>> {
        let file = File::open(&self.temporary).doing(|| format!("reading back {}", self.temporary.display()))?;
        self.read_back.set(true);
        Ok(Some(Box::new(file)))
    }

    fn finish(mut self: Box<Self>) -> Result<ObjectInfo> {
        self.file.sync().doing(|| format!("syncing {}", self.temporary.display()))?;
        self.leave_cache();
        rename_without_replacing(&self.temporary, &self.path)?;
        self.finished = true;
        sync_folder(&self.folder)?;
        let metadata = self.file.file().metadata().doing(|| format!("looking at {}", self.path.display()))?;
        Ok(info(&self.name, &metadata))
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody hears of a failure here, and none matters: the next sweep removes it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn rename_without_replacing(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(Error::new(
            ErrorKind::Refused,
            format!("{} exists already", to.display()),
            "Backups are never overwritten; remove it first if it is not wanted.",
        )),
        // Some network file systems know no flags: names are random, so a plain rename replaces nothing.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::rename(from, to).doing(|| format!("renaming to {}", to.display()))
        }
        Err(cause) => Err(Error::io(format!("renaming to {}", to.display()), cause.into())),
    }
}

/// Makes a folder and its parents, owner-only.
fn create_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .doing(|| format!("making the folder {}", folder.display()))
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).doing(|| format!("syncing the folder {}", folder.display()))
}

fn info(name: &str, metadata: &fs::Metadata) -> ObjectInfo {
    ObjectInfo { name: name.to_owned(), size_bytes: metadata.len(), modified: metadata.modified().ok() }
}

/// Calls `found` for each regular file below `folder`, without looking at the file itself; what vanishes meanwhile is no error.
fn walk(folder: &Path, found: &mut dyn FnMut(&DirEntry) -> Result<()>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(Error::io(format!("listing {}", folder.display()), cause)),
    };
    for entry in entries {
        let entry = entry.doing(|| format!("listing {}", folder.display()))?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), found)?,
            Ok(kind) if kind.is_file() => found(&entry)?,
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::io(format!("looking at {}", entry.path().display()), cause)),
        }
    }
    Ok(())
}
