//! Reads `sqlite` components.
//!
//! `capture` takes a consistent view: a private copy, or the application's file under its lock as long as nobody waits for
//! that. Everything else happens on the view: the check of its integrity, the figures and the export, side by side. So the
//! application is disturbed for the time of one copy and no longer, and the figures are those of exactly the bytes that are
//! stored. The price is room for a second database in the scratch folder.
//!
//! Exports: `native` is the file itself, pages in their places; `json` is the document of
//! [`export::json`](crate::export::json).

pub(crate) mod capture;
mod collations;
mod export;
pub(crate) mod image;
mod indexes;
pub(crate) mod integrity;
mod locked;
pub(crate) mod measure;
pub(crate) mod open;
mod pages;
mod prelude;
mod query;
mod record;
mod rows;
mod rules;
pub(crate) mod schema;
pub(crate) mod turn;
mod view;

pub use export::write_document;
#[doc(hidden)]
pub use pages::fuzz as fuzz_pages;
pub use query::query;

use super::{Context, Source};
use crate::config::component::SqliteSettings;
use crate::manifest::{ComponentKind, ComponentManifest, Export, Figures, State};
use crate::{Error, ErrorKind, Result};
use export::JsonContent;
use image::{Image, ImageReader};
use measure::Measured;
use prelude::Prelude;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use vault::{Entry, EntryKind, EntryPath, EntryWriter, Hinted, Metadata, Outcome, Structure, Timestamp};
use view::View;

/// A SQLite database as a component.
pub struct SqliteSource {
    name: String,
    settings: SqliteSettings,
    captured: Option<Captured>,
    /// Gives up the lock or removes the copy: a large file takes its time.
    leaving: Option<JoinHandle<()>>,
}

struct Captured {
    view: View,
    prelude: Prelude,
    metadata: Metadata,
}

impl SqliteSource {
    /// A source of this name. Nothing is opened yet.
    pub fn new(name: impl Into<String>, settings: SqliteSettings) -> Self {
        Self { name: name.into(), settings, captured: None, leaving: None }
    }

    /// Bytes, and what they come to.
    fn write_native(
        &self,
        context: &Context<'_>,
        captured: &Captured,
        writer: &mut dyn EntryWriter,
    ) -> Result<(u64, Option<Image>)> {
        let size = captured.view.size_bytes();
        let file_name = self.settings.path.file_name().unwrap_or_default();
        let entry = Entry {
            path: EntryPath::new(file_name.as_bytes())?,
            kind: EntryKind::File { size_bytes: Some(size) },
            metadata: captured.metadata.clone(),
        };
        let mut image = ImageReader::new(captured.view.reader(), context.hash_key);
        let structure = Structure::Pages { page_size_bytes: captured.prelude.page_size_bytes() };
        let mut content = Hinted { content: &mut image, structure };
        let bytes = stored(writer.write(&entry, Some(&mut content))?, Some(size))?;
        Ok((bytes, Some(image.image())))
    }

    fn write_json(&self, context: &Context<'_>, captured: &Captured, writer: &mut dyn EntryWriter) -> Result<u64> {
        let path = EntryPath::new(format!("{}.json", self.name))?;
        let modified = Timestamp {
            seconds: context.started_at.as_second(),
            nanoseconds: context.started_at.subsec_nanosecond().unsigned_abs(),
        };
        let entry = Entry::generated(path, None, modified);
        let mut content = JsonContent::new(captured.view.copied()?, &self.name);
        let mut hinted = Hinted { content: &mut content, structure: Structure::Rows { by_key: true } };
        let outcome = writer.write(&entry, Some(&mut hinted));
        // The export's own failure says more than what the writer makes of it.
        match content.take_failure() {
            Some(error) => Err(error),
            None => stored(outcome?, None),
        }
    }
}

/// A view is stored whole or not at all.
fn stored(outcome: Outcome, size: Option<u64>) -> Result<u64> {
    match outcome {
        Outcome::Stored { bytes, padded_bytes: 0 } if size.is_none_or(|size| size == bytes) => Ok(bytes),
        Outcome::Unreadable(cause) => Err(Error::io("reading the database", cause)),
        other => Err(Error::internal(format!("the database was not stored whole: {other:?}"))),
    }
}

