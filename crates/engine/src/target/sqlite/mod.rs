//! Puts `sqlite` components back.
//!
//! A native entry is written beside the live database as it is, a JSON document is rebuilt there; either is then checked
//! and measured with the code that measured the source (or, byte for byte the file that was measured then, known by its
//! hash). The exchange itself is [`exchange`]'s. Beside the live database
//! lie, until [`discard`](Target::discard): `<db>.strongroom-<id>` (what was restored) and `<db>.strongroom-<id>-before`.

mod exchange;
mod holders;
pub(crate) mod rebuild;
mod receive;
mod state;

pub use exchange::STEPS;

use super::{Context, Place, Target, TargetPlan};
use crate::config::component::SqliteSettings;
use crate::manifest::{ComponentKind, ComponentManifest, DatabaseFigures, Figures, TableFigures};
use crate::source::sqlite::capture::{free_bytes, remove};
use crate::source::sqlite::image::Image;
use crate::source::sqlite::measure::{Measured, measure};
use crate::source::sqlite::open::{BUSY_TIMEOUT_MS, beside, explain, open_immutable, open_live};
use crate::source::sqlite::{schema, turn};
use crate::{Error, ErrorKind, Result};
use exchange::{Exchange, create_empty, looks_like_sqlite, read_head};
use state::{Side, folder_of, sync_folder_of};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vault::{Entry, EntryKind, Metadata};

/// A SQLite database as a component to be put back.
pub struct SqliteTarget {
    name: String,
    settings: SqliteSettings,
    place: Place,
    received: Option<Metadata>,
    /// What the backup says of the file that it holds.
    expected: Option<DatabaseFigures>,
    /// What was written of a native entry.
    image: Option<Image>,
    /// The file in a [`Place::Folder`], once its name is known.
    in_folder: Option<PathBuf>,
}

impl SqliteTarget {
    /// A target of this name. [`Place::Database`] is refused: SQLite has no servers.
    pub fn new(name: impl Into<String>, settings: SqliteSettings, place: Place) -> Result<Self> {
        if matches!(place, Place::Database { .. }) {
            return Err(Error::new(
                ErrorKind::Usage,
                "a SQLite database cannot be restored into a server's database",
                "Name a folder.",
            ));
        }
        Ok(Self { name: name.into(), settings, place, received: None, expected: None, image: None, in_folder: None })
    }

    /// The restored file as it lies beside the live one or in its folder, for a drill's own questions
    /// ([`query`](crate::source::sqlite::query)). Known once the entry has come.
    pub fn restored_path(&self) -> Result<PathBuf> {
        match &self.place {
            Place::Live { restore_id, .. } => Ok(beside(&self.live(), &format!(".strongroom-{restore_id}"))),
            _ => self.in_folder.clone().ok_or_else(|| {
                Error::new(ErrorKind::NotABackup, "the backup holds no database", "Choose another backup.")
            }),
        }
    }

    /// The live file, with symbolic links followed: SQLite keeps its journals beside the real one. It may be missing.
    fn live(&self) -> PathBuf {
        let path = &self.settings.path;
        if let Ok(real) = fs::canonicalize(path) {
            return real;
        }
        let folder = folder_of(path);
        // On a new machine not even the folder is there yet.
        fs::canonicalize(&folder).unwrap_or(folder).join(path.file_name().unwrap_or_default())
    }

