//! Walks a component's tree and hands its entries over: what `files` and `logs` have in common.

use super::super::Context;
use super::super::logs::compress;
use super::{FileContent, Growth, Warnings, open_file};
use crate::manifest::{ComponentKind, ComponentManifest};
use crate::tree::filter::Filter;
use crate::tree::listing::{FirstNames, Listing, entry_of, root_folder};
use crate::tree::metadata::MetadataReader;
use crate::tree::walk::{Found, LeftOut, Options, Reason, Step, Walk};
use crate::{Error, Result};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use vault::{Entry, EntryKind, EntryPath, EntryWriter, Outcome, Timestamp};

/// How regular files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As they are; further names of a file are hard links.
    Tree,
    /// As logs: up to the size at opening, each name a file of its own.
    Logs,
}

/// A tree to be read.
pub struct TreeReader<'a> {
    /// The component's name.
    pub name: &'a str,
    /// What it is.
    pub kind: ComponentKind,
    /// Its folder.
    pub path: &'a Path,
    /// What belongs to it.
    pub filter: &'a Filter,
    /// Stay on the folder's file system.
    pub one_file_system: bool,
    /// How regular files are read.
    pub style: Style,
}

/// Opens a component's folder. The folder itself may be a symbolic link; nothing below it is followed.
pub fn open_root(name: &str, path: &Path) -> Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(Arc::new).map_err(|cause| {
        let error = Error::io(format!("opening the folder {} of component {name}", path.display()), cause.into());
        match cause {
            rustix::io::Errno::NOENT => {
                error.with_hint("Create the folder, or correct `path` of this component in strongroom.toml.")
            }
            rustix::io::Errno::NOTDIR => error.with_hint("`path` of this component must be a folder."),
            _ => error,
        }
    })
}

struct Run<'a> {
    context: &'a Context<'a>,
    writer: &'a mut dyn EntryWriter,
    style: Style,
    listing: Listing,
    warnings: Warnings,
    metadata: MetadataReader,
    first_names: FirstNames,
    /// Folders that are only wanted if something below them is.
    on_the_way: Vec<Entry>,
}

impl TreeReader<'_> {
    /// Hands every entry to `writer`.
    pub fn read(&self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        let root = open_root(self.name, self.path)?;
        let failed = |cause| Error::io(format!("reading the folder {}", self.path.display()), cause);
        let folder = root_folder(&root).map_err(failed)?;
        let options = Options { filter: self.filter, one_file_system: self.one_file_system, tell_left_out: false };
        let mut walk = Walk::new(root, options).map_err(failed)?;
        let mut run = Run {
            context,
            writer,
            style: self.style,
            listing: Listing::new(context.hash_key),
            warnings: Warnings::default(),
            metadata: MetadataReader::new(),
            first_names: FirstNames::default(),
            on_the_way: Vec::new(),
        };
        while let Some(step) = walk.step() {
            context.progress.check_cancelled()?;
            run.step(&walk, step)?;
        }
        let (state, warnings) = run.warnings.finish();
        Ok(ComponentManifest {
            name: self.name.to_owned(),
            kind: self.kind,
            export: None,
            state,
            entries: run.listing.entries(),
            bytes: run.listing.bytes(),
            warnings,
            figures: run.listing.figures(Some(folder)),
        })
    }
}

