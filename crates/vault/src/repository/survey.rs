//! Looking at a whole repository and telling everything that is wrong with it: the ground of `check` and `repair`.
//!
//! Nothing here stops at the first damage. What cannot be read is a finding; only a store that does not answer is an error.

use super::blobs::{Expander, open};
use super::files::Files;
use super::format::FileKind;
use super::format::pack::{self, BlobKind, PackedBlob};
use super::format::snapshot::{self, SnapshotFile};
use super::format::tree::NodeKind;
use super::id::Id;
use super::index::Index;
use super::index_load;
use super::walk::load_tree;
use super::write::adopt;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// Bytes of a pack read at once.
const READ_BYTES_MAX: u64 = 4 << 20;

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object's name in the store.
    pub object: String,
    /// What is wrong, for a person.
    pub message: String,
    /// Data that snapshots need is not there as it was written. False: litter, or a copy that nobody needs.
    pub is_damage: bool,
}

/// A file that cannot be restored whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LostFile {
    /// The snapshot.
    pub snapshot: Id,
    /// The file; a folder whose listing is lost ends in `/`, and everything below it is lost.
    pub path: Vec<u8>,
}

/// Trees below which nothing is lost, by the damage that was known: so many copies of blobs.
#[derive(Default)]
pub struct Whole {
    trees: HashSet<Id>,
    damaged: usize,
}

/// What is in a repository, and what is wrong with it.
pub struct Survey<'a> {
    files: &'a Files,
    /// Everything that index files tell.
    pub index: Index,
    /// How many blobs each pack has by the index, by its number.
    blob_counts: Vec<usize>,
    /// Index files, those that cannot be read among them.
    pub index_files: Vec<Id>,
    /// Readable snapshots.
    pub snapshots: Vec<(Id, SnapshotFile)>,
    /// Snapshot files that cannot be read.
    pub damaged_snapshots: Vec<Id>,
    /// Packs in the store, with their sizes.
    pub packs: HashMap<Id, u64>,
    /// Copies of blobs that are not there, by pack.
    pub damaged: HashSet<(Id, BlobKind, Id)>,
    /// Packs whose header is not what the index says.
    pub damaged_packs: HashSet<Id>,
    /// Everything found so far.
    pub findings: Vec<Finding>,
    /// Bytes of packs that were read.
    pub bytes_read: u64,
}

impl<'a> Survey<'a> {
    /// Reads snapshots, index files and the list of packs.
    pub fn begin(files: &'a Files) -> Result<Self> {
        let mut survey = Self {
            files,
            index: Index::default(),
            index_files: Vec::new(),
            blob_counts: Vec::new(),
            snapshots: Vec::new(),
            damaged_snapshots: Vec::new(),
            packs: HashMap::new(),
            damaged: HashSet::new(),
            damaged_packs: HashSet::new(),
            findings: Vec::new(),
            bytes_read: 0,
        };
        survey.read_snapshots()?;
        survey.read_index()?;
        survey.packs = files.list(FileKind::Pack)?.into_iter().map(|(id, info)| (id, info.size_bytes)).collect();
        survey.compare_packs();
        Ok(survey)
    }

    fn find(&mut self, object: String, message: impl Into<String>, is_damage: bool) {
        self.findings.push(Finding { object, message: message.into(), is_damage });
    }

    fn read_snapshots(&mut self) -> Result<()> {
        for (id, _) in self.files.list(FileKind::Snapshot)? {
            let json = self.files.load(FileKind::Snapshot, id, snapshot::SIZE_BYTES_MAX);
            match bearable(json.and_then(|json| SnapshotFile::decode(&json)))? {
                Ok(file) => self.snapshots.push((id, file)),
                Err(Some(why)) => {
                    self.damaged_snapshots.push(id);
                    self.find(FileKind::Snapshot.object_name(id), why, true);
                }
                Err(None) => {}
            }
        }
        Ok(())
    }

