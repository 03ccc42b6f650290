//! Walks a tree depth-first, names sorted by their bytes, folders before what they hold.
//!
//! A loop that is asked for the next step, not a recursion: no depth of a tree exhausts the stack. One `lstat` an entry,
//! and nothing is opened but folders; the next entries of a folder are [looked at ahead](super::ahead).

use super::ahead::{Ahead, Asked};
use super::filter::{Decision, Filter};
use super::ladder::Ladder;
use super::names::Names;
use rustix::fs::{FileType, Stat, fstat};
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What the walk comes upon.
pub enum Step {
    /// An entry of the component.
    Entry(Found),
    /// Something that will be missing: why, in words.
    LeftOut(LeftOut),
}

/// An entry that was found.
pub struct Found {
    /// Path below the root, raw.
    pub path: Vec<u8>,
    /// What `lstat` says.
    pub stat: Stat,
    /// What it is.
    pub kind: FileType,
    /// It belongs to the component only if something below it does ([`Decision::Pass`]).
    pub only_on_the_way: bool,
}

/// An entry that does not get into the backup.
pub struct LeftOut {
    /// Path below the root, raw.
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why an entry does not get into the backup.
#[derive(Debug)]
pub enum Reason {
    /// A pattern; only told to those who [ask](Options::tell_left_out).
    Pattern,
    /// Its name says that it holds secrets.
    Secret,
    /// A socket.
    Socket,
    /// A device node.
    Device,
    /// Another file system, and the settings say to stay on one.
    OtherFileSystem,
    /// Could not be looked at: vanished, or no permission.
    Lost(io::Error),
}

/// How to walk.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What belongs to the component.
    pub filter: &'a Filter,
    /// Do not leave the root's file system.
    pub one_file_system: bool,
    /// Tell also what patterns leave out.
    pub tell_left_out: bool,
}

struct Frame {
    names: Arc<Names>,
    asked: Asked,
    next: usize,
    path_length: usize,
    included: bool,
}

impl Frame {
    fn new(names: Names, path_length: usize, included: bool) -> Self {
        Self { names: Arc::new(names), asked: Asked::default(), next: 0, path_length, included }
    }

    /// The name that came last.
    fn name(&self) -> &CStr {
        self.next.checked_sub(1).and_then(|last| self.names.get(last)).map_or(c"", |(name, _)| name)
    }
}

/// A walk under way.
pub struct Walk<'a> {
    options: Options<'a>,
    ladder: Ladder,
    ahead: Ahead,
    frames: Vec<Frame>,
    path: Vec<u8>,
    root_device: u64,
    /// The last entry was a folder that is to be entered, included or not.
    enter: Option<bool>,
}

impl<'a> Walk<'a> {
    /// Reads the names in `root`, which must just have been opened.
    #[allow(clippy::unnecessary_cast, reason = "the widths of these numbers differ by architecture")]
    pub fn new(root: Arc<OwnedFd>, options: Options<'a>) -> io::Result<Self> {
        let root_device = fstat(&root)?.st_dev as u64;
        let frame = Frame::new(Names::read(&root)?, 0, options.filter.includes_all());
        Ok(Self {
            options,
            ladder: Ladder::new(root),
            ahead: Ahead::default(),
            frames: vec![frame],
            path: Vec::new(),
            root_device,
            enter: None,
        })
    }

    /// The folder that holds the last entry.
    pub fn folder(&self) -> &Arc<OwnedFd> {
        self.ladder.here()
    }

    /// The last entry's name in its folder.
    pub fn name(&self) -> &CStr {
        self.frames.last().map_or(c"", Frame::name)
    }

    /// Whether the folder of the last entry also holds `name`.
    pub fn has_sibling(&self, name: &[u8]) -> bool {
        self.frames.last().is_some_and(|frame| frame.names.contains(name))
    }