impl Run<'_> {
    fn step(&mut self, walk: &Walk<'_>, step: Step) -> Result<()> {
        let found = match step {
            Step::Entry(found) => found,
            Step::LeftOut(left_out) => {
                self.left_out(&left_out);
                return Ok(());
            }
        };
        if found.kind == FileType::RegularFile {
            return self.file(walk, found);
        }
        let only_on_the_way = found.only_on_the_way;
        let path = found.path.clone();
        let (warnings, context) = (&mut self.warnings, self.context);
        let mut warning = |error| unread_attributes(warnings, context, &path, &error);
        let entry = match entry_of(walk, found, &mut self.metadata, &mut warning) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.warnings.missing(context, format!("{}: left out: {error}", show(&path)));
                return Ok(());
            }
        };
        if only_on_the_way {
            self.stay_on_the_way(&path);
            self.on_the_way.push(entry);
            return Ok(());
        }
        self.hand_over_above(&path)?;
        self.hand_over(entry)
    }

    /// Forgets folders that do not lead to `path`.
    fn stay_on_the_way(&mut self, path: &[u8]) {
        self.on_the_way.retain(|folder| {
            path.starts_with(folder.path.as_bytes()) && path.get(folder.path.as_bytes().len()) == Some(&b'/')
        });
    }

    /// Hands over the folders that are wanted because of what lies at `path`.
    fn hand_over_above(&mut self, path: &[u8]) -> Result<()> {
        self.stay_on_the_way(path);
        std::mem::take(&mut self.on_the_way).into_iter().try_for_each(|folder| self.hand_over(folder))
    }

    /// An entry without content.
    fn hand_over(&mut self, entry: Entry) -> Result<()> {
        self.writer.write(&entry, None)?;
        self.taken(&entry, 0);
        Ok(())
    }

    fn file(&mut self, walk: &Walk<'_>, found: Found) -> Result<()> {
        let stat = found.stat;
        let path = match EntryPath::new(found.path) {
            Ok(path) => path,
            Err(error) => {
                self.warnings.missing(self.context, format!("left out: {error}"));
                return Ok(());
            }
        };
        self.hand_over_above(path.as_bytes())?;
        let kind = EntryKind::File { size_bytes: Some(stat.st_size as u64) };
        let mut entry = Entry { path, kind, metadata: self.metadata.described(&stat) };
        match self.style {
            Style::Tree => {
                if let Some(target) = self.first_names.earlier(&entry) {
                    self.read_attributes(walk, None, &mut entry);
                    entry.kind = EntryKind::HardLink { target };
                    return self.hand_over(entry);
                }
                self.content(walk, entry, stat, Growth::Change)
            }
            Style::Logs if self.context.deduplicating || !compress::is_wanted(walk) => {
                self.content(walk, entry, stat, Growth::Allowed)
            }
            Style::Logs => {
                self.read_attributes(walk, None, &mut entry);
                self.compressed(walk, entry)
            }
        }
    }

    /// Adds the extended attributes of a file, which may be open.
    fn read_attributes(&mut self, walk: &Walk<'_>, file: Option<&File>, entry: &mut Entry) {
        let attributes = match file {
            Some(file) => self.metadata.attributes_of(file),
            None => self.metadata.attributes(walk.folder(), walk.name()),
        };
        match attributes {
            Ok(attributes) => entry.metadata.xattrs = attributes,
            Err(error) => {
                unread_attributes(&mut self.warnings, self.context, entry.path.as_bytes(), &error);
                // The next backup must not take it for known.
                entry.metadata.changed = Timestamp::default();
            }
        }
    }

    fn content(&mut self, walk: &Walk<'_>, mut entry: Entry, stat: Stat, growth: Growth) -> Result<()> {
        let mut content = FileContent::new(walk.folder(), walk.name(), stat, growth);
        match self.writer.known_attributes(&entry.path, stat.st_size as u64, &entry.metadata)? {
            Some(attributes) => entry.metadata.xattrs = attributes,
            None => {
                let opened = content.open_early();
                if let Some((_, now)) = opened {
                    entry.metadata = self.metadata.described(now);
                    entry.kind = EntryKind::File { size_bytes: Some(now.st_size as u64) };
                }
                self.read_attributes(walk, opened.map(|(file, _)| file), &mut entry);
            }
        }
        let outcome = self.writer.write(&entry, Some(&mut content))?;
        let changed = content.changed();
        match outcome {
            Outcome::Stored { bytes, padded_bytes } => {
                let padded =
                    (padded_bytes > 0).then(|| format!("{padded_bytes} bytes of it were missing and are zeros"));
                if let Some(why) = changed.or(padded) {
                    self.warnings.missing(self.context, format!("{}: {why}", entry.path));
                }
                self.taken(&entry, bytes);
            }
            Outcome::Unchanged { bytes } => {
                self.taken(&entry, bytes);
            }
            Outcome::Unreadable(error) => {
                self.first_names.forget(&entry);
                self.warnings.missing(self.context, format!("{}: could not be read: {error}", entry.path));
            }
        }
        Ok(())
    }

    fn compressed(&mut self, walk: &Walk<'_>, mut entry: Entry) -> Result<()> {
        let (file, stat) = match open_file(walk.folder(), walk.name()) {
            Ok(opened) => opened,
            Err(error) => {
                self.warnings.missing(self.context, format!("{}: could not be read: {error}", entry.path));
                return Ok(());
            }
        };
        let size = stat.st_size as u64;
        compress::refresh(&mut entry, &stat);
        let (compressed, plain_bytes, why) = compress::compress(self.context, &entry.path, file, size)?;
        if let Some(why) = why {
            self.warnings.missing(self.context, format!("{}: {why}", entry.path));
        }
        let (packed, mut content) = compress::entry(&entry, plain_bytes, compressed)?;
        self.writer.write(&packed, Some(&mut content))?;
        self.taken(&entry, plain_bytes);
        Ok(())
    }

    fn taken(&mut self, entry: &Entry, bytes: u64) {
        self.listing.add(entry, bytes);
        self.context.progress.entries(1);
    }

    fn left_out(&mut self, left_out: &LeftOut) {
        let path = show(&left_out.path);
        let (context, warnings) = (self.context, &mut self.warnings);
        match &left_out.reason {
            Reason::Secret => {
                warnings.note(
                    context,
                    format!("{path}: left out: files of this name hold secrets and are never backed up"),
                );
            }
            Reason::Pattern => {}
            Reason::Socket => warnings.note(context, format!("{path}: left out: it is a socket")),
            Reason::Device => warnings.note(context, format!("{path}: left out: it is a device")),
            Reason::OtherFileSystem => {
                warnings.note(context, format!("{path}: left out: it lies on another file system"));
            }
            Reason::Lost(error) => warnings.missing(context, format!("{path}: left out: {error}")),
        }
    }
}

fn unread_attributes(warnings: &mut Warnings, context: &Context<'_>, path: &[u8], error: &std::io::Error) {
    warnings.missing(context, format!("{}: its extended attributes could not be read: {error}", show(path)));
}

fn show(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}