    fn read_index(&mut self) -> Result<()> {
        index_load::read_each(self.files, |id, packs| {
            self.index_files.push(id);
            match bearable(packs)? {
                Ok(packs) => packs.iter().for_each(|(pack, blobs)| self.index.add_pack(*pack, blobs)),
                Err(Some(why)) => self.find(FileKind::Index.object_name(id), why, true),
                Err(None) => {}
            }
            Ok(())
        })
    }

    /// Packs that are missing, of another size than the index tells, or in no index.
    fn compare_packs(&mut self) {
        let mut sizes = vec![pack::size_bytes([]); self.index.packs().len()];
        self.blob_counts = vec![0; sizes.len()];
        for location in self.index.iter() {
            sizes[location.pack as usize] += pack::size_bytes([&location.blob]) - pack::size_bytes([]);
            self.blob_counts[location.pack as usize] += 1;
        }
        let mut wrong = HashSet::new();
        for (number, expected) in sizes.into_iter().enumerate() {
            let id = self.index.pack_id(number as u32);
            let message = match self.packs.get(&id) {
                Some(&there) if there == expected => continue,
                Some(there) => format!("it has {there} bytes; by the index it should have {expected}"),
                None => {
                    wrong.insert(number as u32);
                    "it is missing".to_owned()
                }
            };
            self.damaged_packs.insert(id);
            self.find(FileKind::Pack.object_name(id), message, true);
        }
        for location in self.index.iter().filter(|location| wrong.contains(&location.pack)) {
            self.damaged.insert((self.index.pack_id(location.pack), location.blob.kind, location.blob.id));
        }
        let unknown: Vec<Id> = self.packs.keys().copied().filter(|id| !self.index.knows_pack(*id)).collect();
        for id in unknown {
            let message = "no index lists it: litter of an interrupted run, which the next one uses";
            self.find(FileKind::Pack.object_name(id), message, false);
        }
    }

    /// The index's blobs of every pack, by the pack's number.
    pub fn blobs_by_pack(&self) -> Vec<Vec<PackedBlob>> {
        let mut packs = vec![Vec::new(); self.index.packs().len()];
        for location in self.index.iter() {
            packs[location.pack as usize].push(location.blob);
        }
        packs.iter_mut().for_each(|blobs| blobs.sort_unstable_by_key(|blob| blob.offset));
        packs
    }

