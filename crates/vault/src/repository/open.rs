//! Making and opening a repository, and what needs no more than its snapshots.

use super::chunk::{Gear, Sizes};
use super::crypto::MasterKey;
use super::files::{Files, damaged_file};
use super::format::FileKind;
use super::format::config::{self, Config};
use super::format::pack::PackedBlob;
use super::format::snapshot::{self, SnapshotFile};
use super::id::Id;
use super::index::Index;
use super::index_load;
use super::keys;
use super::lock::Lock;
use crate::entry::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Fingerprint, Key};
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// Who works here, and a clock: libraries do not ask the system for either.
#[derive(Clone)]
pub struct Environment {
    /// Host name; also tells whose locks can be checked for a living process.
    pub hostname: String,
    /// User name, for snapshots and locks.
    pub username: String,
    /// The time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Environment {
    /// Puts one together.
    pub fn new(
        hostname: impl Into<String>,
        username: impl Into<String>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { hostname: hostname.into(), username: username.into(), now: Arc::new(now) }
    }
}

/// How the engine works. None of it changes what can be read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Limits of a blob's size. Must stay the same for a repository, or everything is stored anew once.
    pub chunk_sizes: Sizes,
    /// About the size of a pack. Up to five of them are in memory while a backup runs.
    pub pack_size_bytes: usize,
    /// How long an exclusive lock waits for others to show up, in stores that may list them later.
    pub lock_settle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { chunk_sizes: Sizes::default(), pack_size_bytes: 8 << 20, lock_settle: Duration::from_millis(200) }
    }
}

/// What opens a repository.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// One of these keys, whose 64 hex digits are the password; the first that fits.
    Keys(&'a [Key]),
    /// A password, for repositories of others.
    Password(&'a str),
}

/// A snapshot in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: Id,
    /// When it was taken.
    pub time: Timestamp,
    /// The snapshot it was compared with.
    pub parent: Option<Id>,
    /// The root tree.
    pub tree: Id,
    /// Where it was taken.
    pub hostname: String,
    /// By whom.
    pub username: String,
    /// Of what.
    pub paths: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// The program that took it; ours begin with `strongroom`.
    pub program_version: String,
    /// Bytes that it added to the store, if whoever took it wrote that down.
    pub stored_bytes: Option<u64>,
}

/// Snapshots that cannot be read, and why.
pub type Unreadable = Vec<(Id, Error)>;

/// An open repository.
pub struct Repository {
    pub(super) files: Files,
    pub(super) config: Config,
    pub(super) environment: Environment,
    pub(super) options: Options,
    /// The key that opened it, if it was no password.
    opened_by: Option<Fingerprint>,
}

impl Repository {
    /// Makes a repository, which must not exist. Its first password is the key's 64 hex digits.
    pub fn init(store: Arc<dyn Store>, key: &Key, environment: Environment, options: Options) -> Result<Self> {
        Self::init_version(store, key, environment, options, 2)
    }

