//! The application's configuration files: a list, not a tree.
//!
//! Listed files that do not exist are left out; that none of them exists is worth a warning. `.env` and its kind are
//! refused, because a backup of the secrets that open the backups helps nobody but a thief.

use super::files::{FileContent, Growth, Warnings, open_root};
use super::{Context, Source};
use crate::config::component::ConfigFilesSettings;
use crate::manifest::{ComponentKind, ComponentManifest};
use crate::tree::is_secret;
use crate::tree::listing::{Listing, root_folder};
use crate::tree::metadata::MetadataReader;
use crate::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use vault::{Entry, EntryKind, EntryPath, EntryWriter, Outcome};

/// Reads the listed files.
pub struct ConfigSource {
    name: String,
    settings: ConfigFilesSettings,
    files: BTreeSet<EntryPath>,
}

impl ConfigSource {
    /// A path that leaves the application's folder, or a file of secrets, is an [`ErrorKind::Config`].
    pub fn new(name: impl Into<String>, settings: ConfigFilesSettings) -> Result<Self> {
        let files = listed_files(&settings)?;
        Ok(Self { name: name.into(), settings, files })
    }
}

/// The listed files as safe paths.
pub(crate) fn listed_files(settings: &ConfigFilesSettings) -> Result<BTreeSet<EntryPath>> {
    let path = |file: &String| {
        let path = EntryPath::new(file.as_bytes()).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("{file:?} cannot be a file of a config component"),
                "List paths relative to the application's folder, without `..`: `prisma/schema.prisma`.",
            )
        })?;
        if path.as_bytes().split(|&b| b == b'/').any(is_secret) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{file:?} holds secrets and is never backed up"),
                "Remove it from `files`; list `.env.example` instead, and keep the secrets in a password manager.",
            ));
        }
        Ok(path)
    };
    settings.files.iter().map(path).collect()
}

impl Source for ConfigSource {
    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        let root = open_root(&self.name, &self.settings.path)?;
        let folder = root_folder(&root)
            .map_err(|cause| Error::io(format!("reading the folder {}", self.settings.path.display()), cause))?;
        let mut run = Run {
            context,
            writer,
            listing: Listing::new(context.hash_key),
            warnings: Warnings::default(),
            metadata: MetadataReader::new(),
        };
        for path in &self.files {
            context.progress.check_cancelled()?;
            run.file(&root, path)?;
        }
        if run.listing.entries() == 0 {
            let text = format!("none of the listed files exists in {}", self.settings.path.display());
            run.warnings.missing(context, text);
        }
        let (state, warnings) = run.warnings.finish();
        Ok(ComponentManifest {
            name: self.name.clone(),
            kind: ComponentKind::Config,
            export: None,
            state,
            entries: run.listing.entries(),
            bytes: run.listing.bytes(),
            warnings,
            figures: run.listing.figures(Some(folder)),
        })
    }
}

struct Run<'a> {
    context: &'a Context<'a>,
    writer: &'a mut dyn EntryWriter,
    listing: Listing,
    warnings: Warnings,
    metadata: MetadataReader,
}

impl Run<'_> {
    fn file(&mut self, root: &OwnedFd, path: &EntryPath) -> Result<()> {
        match self.entry(root, path) {
            Ok(Some((folder, name, stat, entry))) => self.hand_over(&folder, &name, &stat, &entry),
            Ok(None) => Ok(()),
            Err(error) => {
                self.warnings.missing(self.context, format!("{path}: could not be read: {error}"));
                Ok(())
            }
        }
    }

    /// The entry and where its content is; `None` when there is no such file.
    fn entry(&mut self, root: &OwnedFd, path: &EntryPath) -> std::io::Result<Option<Located>> {
        let (parent, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match openat(root, parent, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            other => other?,
        };
        let stat = match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File { size_bytes: Some(stat.st_size as u64) },
            FileType::Symlink => EntryKind::Symlink { target: readlinkat(&folder, &name, Vec::new())?.into_bytes() },
            _ => return Err(std::io::Error::other("it is not a file: use a component of kind `files` for folders")),
        };
        let (mut metadata, error) = self.metadata.read(&folder, &name, &stat);
        if let Some(error) = error {
            let text = format!("{path}: its extended attributes could not be read: {error}");
            self.warnings.missing(self.context, text);
        }
        metadata.sparse &= matches!(kind, EntryKind::File { .. });
        Ok(Some((folder, name, stat, Entry { path: path.clone(), kind, metadata })))
    }

    fn hand_over(&mut self, folder: &OwnedFd, name: &CString, stat: &rustix::fs::Stat, entry: &Entry) -> Result<()> {
        let mut content = FileContent::new(folder, name, *stat, Growth::Change);
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        let outcome = self.writer.write(entry, if is_file { Some(&mut content) } else { None })?;
        let changed = content.changed();
        let bytes = match outcome {
            Outcome::Stored { bytes, .. } | Outcome::Unchanged { bytes } => bytes * u64::from(is_file),
            Outcome::Unreadable(error) => {
                self.warnings.missing(self.context, format!("{}: could not be read: {error}", entry.path));
                return Ok(());
            }
        };
        if let Some(why) = changed {
            self.warnings.missing(self.context, format!("{}: {why}", entry.path));
        }
        self.listing.add(entry, bytes);
        self.context.progress.entries(1);
        Ok(())
    }
}

type Located = (OwnedFd, CString, rustix::fs::Stat, Entry);

/// The folder (`.` for the application's own) and the name in it.
fn split(path: &EntryPath) -> (&[u8], CString) {
    let bytes = path.as_bytes();
    let (parent, name) = match bytes.iter().rposition(|&b| b == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b"."[..], bytes),
    };
    (parent, CString::new(name).unwrap_or_default())
}