    /// Reads these packs whole and checks every byte of them against their tags, hashes, headers and the index. `meanwhile`
    /// sees what was known before.
    pub fn read_packs<T: Send>(
        &mut self,
        chosen: &[Id],
        progress: &dyn Progress,
        meanwhile: impl FnOnce(&Self) -> T + Send,
    ) -> Result<T> {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let by_pack = OnceLock::new();
        let next = AtomicUsize::new(0);
        let bytes = AtomicU64::new(0);
        let results: Mutex<Vec<PackResult>> = Mutex::default();
        let failure: Mutex<Option<Error>> = Mutex::default();
        let meanwhile = std::thread::scope(|scope| {
            let meanwhile = scope.spawn(|| meanwhile(self));
            for _ in 0..threads.min(chosen.len()) {
                scope.spawn(|| {
                    while let Some(&id) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let size = self.packs.get(&id).copied().unwrap_or(0);
                        match progress.check_cancelled().and_then(|()| self.read_pack(id, size, &by_pack)) {
                            Ok(result) => lock(&results).push(result),
                            Err(error) => {
                                next.store(chosen.len(), Ordering::Relaxed);
                                lock(&failure).get_or_insert(error);
                            }
                        }
                        bytes.fetch_add(size, Ordering::Relaxed);
                        progress.bytes(size);
                    }
                });
            }
            meanwhile.join()
        });
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        self.bytes_read += bytes.into_inner();
        let mut results = std::mem::take(&mut *lock(&results));
        results.sort_unstable_by_key(|result| result.id);
        results.into_iter().for_each(|result| self.take_result(result));
        meanwhile.map_err(|_| Error::internal("a thread that walks trees panicked"))
    }

    fn take_result(&mut self, result: PackResult) {
        let name = FileKind::Pack.object_name(result.id);
        for message in result.messages {
            self.damaged_packs.insert(result.id);
            self.find(name.clone(), message, true);
        }
        for (blob, why) in result.damaged {
            self.damaged_packs.insert(result.id);
            self.find(name.clone(), format!("blob {} is damaged: {why}", blob.id), true);
            self.damaged.insert((result.id, blob.kind, blob.id));
        }
    }

    /// Whether an intact copy of the blob is known.
    pub fn has(&self, id: Id, kind: BlobKind) -> bool {
        self.index.find(id, kind).any(|location| !self.damaged.contains(&(self.index.pack_id(location.pack), kind, id)))
    }

    /// Walks all snapshots for [`lost_files`](Self::lost_files) to do so again only if more damage is found. What goes wrong
    /// goes wrong there again.
    pub fn walk_ahead(&self, progress: &dyn Progress) -> Whole {
        let mut whole = Whole { trees: HashSet::new(), damaged: self.damaged.len() };
        let walked = self.snapshots.iter().try_for_each(|(_, file)| {
            self.walk(file.tree, Vec::new(), &mut whole.trees, &mut |_| {}, progress).map(drop)
        });
        walked.map_or_else(|_| Whole::default(), |()| whole)
    }

    /// Walks all snapshots and names every file that is not whole. Each tree is read once; folders that several snapshots
    /// share are walked again only if something in them is lost. `ahead` are trees that were whole by what was known then.
    pub fn lost_files(&mut self, ahead: Whole, progress: &dyn Progress) -> Result<Vec<LostFile>> {
        let mut whole = if ahead.damaged == self.damaged.len() { ahead.trees } else { HashSet::new() };
        let mut lost = Vec::new();
        let snapshots = self.snapshots.clone();
        for (snapshot, file) in snapshots {
            let before = lost.len();
            self.walk(file.tree, Vec::new(), &mut whole, &mut |path| lost.push(LostFile { snapshot, path }), progress)?;
            if lost.len() > before {
                let count = lost.len() - before;
                let message = format!("{count} of its files or folders cannot be restored whole");
                self.find(FileKind::Snapshot.object_name(snapshot), message, true);
            }
        }
        Ok(lost)
    }

    /// True: everything below the tree is whole.
    fn walk(
        &self,
        id: Id,
        folder: Vec<u8>,
        whole: &mut HashSet<Id>,
        lost: &mut dyn FnMut(Vec<u8>),
        progress: &dyn Progress,
    ) -> Result<bool> {
        if whole.contains(&id) {
            return Ok(true);
        }
        progress.check_cancelled()?;
        let loaded = bearable(load_tree(self.files, &self.index, id))?;
        let Ok(nodes) = loaded else {
            lost([&folder, &b"/"[..]].concat());
            return Ok(false);
        };
        let mut all = true;
        for node in nodes {
            let path = if folder.is_empty() { node.name } else { [&folder, &b"/"[..], &node.name].concat() };
            match node.subtree {
                Some(subtree) if node.kind == NodeKind::Directory => {
                    all &= self.walk(subtree, path, whole, lost, progress)?;
                }
                _ if node.content.iter().all(|id| self.has(*id, BlobKind::Data)) => {}
                _ => {
                    all = false;
                    lost(path);
                }
            }
        }
        if all {
            whole.insert(id);
        }
        Ok(all)
    }

    /// Whether a pack's own header lists what the index does, and nothing else.
    fn is_listed(&self, number: u32, own: &[PackedBlob]) -> bool {
        let is_known = |blob: &PackedBlob| {
            self.index.find(blob.id, blob.kind).any(|location| location.pack == number && location.blob == *blob)
        };
        self.blob_counts.get(number as usize) == Some(&own.len()) && own.iter().all(is_known)
    }

    /// Reads a pack and judges it by its own header, and by the index if that lists it. `by_pack` are the index's blobs, made
    /// when they are needed: where something is wrong.
    fn read_pack(&self, id: Id, size_bytes: u64, by_pack: &OnceLock<Vec<Vec<PackedBlob>>>) -> Result<PackResult> {
        let mut messages = Vec::new();
        let number = self.index.number_of(id);
        let listed =
            || number.map_or_else(Vec::new, |n| by_pack.get_or_init(|| self.blobs_by_pack())[n as usize].clone());
        let blobs = match adopt::read_header(self.files, id, size_bytes)? {
            None => {
                messages.push("its header cannot be read".to_owned());
                listed()
            }
            Some(own) if number.is_some_and(|number| !self.is_listed(number, &own)) => {
                messages.push("its header lists other blobs than the index".to_owned());
                listed()
            }
            Some(own) => own,
        };
        let damaged = damaged_blobs(self.files, id, &blobs)?;
        Ok(PackResult { id, messages, damaged })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sorts out what is damage (a text), what has just been removed (nothing) and what ends the survey.
pub fn bearable<T>(result: Result<T>) -> Result<std::result::Result<T, Option<String>>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(Err(None)),
            ErrorKind::Damaged | ErrorKind::Truncated | ErrorKind::TooLarge => {
                Ok(Err(Some(error.message().to_owned())))
            }
            _ => Err(error),
        },
    }
}

