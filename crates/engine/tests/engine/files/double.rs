//! A backup in memory, and helpers around it.

use engine::config::component::FilesSettings;
use engine::id::Id;
use engine::manifest::{ComponentManifest, Figures};
use engine::source::files::FilesSource;
use engine::source::{self, Source};
use engine::target::{self, Place, Target};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use vault::{
    Attributes, Committed, Content, Entry, EntryKind, EntryPath, EntryWriter, Metadata, Outcome, Progress, Result,
    Silent,
};

pub const HASH_KEY: engine::hash::HashKey = engine::hash::HashKey::new([7; 32]);

type Act = Box<dyn FnMut(&Entry) + Send + Sync>;

/// Keeps entries in memory; a file that is shorter than its entry says is padded, as archive writers do.
#[derive(Default)]
pub struct Memory {
    pub entries: Vec<(Entry, Vec<u8>)>,
    /// Called before the content of a file is read, and again after its first bytes.
    pub while_reading: Option<Act>,
    /// Says of every file that it is unchanged.
    pub knows_all: bool,
}

impl EntryWriter for Memory {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        let EntryKind::File { size_bytes } = entry.kind else {
            self.entries.push((entry.clone(), Vec::new()));
            return Ok(Outcome::Stored { bytes: 0, padded_bytes: 0 });
        };
        if self.knows_all {
            return Ok(Outcome::Unchanged { bytes: size_bytes.unwrap() });
        }
        let mut bytes = Vec::new();
        {
            let mut reader = match content.unwrap().open() {
                Ok(reader) => reader,
                Err(error) => return Ok(Outcome::Unreadable(error)),
            };
            let mut first = [0; 1];
            let length = reader.read(&mut first).unwrap();
            bytes.extend_from_slice(&first[..length]);
            if let Some(act) = &mut self.while_reading {
                act(entry);
            }
            reader.read_to_end(&mut bytes).unwrap();
        }
        let wanted = size_bytes.unwrap() as usize;
        let padded_bytes = wanted.saturating_sub(bytes.len()) as u64;
        bytes.resize(wanted, 0);
        self.entries.push((entry.clone(), bytes));
        Ok(Outcome::Stored { bytes: wanted as u64, padded_bytes })
    }

    fn known_attributes(&mut self, _: &EntryPath, _: u64, _: &Metadata) -> Result<Option<Attributes>> {
        Ok(self.knows_all.then(Attributes::default))
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> Result<Committed> {
        panic!("these tests commit nothing")
    }
}

/// Stops at the nth step, or hears them all.
#[derive(Default)]
pub struct Steps {
    pub heard: Mutex<Vec<&'static str>>,
    pub stop_at: Option<usize>,
}

impl Progress for Steps {
    fn step(&self, name: &'static str) {
        let count = {
            let mut heard = self.heard.lock().unwrap();
            heard.push(name);
            heard.len()
        };
        assert!(self.stop_at != Some(count), "stopped by the test at {name}");
    }
}

pub fn source_context<'a>(progress: &'a dyn Progress, scratch: &'a Path) -> source::Context<'a> {
    source::Context {
        progress,
        scratch,
        hash_key: HASH_KEY,
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        deduplicating: false,
    }
}

pub fn target_context(progress: &dyn Progress) -> target::Context<'_> {
    target::Context { progress, hash_key: HASH_KEY, disconnect_clients: false }
}

pub fn settings(path: &Path) -> FilesSettings {
    FilesSettings { path: path.to_owned(), include: vec![], exclude: vec![], one_file_system: false }
}

pub fn back_up(settings: FilesSettings) -> (Memory, ComponentManifest) {
    let mut source = FilesSource::new("uploads", settings).unwrap();
    read(&mut source)
}

pub fn read(source: &mut dyn Source) -> (Memory, ComponentManifest) {
    let scratch = tempfile::tempdir().unwrap();
    let mut memory = Memory::default();
    let manifest = source.read(&source_context(&Silent, scratch.path()), &mut memory).unwrap();
    (memory, manifest)
}

/// Puts everything beside and compares.
pub fn put(target: &mut dyn Target, memory: &Memory, manifest: &ComponentManifest) -> Figures {
    let context = target_context(&Silent);
    let plan = target.inspect(&context, manifest).unwrap();
    assert_eq!(plan.obstacles, Vec::<String>::new());
    for (entry, bytes) in &memory.entries {
        target.entry(&context, entry, &mut bytes.as_slice()).unwrap();
    }
    let figures = target.finish(&context).unwrap();
    assert_eq!(manifest.differences(&figures), Vec::<String>::new());
    figures
}

pub fn live(state: &Path) -> Place {
    Place::Live { restore_id: Id::parse("0123456789ab").unwrap(), state_folder: state.to_owned() }
}

/// Everything that can be seen of a tree, independently of the code under test. Names of restores are left out.
pub fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains(".strongroom-") {
                continue;
            }
            let found = path.symlink_metadata().unwrap();
            let what = if found.is_symlink() {
                format!("-> {:?}", std::fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes())
            } else if found.is_dir() {
                todo.push(path.clone());
                "folder".to_owned()
            } else if found.is_file() {
                format!("{:?}", blake(&std::fs::read(&path).unwrap()))
            } else {
                "special".to_owned()
            };
            let mut xattrs: Vec<_> = xattr::list(&path)
                .map(|names| names.map(|name| (name.clone(), xattr::get(&path, &name).unwrap())).collect())
                .unwrap_or_default();
            xattrs.sort();
            let time = (found.mtime(), found.mtime_nsec());
            let mode = found.permissions().mode();
            let text = format!("{what} {mode:o} {}:{} {time:?} {} {xattrs:?}", found.uid(), found.gid(), found.nlink());
            seen.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    seen
}

fn blake(bytes: &[u8]) -> (usize, u64) {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    (bytes.len(), hasher.finish())
}

pub fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}
