//! The content of a file in a tree that others write to: opened only when it is wanted, holes read without reading, and
//! watched for changes from before the first byte to after the last.

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use vault::Content;

/// How a file may change while it is read without that being worth a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Change,
    /// Like a log: it may grow; what it held at the start is what is wanted.
    Allowed,
}

/// A regular file's content.
pub struct FileContent<'a> {
    folder: &'a OwnedFd,
    name: &'a CStr,
    expected: Stat,
    growth: Growth,
    opened: Option<io::Result<Opened>>,
    changed: Option<String>,
}

/// A file and what it was when it was opened.
pub type Opened = (File, Stat);

impl<'a> FileContent<'a> {
    /// The content of `name` in `folder`, which `lstat` found to be `expected`.
    pub fn new(folder: &'a OwnedFd, name: &'a CStr, expected: Stat, growth: Growth) -> Self {
        Self { folder, name, expected, growth, opened: None, changed: None }
    }

    /// Opens the file now, for who wants more of it than its bytes; also says what it is now, and that is what it must
    /// stay. A failure is told when the bytes are wanted.
    pub fn open_early(&mut self) -> Option<(&File, &Stat)> {
        let opened = self.opened.insert(open_file(self.folder, self.name));
        let (file, now) = opened.as_ref().ok()?;
        if difference(&self.expected, now, Growth::Change) != Some(REPLACED) {
            self.expected = *now;
        }
        Some((file, &self.expected))
    }

    /// Why what was read is not one state of the file, if it is not.
    pub fn changed(self) -> Option<String> {
        self.changed
    }
}

impl Content for FileContent<'_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        let (file, now) = self.opened.take().unwrap_or_else(|| open_file(self.folder, self.name))?;
        if difference(&self.expected, &now, self.growth) == Some(REPLACED) {
            self.changed = Some("it was replaced by another file before it was read".to_owned());
        }
        Ok(Box::new(Reader {
            size: self.expected.st_size as u64,
            data_until: if is_sparse(&self.expected) { 0 } else { u64::MAX },
            hole_until: 0,
            position: 0,
            file,
            expected: &self.expected,
            growth: self.growth,
            changed: &mut self.changed,
        }))
    }
}

/// Opens a regular file and nothing else; a pipe that took its place does not block. Also says
/// what it is then.
pub fn open_file(folder: &OwnedFd, name: &CStr) -> io::Result<Opened> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match openat(folder, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(folder, name, flags, Mode::empty()),
        other => other,
    }?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no longer a regular file"));
    }
    Ok((File::from(file), stat))
}

struct Reader<'a> {
    file: File,
    size: u64,
    position: u64,
    /// Up to here there is data, as far as we know.
    data_until: u64,
    /// Up to here there is a hole.
    hole_until: u64,
    expected: &'a Stat,
    growth: Growth,
    changed: &'a mut Option<String>,
}

impl Reader<'_> {
    /// Finds out whether data or a hole comes next.
    fn look_ahead(&mut self) {
        match seek(&self.file, SeekFrom::Data(self.position)) {
            Ok(data) if data > self.position => self.hole_until = data.min(self.size),
            Ok(_) => {
                self.data_until = seek(&self.file, SeekFrom::Hole(self.position)).unwrap_or(self.size);
            }
            // No data up to the end.
            Err(Errno::NXIO) => self.hole_until = self.size,
            Err(_) => self.data_until = u64::MAX,
        }
    }

    fn ended_early(&mut self) {
        let missing = self.size - self.position;
        *self.changed = Some(format!("it became {missing} bytes shorter while it was read"));
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.position;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.position >= self.data_until.max(self.hole_until) {
            self.look_ahead();
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = if self.position < self.hole_until {
            let zeros = usize::try_from(self.hole_until - self.position).unwrap_or(usize::MAX).min(wanted);
            buffer[..zeros].fill(0);
            zeros
        } else {
            let data = usize::try_from(self.data_until - self.position).unwrap_or(usize::MAX).min(wanted);
            self.file
                .read_at(&mut buffer[..data], self.position)
                .inspect_err(|error| *self.changed = Some(format!("it could not be read to its end: {error}")))?
        };
        if length == 0 {
            self.ended_early();
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if self.changed.is_some() {
            return;
        }
        match fstat(&self.file) {
            Ok(now) => *self.changed = difference(self.expected, &now, self.growth).map(str::to_owned),
            Err(error) => *self.changed = Some(format!("it could not be looked at after it was read: {error}")),
        }
    }
}

const REPLACED: &str = "it was replaced while it was read";

/// In what a file differs from what it was.
fn difference(before: &Stat, after: &Stat, growth: Growth) -> Option<&'static str> {
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) {
        return Some(REPLACED);
    }
    if growth == Growth::Allowed {
        return (after.st_size < before.st_size).then_some("it became shorter while it was read");
    }
    if before.st_size != after.st_size {
        return Some("its size changed while it was read");
    }
    let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
    (times(before) != times(after)).then_some("it was written to or its metadata changed while it was read")
}

fn is_sparse(stat: &Stat) -> bool {
    super::super::super::tree::metadata::plain(stat).sparse
}