struct PackResult {
    id: Id,
    messages: Vec<String>,
    damaged: Vec<(PackedBlob, &'static str)>,
}

/// Reads these blobs of a pack and tells which are not what they should be.
fn damaged_blobs(files: &Files, id: Id, blobs: &[PackedBlob]) -> Result<Vec<(PackedBlob, &'static str)>> {
    let mut damaged = Vec::new();
    let mut expander = Expander::new()?;
    let (mut plain, mut own) = (Vec::new(), Vec::new());
    for run in runs(blobs) {
        let start = u64::from(run[0].offset);
        let end = run.iter().map(|blob| u64::from(blob.offset) + u64::from(blob.length)).max().unwrap_or(start);
        let name = FileKind::Pack.object_name(id);
        let mut sealed = bearable(files.store.read_range(&name, start, (end - start) as usize))?.ok();
        // Blobs in a damaged index may overlap, and each must be judged by its own bytes: opening destroys them.
        let overlap = run.windows(2).any(|two| two[0].offset.saturating_add(two[0].length) > two[1].offset);
        for blob in run {
            let at = (u64::from(blob.offset) - start) as usize;
            let opened = match sealed.as_mut().and_then(|sealed| sealed.get_mut(at..at + blob.length as usize)) {
                Some(sealed) if overlap => {
                    own.clear();
                    own.extend_from_slice(sealed);
                    open(&files.key, &mut expander, blob, &mut own, &mut plain)
                }
                Some(sealed) => open(&files.key, &mut expander, blob, sealed, &mut plain),
                None => Err("the pack ends before it"),
            };
            if let Err(why) = opened {
                damaged.push((*blob, why));
            }
        }
    }
    Ok(damaged)
}

/// Groups blobs, sorted by place, into reads of a few mebibytes.
pub fn runs(blobs: &[PackedBlob]) -> impl Iterator<Item = &[PackedBlob]> {
    let mut rest = blobs;
    std::iter::from_fn(move || {
        let start = u64::from(rest.first()?.offset);
        let fits = |blob: &&PackedBlob| u64::from(blob.offset) + u64::from(blob.length) - start <= READ_BYTES_MAX;
        let count = rest.iter().take_while(fits).count().max(1);
        let (run, later) = rest.split_at(count);
        rest = later;
        Some(run)
    })
}
