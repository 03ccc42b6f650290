//! Walks a component's tree and hands its entries over: what `files` and `logs` have in common.

use super::super::Context;
use super::super::logs::compress;
use super::{FileContent, Growth, Warnings, open_file};
use crate::manifest::{ComponentKind, ComponentManifest};
use crate::tree::filter::Filter;
use crate::tree::listing::{FirstNames, Listing, entry_of, root_folder};
use crate::tree::metadata::MetadataReader;
use crate::tree::walk::{LeftOut, Options, Reason, Step, Walk};
use crate::{Error, Result};
use rustix::fs::{Mode, OFlags, Stat, fstat};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use vault::{Entry, EntryKind, EntryWriter, Outcome};

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
        let (stat, only_on_the_way) = (found.stat, found.only_on_the_way);
        let path = found.path.clone();
        let (warnings, context) = (&mut self.warnings, self.context);
        let mut warning = |error| {
            warnings.missing(context, format!("{}: its extended attributes could not be read: {error}", show(&path)));
        };
        let entry = match entry_of(walk, found, &mut self.metadata, &mut warning) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.warnings.missing(context, format!("{}: left out: {error}", show(&path)));
                return Ok(());
            }
        };
        self.on_the_way.retain(|folder| {
            path.starts_with(folder.path.as_bytes()) && path.get(folder.path.as_bytes().len()) == Some(&b'/')
        });
        if only_on_the_way {
            self.on_the_way.push(entry);
            return Ok(());
        }
        for folder in std::mem::take(&mut self.on_the_way) {
            self.hand_over(folder)?;
        }
        if matches!(entry.kind, EntryKind::File { .. }) { self.file(walk, entry, &stat) } else { self.hand_over(entry) }
    }

    /// An entry without content.
    fn hand_over(&mut self, entry: Entry) -> Result<()> {
        self.writer.write(&entry, None)?;
        self.taken(&entry, 0);
        Ok(())
    }

    fn file(&mut self, walk: &Walk<'_>, mut entry: Entry, stat: &Stat) -> Result<()> {
        match self.style {
            Style::Tree => {
                if let Some(target) = self.first_names.earlier(&entry) {
                    entry.kind = EntryKind::HardLink { target };
                    return self.hand_over(entry);
                }
                self.content(walk, entry, stat, Growth::Change)
            }
            Style::Logs if self.context.deduplicating || !compress::is_wanted(walk) => {
                self.content(walk, entry, stat, Growth::Allowed)
            }
            Style::Logs => self.compressed(walk, entry),
        }
    }

    fn content(&mut self, walk: &Walk<'_>, entry: Entry, stat: &Stat, growth: Growth) -> Result<()> {
        let mut content = FileContent::new(walk.folder(), walk.name(), stat, growth);
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
        let opened = open_file(walk.folder(), walk.name()).and_then(|file| Ok((fstat(&file)?, file)));
        let (stat, file) = match opened {
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

fn show(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}