    fn exchange<'a>(&self, context: &Context<'a>) -> Result<Exchange<'a>> {
        let Place::Live { restore_id, state_folder } = &self.place else {
            return Err(Error::internal("a restore elsewhere has nothing to exchange"));
        };
        let live = self.live();
        let restored = beside(&live, &format!(".strongroom-{restore_id}"));
        Ok(Exchange {
            before: beside(&restored, "-before"),
            restored,
            live,
            state_file: state_folder.join(format!("sqlite-{}.json", hex::encode(&self.name))),
            timeout: Duration::from_millis(self.settings.busy_timeout_ms.unwrap_or(BUSY_TIMEOUT_MS)),
            progress: context.progress,
        })
    }

    /// Where the entry is written.
    fn prepare_place(&mut self, file_name: &OsStr) -> Result<PathBuf> {
        if let Place::Folder { path } = &self.place {
            let file = path.join(file_name);
            if file.exists() {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("{} exists already", file.display()),
                    "Restore into an empty folder.",
                ));
            }
            self.in_folder = Some(file);
        }
        let path = self.restored_path()?;
        let folder = folder_of(&path);
        fs::create_dir_all(&folder).map_err(|cause| Error::io(format_args!("creating {}", folder.display()), cause))?;
        for suffix in ["", "-wal", "-shm", "-journal"] {
            remove(&beside(&path, suffix))?;
        }
        create_empty(&path)?;
        Ok(path)
    }

    /// Mode, owner and time as they were; in a folder only, beside a live database nobody else may read it.
    fn dress(&self, path: &Path, file: &File) -> Result<()> {
        let (Place::Folder { .. }, Some(metadata)) = (&self.place, &self.received) else { return Ok(()) };
        let dress = || -> io::Result<()> {
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(path, Some(metadata.uid), Some(metadata.gid))?;
            }
            file.set_permissions(fs::Permissions::from_mode(metadata.mode & 0o777))?;
            let time = u64::try_from(metadata.modified.seconds).unwrap_or(0);
            file.set_modified(std::time::UNIX_EPOCH + Duration::new(time, metadata.modified.nanoseconds))
        };
        dress().map_err(|cause| Error::io(format_args!("giving {} its owner, mode and time", path.display()), cause))
    }

    /// What lies at `path`. A file that is, byte for byte, the one that was measured for the backup has its figures; any
    /// other is measured.
    fn figures(&self, path: &Path, image: Option<Image>, context: &Context<'_>) -> Result<DatabaseFigures> {
        let expected = self.expected.as_ref().filter(|figures| figures.image_seal.is_some());
        if let (Some(expected), Some(image)) = (expected, image)
            && image.seal(expected).ok() == expected.image_seal
        {
            return Ok(expected.clone());
        }
        let Measured { figures, findings, .. } = measure(path, path, context.hash_key, context.progress)?;
        findings.warnings.iter().for_each(|warning| context.progress.warning(warning));
        Ok(figures)
    }

    fn inspect_live(&self, plan: &mut TargetPlan) -> Result<()> {
        let live = self.live();
        plan.clients = holders::holders(&live);
        plan.replaces = Some(live.display().to_string());
        let folder = existing_folder(&live);
        if rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_err() {
            plan.obstacles.push(format!(
                "this user may not write in {}: run as the user that owns it, or give it the right",
                folder.display()
            ));
        }
        plan.free_bytes = Some(free_bytes(&folder)?);
        let size = fs::metadata(&live).map_or(0, |found| found.len());
        // What is staged, what was before, and SQLite's journal or WAL while the pages are exchanged.
        plan.needs_bytes = plan.needs_bytes * 2 + size * 2;
        if !live.exists() {
            plan.warnings.push(format!("{} does not exist: there is nothing to replace", live.display()));
            return Ok(());
        }
        match count_rows(&live) {
            Ok(figures) => plan.live = Some(Figures::Database(figures)),
            Err(error) if error.kind() != ErrorKind::Busy && is_ruined(&live) => {
                plan.warnings.push(format!("{error}; it is moved aside as it is"));
                if !plan.clients.is_empty() {
                    plan.obstacles.push(format!(
                        "the damaged database is open in {}: stop the application first",
                        plan.clients.join(", ")
                    ));
                }
            }
            Err(error) => plan.warnings.push(format!("the live database could not be read: {error}")),
        }
        Ok(())
    }
}

