//! MySQL and MariaDB components, against a real MariaDB.

mod by_hand;
mod capture;
mod property;
mod restore;
mod round_trip;
mod swap;
mod tls;

use engine::config::component::ServerDatabaseSettings;
use engine::id::Id;
use engine::manifest::{ComponentManifest, Export, Figures};
use engine::source::mysql::MysqlSource;
use engine::source::{self, Source};
use engine::target::mysql::MysqlTarget;
use engine::target::{self, Place, Target};
use std::path::Path;
use std::sync::Mutex;
use vault::transfer::{Content, EntryWriter, Outcome};
use vault::{Committed, Entry, Progress, Result};

pub const HASH_KEY: engine::hash::HashKey = engine::hash::HashKey::new([7; 32]);

/// A backup in memory.
#[derive(Default, Clone)]
pub struct Kept {
    pub entries: Vec<(Entry, Vec<u8>)>,
}

impl EntryWriter for Kept {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        let mut bytes = Vec::new();
        let read = content.unwrap().open().and_then(|mut content| content.read_to_end(&mut bytes));
        match read {
            Ok(_) => {
                let length = bytes.len() as u64;
                self.entries.push((entry.clone(), bytes));
                Ok(Outcome::Stored { bytes: length, padded_bytes: 0 })
            }
            Err(cause) => Err(vault::error::from_io("reading content", cause)),
        }
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> Result<Committed> {
        unreachable!("a source does not commit")
    }
}

impl Kept {
    pub fn text(&self, path: &str) -> String {
        let found = self.entries.iter().find(|(entry, _)| entry.path.to_string() == path);
        String::from_utf8(found.unwrap_or_else(|| panic!("no entry {path}")).1.clone()).unwrap()
    }

    pub fn write_to(&self, folder: &Path) {
        for (entry, bytes) in &self.entries {
            let path = folder.join(entry.path.to_os_path());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

/// Remembers warnings and steps; calls `at` at each step.
#[derive(Default)]
pub struct Listener<'a> {
    pub warnings: Mutex<Vec<String>>,
    pub at: Option<Box<dyn Fn(&'static str) + Send + Sync + 'a>>,
}

impl Progress for Listener<'_> {
    fn warning(&self, message: &str) {
        self.warnings.lock().unwrap().push(message.to_owned());
    }

    fn step(&self, name: &'static str) {
        if let Some(at) = &self.at {
            at(name);
        }
    }
}

pub fn settings(url: &str) -> ServerDatabaseSettings {
    ServerDatabaseSettings {
        url: url.to_owned(),
        export: None,
        connections: None,
        content_hash_bytes_max: None,
        drill_url: None,
        tools_folder: None,
    }
}

pub fn try_backup(settings: &ServerDatabaseSettings, export: Export) -> Result<(ComponentManifest, Kept)> {
    let scratch = tempfile::tempdir().unwrap();
    let listener = Listener::default();
    let context = source::Context {
        progress: &listener,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: "2026-11-22T02:00:00Z".parse().unwrap(),
        deduplicating: true,
    };
    let mut source = MysqlSource::new("database", settings, Some(export))?;
    source.capture(&context)?;
    let mut kept = Kept::default();
    let manifest = source.read(&context, &mut kept)?;
    Ok((manifest, kept))
}

pub fn backup(url: &str, export: Export) -> (ComponentManifest, Kept) {
    try_backup(&settings(url), export).unwrap()
}

pub fn context(progress: &dyn Progress) -> target::Context<'_> {
    target::Context { progress, hash_key: HASH_KEY, disconnect_clients: false }
}

/// Puts all entries into the target and completes it.
pub fn fill(target: &mut MysqlTarget, kept: &Kept) -> Result<Figures> {
    let listener = Listener::default();
    let context = context(&listener);
    for (entry, bytes) in &kept.entries {
        target.entry(&context, entry, &mut bytes.as_slice())?;
    }
    target.finish(&context)
}

/// Restores into a new database and compares with the manifest.
pub fn restore_new(url: &str, manifest: &ComponentManifest, kept: &Kept) {
    let place = Place::Database { url: url.to_owned() };
    let mut target = MysqlTarget::new("database", &settings(url), &place).unwrap();
    let listener = Listener::default();
    let plan = target.inspect(&context(&listener), manifest).unwrap();
    assert_eq!(plan.obstacles, Vec::<String>::new());
    let figures = fill(&mut target, kept).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
}

/// Shows the first line that differs, not two whole dumps.
#[track_caller]
pub fn assert_same(found: &str, expected: &str, when: &str) {
    let mut found_lines = found.lines();
    for line in expected.lines() {
        assert_eq!(found_lines.next(), Some(line), "{when}");
    }
    assert_eq!(found_lines.next(), None, "{when}");
}

pub fn id() -> Id {
    Id::generate().unwrap()
}