    /// The next thing; `None` at the end.
    pub fn step(&mut self) -> Option<Step> {
        if let Some(included) = self.enter.take()
            && let Err(error) = self.go_down(included)
        {
            return Some(self.left_out(Reason::Lost(error)));
        }
        loop {
            let frame = self.frames.last_mut()?;
            self.path.truncate(frame.path_length);
            let Some((name, kind)) = frame.names.get(frame.next) else {
                match self.go_up() {
                    Ok(()) => continue,
                    Err(error) => return Some(self.left_out(Reason::Lost(error))),
                }
            };
            if frame.path_length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            frame.next += 1;
            let included = frame.included;
            if let Some(step) = self.look(kind, included) {
                return Some(step);
            }
        }
    }

    /// Judges the entry at `self.path`; `None` when a pattern leaves it out.
    fn look(&mut self, kind: FileType, included: bool) -> Option<Step> {
        // What the folder says about the kind spares an lstat for everything that a pattern leaves out.
        let mut stat = None;
        let kind = if kind == FileType::Unknown {
            match self.stat() {
                Ok(found) => FileType::from_raw_mode(stat.insert(found).st_mode),
                Err(error) => return Some(self.left_out(Reason::Lost(error))),
            }
        } else {
            kind
        };
        let decision = self.options.filter.decide(&self.path, kind == FileType::Directory, included);
        match (decision, kind) {
            (Decision::Leave, _) if self.options.tell_left_out => return Some(self.left_out(Reason::Pattern)),
            (Decision::Leave, _) => return None,
            (Decision::Secret, _) => return Some(self.left_out(Reason::Secret)),
            (_, FileType::Socket) => return Some(self.left_out(Reason::Socket)),
            (_, FileType::BlockDevice | FileType::CharacterDevice) => return Some(self.left_out(Reason::Device)),
            _ => {}
        }
        let stat = match stat.map_or_else(|| self.stat(), Ok) {
            Ok(stat) => stat,
            Err(error) => return Some(self.left_out(Reason::Lost(error))),
        };
        Some(self.found(stat, decision))
    }

    /// What `lstat` says of the entry at `self.path`.
    fn stat(&mut self) -> io::Result<Stat> {
        let folder = self.ladder.here();
        match self.frames.last_mut() {
            Some(Frame { names, asked, next, .. }) => self.ahead.look(folder, names, asked, *next - 1),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[allow(clippy::unnecessary_cast, reason = "the widths of these numbers differ by architecture")]
    fn found(&mut self, stat: Stat, decision: Decision) -> Step {
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            // It changed its kind since the folder was read.
            FileType::Socket => return self.left_out(Reason::Socket),
            FileType::BlockDevice | FileType::CharacterDevice => return self.left_out(Reason::Device),
            _ => {}
        }
        if self.options.one_file_system && stat.st_dev as u64 != self.root_device {
            return self.left_out(Reason::OtherFileSystem);
        }
        if kind == FileType::Directory {
            self.enter = Some(decision == Decision::Take);
        }
        Step::Entry(Found { path: self.path.clone(), stat, kind, only_on_the_way: decision == Decision::Pass })
    }

    fn go_down(&mut self, included: bool) -> io::Result<()> {
        self.ladder.down(self.frames.last().map_or(c"", Frame::name))?;
        match Names::read(self.ladder.here()) {
            Ok(names) => {
                self.frames.push(Frame::new(names, self.path.len(), included));
                Ok(())
            }
            Err(error) => {
                self.back()?;
                Err(error)
            }
        }
    }

    fn go_up(&mut self) -> io::Result<()> {
        self.frames.pop();
        if self.frames.is_empty() { Ok(()) } else { self.back() }
    }

    /// One folder up; if the way is lost, on with the root.
    fn back(&mut self) -> io::Result<()> {
        self.ladder.up().inspect_err(|_| self.frames.truncate(1))
    }

    fn left_out(&self, reason: Reason) -> Step {
        Step::LeftOut(LeftOut { path: self.path.clone(), reason })
    }
}