impl Target for SqliteTarget {
    fn inspect(&mut self, _context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        let mut plan = TargetPlan { needs_bytes: manifest.bytes, ..TargetPlan::default() };
        if manifest.kind != ComponentKind::Sqlite {
            plan.obstacles.push(format!("the backup's component {} is no SQLite database", manifest.name));
        }
        if let Figures::Database(figures) = &manifest.figures {
            self.expected = Some(figures.clone());
        }
        match &self.place {
            Place::Folder { path } => {
                plan.free_bytes = Some(free_bytes(&existing_folder(&path.join("file")))?);
            }
            _ => self.inspect_live(&mut plan)?,
        }
        if let Some(free) = plan.free_bytes.filter(|free| *free < plan.needs_bytes) {
            plan.obstacles.push(format!(
                "{} bytes are needed beside the live database, {free} are free: make room first",
                plan.needs_bytes
            ));
        }
        Ok(plan)
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        if self.received.is_some() || !matches!(entry.kind, EntryKind::File { .. }) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("component {}: a SQLite database is one file, the backup also holds {}", self.name, entry.path),
                "This backup was not made of a SQLite component.",
            ));
        }
        let reading = |cause| vault::error::from_io(format!("reading {} from the backup", entry.path), cause);
        let head = read_head(content, 16).map_err(reading)?;
        let is_json = head.first() == Some(&b'{');
        if !is_json && !looks_like_sqlite(&head) {
            return Err(Error::new(
                ErrorKind::NotABackup,
                format!("{} is neither a SQLite database nor a JSON document of one", entry.path),
                "Choose another backup.",
            ));
        }
        let native_name = OsStr::from_bytes(entry.path.file_name());
        let own_name = self.settings.path.file_name().unwrap_or(native_name).to_owned();
        let path = self.prepare_place(if is_json { &own_name } else { native_name })?;
        let content = head.as_slice().chain(content);
        if is_json {
            rebuild::rebuild(content, &path, context.progress)?;
        } else {
            self.image = Some(receive::receive(content, &path, context.hash_key)?);
        }
        self.received = Some(entry.metadata.clone());
        Ok(())
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
        let path = self.restored_path()?;
        if self.received.is_none() {
            return Err(Error::new(ErrorKind::NotABackup, "the backup holds no database", "Choose another backup."));
        }
        let doing = |cause| Error::io(format_args!("completing {}", path.display()), cause);
        let file = File::options().write(true).open(&path).map_err(doing)?;
        self.dress(&path, &file)?;
        let image = self.image.take();
        let figures = std::thread::scope(|scope| {
            let syncing = scope.spawn(|| file.sync_all().map_err(doing).and_then(|()| sync_folder_of(&path)));
            let figures = self.figures(&path, image, context);
            syncing.join().unwrap_or_else(|_| Err(Error::internal("syncing a database ended abruptly"))).and(figures)
        })?;
        Ok(Figures::Database(figures))
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        let exchange = self.exchange(context)?;
        let _turn = turn::take(&exchange.live);
        exchange.make_live(Side::Restored)
    }

    fn swap_back(&mut self, context: &Context<'_>) -> Result<()> {
        let exchange = self.exchange(context)?;
        let _turn = turn::take(&exchange.live);
        exchange.make_live(Side::Before)
    }

    fn discard(&mut self, context: &Context<'_>) -> Result<()> {
        if !matches!(self.place, Place::Live { .. }) {
            return Ok(());
        }
        let exchange = self.exchange(context)?;
        let _turn = turn::take(&exchange.live);
        exchange.settle_pending()?;
        remove_all_of(&exchange.restored)?;
        remove(&exchange.state_file)
    }
}

/// The nearest folder above `path` that is there already.
fn existing_folder(path: &Path) -> PathBuf {
    folder_of(path).ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

/// Removes every file whose name begins with that of the restored database: its slots, journals and what was kept.
fn remove_all_of(restored: &Path) -> Result<()> {
    let folder = folder_of(restored);
    let prefix = restored.file_name().unwrap_or_default().as_bytes();
    let listing = |cause| Error::io(format_args!("listing {}", folder.display()), cause);
    for entry in fs::read_dir(&folder).map_err(listing)? {
        let entry = entry.map_err(listing)?;
        if entry.file_name().as_bytes().starts_with(prefix) {
            remove(&entry.path())?;
        }
    }
    sync_folder_of(restored)
}

/// Whether not even the schema can be read, whatever lies beside the file.
fn is_ruined(live: &Path) -> bool {
    let read = |connection: rusqlite::Connection| {
        let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        read.map_err(|cause| explain(live, cause))
    };
    open_immutable(live).and_then(read).is_err()
}

/// Row counts of the live database; hashes would take as long as a backup.
fn count_rows(live: &Path) -> Result<DatabaseFigures> {
    let _turn = turn::take(live);
    // A WAL database that nobody has open would get a `-wal` and a `-shm` from being looked at.
    let at_rest = !beside(live, "-wal").exists() && !beside(live, "-journal").exists();
    let connection = if at_rest && holders::holders(live).is_empty() {
        open_immutable(live)?
    } else {
        open_live(live, Duration::from_secs(1))?
    };
    let mut tables = Vec::new();
    for table in schema::objects(&connection, live)?.into_iter().filter(schema::Object::is_table) {
        let sql = format!("SELECT count(*) FROM {}", schema::qualified(&table.name));
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(|cause| explain(live, cause))?;
        tables.push(TableFigures { schema: None, name: table.name, rows: rows.unsigned_abs(), content_hash: None });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(DatabaseFigures {
        engine: "sqlite".to_owned(),
        engine_version: rusqlite::version().to_owned(),
        tables,
        ..DatabaseFigures::default()
    })
}
