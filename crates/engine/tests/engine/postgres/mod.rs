//! PostgreSQL against a real server. `torture.sql` holds everything that a dump can get wrong.

mod drills;
mod generated;
mod refusals;
mod round_trip;
mod swap;
mod tls;

use engine::config::component::ServerDatabaseSettings;
use engine::manifest::{ComponentManifest, Export, Figures};
use engine::source::postgres::{ClientSettings, PostgresSource};
use engine::source::{self, Source};
use engine::target::postgres::PostgresTarget;
use engine::target::{self, Place, Target};
use engine::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use testkit::postgres::Server;
use vault::{Committed, Content, Entry, EntryWriter, Outcome, Progress, Silent};

pub const TORTURE: &str = include_str!("torture.sql");
const HASH_KEY: engine::hash::HashKey = engine::hash::HashKey::new([9; 32]);

/// Unpacks entries into a folder, as `tar -x` would.
pub struct FolderWriter<'a> {
    pub folder: &'a Path,
    pub order: Vec<Entry>,
}

impl EntryWriter for FolderWriter<'_> {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        let path = self.folder.join(entry.path.to_os_path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::create(&path).unwrap();
        let mut reader = content.unwrap().open().unwrap();
        let bytes = std::io::copy(&mut reader, &mut file).map_err(|error| vault::error::from_io("copying", error))?;
        self.order.push(entry.clone());
        Ok(Outcome::Stored { bytes, padded_bytes: 0 })
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> Result<Committed> {
        Err(Error::internal("not here"))
    }
}

/// An export that was unpacked.
pub struct Unpacked {
    pub folder: tempfile::TempDir,
    pub order: Vec<Entry>,
    pub manifest: ComponentManifest,
}

pub fn settings(url: &str) -> ServerDatabaseSettings {
    ServerDatabaseSettings {
        url: url.to_owned(),
        export: None,
        connections: Some(3),
        content_hash_bytes_max: None,
        drill_url: None,
        tools_folder: None,
    }
}

pub fn client() -> ClientSettings {
    ClientSettings { user: Some("postgres".to_owned()), ..ClientSettings::default() }
}

pub fn backup_with(settings: &ServerDatabaseSettings, export: Export, deduplicating: bool) -> Result<Unpacked> {
    let scratch = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let context = source::Context {
        progress: &Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        deduplicating,
    };
    let mut source = PostgresSource::new("database", settings, client(), export);
    let mut writer = FolderWriter { folder: folder.path(), order: Vec::new() };
    source.capture(&context)?;
    let manifest = source.read(&context, &mut writer)?;
    let order = writer.order;
    Ok(Unpacked { folder, order, manifest })
}

pub fn backup(url: &str, export: Export) -> Unpacked {
    backup_with(&settings(url), export, false).unwrap()
}

/// Puts everything beside and returns what was measured there.
pub fn fill(target: &mut PostgresTarget, unpacked: &Unpacked, progress: &dyn Progress) -> Result<Figures> {
    let context = context(progress);
    let plan = target.inspect(&context, &unpacked.manifest)?;
    assert_eq!(plan.obstacles, Vec::<String>::new());
    for entry in &unpacked.order {
        let mut content = File::open(unpacked.folder.path().join(entry.path.to_os_path())).unwrap();
        target.entry(&context, entry, &mut content as &mut dyn Read)?;
    }
    target.finish(&context)
}

pub fn context(progress: &dyn Progress) -> target::Context<'_> {
    target::Context { progress, hash_key: HASH_KEY, disconnect_clients: false }
}

pub fn restore_to(url: &str, unpacked: &Unpacked) -> Result<Figures> {
    let place = Place::Database { url: url.to_owned() };
    let mut target = PostgresTarget::new("database", &settings(url), client(), place);
    fill(&mut target, unpacked, &Silent)
}

/// Loads the torture schema into a new database.
pub fn torture(server: &Server, database: &str) {
    server.sql("postgres", &format!("CREATE DATABASE \"{database}\""));
    server.sql(database, TORTURE);
}