impl Source for SqliteSource {
    fn capture(&mut self, context: &Context<'_>) -> Result<()> {
        let within = |error: Error| error.within(format_args!("component {}", self.name));
        let live = real_path(&self.settings.path).map_err(within)?;
        let metadata = entry_metadata(&live, context).map_err(within)?;
        let copy = context.scratch.join(format!("{}.sqlite", hex::encode(&self.name)));
        let timeout = Duration::from_millis(self.settings.busy_timeout_ms.unwrap_or(open::BUSY_TIMEOUT_MS));
        context.progress.phase(&format!("capturing {}", self.name), fs::metadata(&live).ok().map(|found| found.len()));
        let (view, prelude) = capture::capture(&live, &copy, timeout).map_err(within)?;
        self.captured = Some(Captured { view, prelude, metadata });
        Ok(())
    }

    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        let captured = self.captured.take().ok_or_else(|| Error::internal("read before capture"))?;
        let export = self.settings.export.unwrap_or(Export::Native);
        // A damaged database, or a copy that failed, explains a failed export, not the other way round.
        let within = |error: Error| error.within(format_args!("component {}", self.name));
        if export == Export::Json {
            captured.view.copied().map_err(within)?;
        }
        let (written, measured) = std::thread::scope(|scope| {
            let measuring = scope.spawn(|| {
                let Captured { view, prelude, .. } = &captured;
                measure::measure_view(view, prelude, &self.settings.path, context.hash_key, context.progress)
            });
            let written = match export {
                Export::Native => self.write_native(context, &captured, writer),
                Export::Json => self.write_json(context, &captured, writer).map(|bytes| (bytes, None)),
            };
            let abrupt = |_| Err(Error::internal("measuring the database ended abruptly"));
            (written, measuring.join().unwrap_or_else(abrupt))
        });
        let Measured { mut figures, mut findings, asked } = measured.map_err(within)?;
        tracing::debug!(component = self.name, tables = ?asked, "checked by SQLite itself");
        let (bytes, image) = written.map_err(within)?;
        captured.view.confirm().map_err(within)?;
        let sealed = image.map(|image| image.seal(&figures)).transpose();
        figures.image_seal =
            sealed.map_err(|cause| Error::internal(format!("writing a database's figures: {cause}")))?;
        if export == Export::Json
            && let Err(error) = export::try_definitions(captured.view.copied()?)
        {
            findings.json_obstacles.push(error.message().to_owned());
        }
        if export == Export::Json && !findings.json_obstacles.is_empty() {
            return Err(within(not_for_json(&findings.json_obstacles)));
        }
        // The next component may need the room.
        self.leaving = Some(std::thread::spawn(move || drop(captured)));
        findings.warnings.iter().for_each(|warning| context.progress.warning(warning));
        Ok(ComponentManifest {
            name: self.name.clone(),
            kind: ComponentKind::Sqlite,
            export: Some(export),
            state: State::Succeeded,
            entries: 1,
            bytes,
            warnings: findings.warnings,
            figures: Figures::Database(figures),
        })
    }
}

impl Drop for SqliteSource {
    /// The copy is gone before the run's temporary folder is.
    fn drop(&mut self) {
        let _ = self.leaving.take().map(JoinHandle::join);
    }
}

fn not_for_json(obstacles: &[String]) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the database cannot be put back from JSON: {}", obstacles.join("; ")),
        "Back it up with `export = \"native\"` in a tar archive or a repository, or correct the rows named.",
    )
}

/// Follows symbolic links: SQLite keeps its journals beside the real file.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path)
        .map_err(|cause| Error::io(format_args!("opening the SQLite database {}", path.display()), cause))
}

/// Mode, owner and time of the live file. Its identity is left out and its change time is the run's: what is stored is
/// the view, which no writer may take for unchanged because the file looks so (in WAL mode it does).
fn entry_metadata(live: &Path, context: &Context<'_>) -> Result<Metadata> {
    let found = fs::metadata(live).map_err(|cause| Error::io(format_args!("looking at {}", live.display()), cause))?;
    Ok(Metadata {
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        modified: Timestamp { seconds: found.mtime(), nanoseconds: found.mtime_nsec() as u32 },
        changed: Timestamp {
            seconds: context.started_at.as_second(),
            nanoseconds: context.started_at.subsec_nanosecond().unsigned_abs(),
        },
        links: 1,
        ..Metadata::default()
    })
}