    /// Makes a repository of version 1, which compresses nothing, for tests of what others wrote.
    #[doc(hidden)]
    pub fn init_version(
        store: Arc<dyn Store>,
        key: &Key,
        environment: Environment,
        options: Options,
        version: u32,
    ) -> Result<Self> {
        if store.stat(config::OBJECT_NAME)?.is_some() || !super::files::list(store.as_ref(), FileKind::Key)?.is_empty()
        {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("there is a repository in {} already", store.describe()),
                "Open it, or choose another place.",
            ));
        }
        let config = Config { version, ..Config::generate()? };
        let files = Files { store, key: MasterKey::generate()?, compress: config.compresses() };
        let repository = Self { files, config, environment, options, opened_by: Some(key.fingerprint()) };
        // The key first: a config without a key could never be opened, a key without a config is just litter.
        keys::add(&repository.files, &repository.environment, key.expose_hex().as_bytes())?;
        let sealed = repository.files.key.seal(&repository.config.encode()?)?;
        repository.files.store.put(config::OBJECT_NAME, &sealed)?;
        Ok(repository)
    }

    /// Opens a repository, ours or restic's. No key fits: [`ErrorKind::WrongKey`]; there is none:
    /// [`ErrorKind::NotABackup`].
    pub fn open(store: Arc<dyn Store>, secret: Secret<'_>, environment: Environment, options: Options) -> Result<Self> {
        let (key, opened_by) = match secret {
            Secret::Password(password) => (keys::open(store.as_ref(), &[password.as_bytes()])?.0, None),
            Secret::Keys(candidates) => {
                let digits: Vec<_> = candidates.iter().map(Key::expose_hex).collect();
                let passwords: Vec<&[u8]> = digits.iter().map(|digits| digits.as_bytes()).collect();
                let (key, number) = keys::open(store.as_ref(), &passwords)?;
                (key, Some(candidates[number].fingerprint()))
            }
        };
        let mut sealed = match store.read_all(config::OBJECT_NAME, config::SIZE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_repository(store.as_ref())),
            other => other?,
        };
        let config = Config::decode(
            key.open(&mut sealed)
                .ok_or_else(|| damaged_file("config", "it was not sealed with this repository's key"))?,
        )?;
        let files = Files { store, key, compress: config.compresses() };
        Ok(Self { files, config, environment, options, opened_by })
    }

    /// The repository's random name, the same wherever it is copied.
    pub const fn id(&self) -> Id {
        self.config.id
    }

    /// All snapshots, oldest first. One that cannot be read is an error; see [`list`](Self::list).
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let (snapshots, unreadable) = self.list()?;
        unreadable.into_iter().next().map_or(Ok(snapshots), |(_, error)| Err(error))
    }

    /// All snapshots that can be read, oldest first, and what is wrong with the others.
    pub fn list(&self) -> Result<(Vec<Snapshot>, Unreadable)> {
        let ids = self.files.list(FileKind::Snapshot)?;
        let (mut snapshots, mut unreadable) = (Vec::with_capacity(ids.len()), Vec::new());
        for (id, _) in ids {
            match self.snapshot(id) {
                Ok(snapshot) => snapshots.push(snapshot),
                // Forgotten since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Damaged => unreadable.push((id, error)),
                Err(error) => return Err(error),
            }
        }
        snapshots.sort_by_key(|snapshot| (snapshot.time, snapshot.id));
        Ok((snapshots, unreadable))
    }

    /// One snapshot.
    pub fn snapshot(&self, id: Id) -> Result<Snapshot> {
        let (json, file_bytes) = self.files.load_sized(FileKind::Snapshot, id, snapshot::SIZE_BYTES_MAX)?;
        let file = SnapshotFile::decode(&json)?;
        Ok(Snapshot {
            id,
            time: file.time,
            parent: file.parent,
            tree: file.tree,
            hostname: file.hostname,
            username: file.username,
            paths: file.paths,
            tags: file.tags,
            program_version: file.program_version,
            stored_bytes: file.summary.map(|summary| summary.data_added_packed + file_bytes),
        })
    }

    /// Removes snapshots. What only they used stays until it is pruned. One that is gone already is no error.
    pub fn forget(&self, ids: &[Id]) -> Result<()> {
        let lock = self.lock(false)?;
        for id in ids {
            self.files.remove(FileKind::Snapshot, *id)?;
        }
        lock.release()
    }

    /// Lets a further key open the repository. Returns the key file's id.
    pub fn add_key(&self, key: &Key) -> Result<Id> {
        keys::add(&self.files, &self.environment, key.expose_hex().as_bytes())
    }

    /// Lets `key` open the repository if it does not yet, as after a rotation. Whether a key file was added.
    pub fn ensure_key(&self, key: &Key) -> Result<bool> {
        if self.opened_by == Some(key.fingerprint()) {
            return Ok(false);
        }
        keys::ensure(&self.files, &self.environment, key)
    }

    /// Withdraws a key. Refused if no other of `remaining` opens the repository then. What the old key could read it can
    /// still read wherever a copy of its key file was kept: the key behind all passwords stays the same.
    pub fn remove_key(&self, key: &Key, remaining: &[Key]) -> Result<()> {
        keys::remove(&self.files, key, remaining)
    }

    /// A lock without work, to test what others do meanwhile.
    #[doc(hidden)]
    pub fn lock_for_tests(&self, exclusive: bool) -> Result<TestLock> {
        self.lock(exclusive).map(TestLock)
    }

    pub(super) fn lock(&self, exclusive: bool) -> Result<Lock> {
        let lags = exclusive && !self.files.store.lists_at_once();
        let settle = if lags { self.options.lock_settle } else { Duration::ZERO };
        Lock::acquire(&self.files, &self.environment, exclusive, settle)
    }

    pub(super) fn gear(&self) -> Gear {
        let mut secret = self.config.id.0.to_vec();
        secret.extend_from_slice(self.config.chunker_polynomial.as_bytes());
        Gear::new(&secret, self.options.chunk_sizes)
    }

    /// Reads all index files. A damaged one is an error for who removes things (`strict`); who reads or adds goes on without
    /// it: what only it lists is missing then, and said to be where it is needed.
    pub(super) fn load_index(&self, strict: bool) -> Result<Index> {
        self.load_index_of(strict, |_, _| true)
    }

    /// The same with only those packs that `wanted` says.
    pub(super) fn load_index_of(&self, strict: bool, wanted: impl Fn(Id, &[PackedBlob]) -> bool) -> Result<Index> {
        // A repack may replace index files while we read: then the list is taken anew.
        for _ in 0..5 {
            let mut index = Index::default();
            match self.read_index_files(&mut index, strict, &wanted) {
                Ok(()) => return Ok(index),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the repository's index changes all the time",
            "Wait for the other run to end.",
        ))
    }

    fn read_index_files(
        &self,
        index: &mut Index,
        strict: bool,
        wanted: &impl Fn(Id, &[PackedBlob]) -> bool,
    ) -> Result<()> {
        index_load::read_each(&self.files, |id, packs| {
            let packs = match packs {
                Err(error) if !strict && error.kind() == ErrorKind::Damaged => return Ok(()),
                other => other.map_err(|error| error.within(format!("index/{id}")))?,
            };
            for (pack, blobs) in packs {
                if wanted(pack, &blobs) {
                    index.add_pack(pack, &blobs);
                }
            }
            Ok(())
        })
    }
}

/// A lock that tests hold.
#[doc(hidden)]
pub struct TestLock(Lock);

impl TestLock {
    /// What happens every five minutes.
    pub fn refresh_for_tests(&self) -> Result<()> {
        self.0.refresh()
    }
}

pub(super) fn no_repository(store: &dyn Store) -> Error {
    Error::new(
        ErrorKind::NotABackup,
        format!("there is no repository in {}", store.describe()),
        "Check the path, or make a repository there first.",
    )
}
