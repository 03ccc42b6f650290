//! The way of a blob into the store: hash, look up, compress, seal, pack, upload.
//!
//! The caller's thread reads and cuts; it hands batches of blobs to workers, which hash, compress and seal them and put them
//! into an open pack. Who fills a pack uploads it and then, and only then, lists it in the index. There is one worker more than
//! there are processors to use: one usually waits for the store. All queues are bounded: memory is a few packs and batches,
//! whatever the content.
//!
//! A data blob goes into one of two open packs by lot: what an observer sees of packs' sizes tells less of the files in them.
//!
//! With no threads everything happens on the caller's thread, in an order that a test can repeat.

use super::node::is_comparable;
use super::packer::{Compressor, FullPack, OpenPack};
use crate::error::{Error, ErrorKind, Result};
use crate::priority::give_way;
use crate::progress::Progress;
use crate::repository::blobs;
use crate::repository::crypto::{Nonces, fill_random};
use crate::repository::files::Files;
use crate::repository::format::pack::BlobKind;
use crate::repository::format::tree::Node;
use crate::repository::format::{FileKind, index_file};
use crate::repository::id::Id;
use crate::repository::index::Index;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Batches that wait for a worker.
const BATCHES_WAITING: usize = 2;
/// Open packs for data.
const DATA_PACKS: usize = 2;

/// A batch's buffer that a large blob has made longer is not used again.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Room for the header of a pack of small blobs; one that needs more is moved once.
const HEADER_ROOM_BYTES: usize = 128 << 10;

/// Blobs on their way to a worker, one after the other in one buffer.
#[derive(Default)]
pub struct Batch {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// What they are.
    pub tree: bool,
    /// Number of the first one among all data blobs.
    pub first: u64,
}

/// The ids of a batch's blobs.
pub type Named = (u64, Vec<Id>);

/// How the pipeline works.
#[derive(Clone)]
pub struct PipelineOptions {
    /// Processors to use; 0: no threads at all.
    pub threads: usize,
    /// zstd's level.
    pub level: i32,
    /// About the size of a pack.
    pub pack_size_bytes: usize,
}

/// What is known to be in the repository, or on its way there.
pub struct Known {
    /// In the repository.
    pub index: Index,
    /// On the way.
    pending: HashSet<(BlobKind, Id)>,
}

/// What was added.
#[derive(Default)]
struct Counts {
    packs: Mutex<Vec<Id>>,
    index_files: Mutex<Vec<Id>>,
    stored_bytes: AtomicU64,
    plain_bytes: AtomicU64,
    /// By kind.
    blobs: [AtomicU64; 2],
}

/// What a run added to the repository.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// Bytes of blobs before compression.
    pub plain_bytes: u64,
    /// Blobs of content.
    pub data_blobs: u64,
    /// Trees.
    pub tree_blobs: u64,
}

/// What workers and caller share.
pub struct Shared {
    pub(super) files: Files,
    pub(super) options: PipelineOptions,
    known: Mutex<Known>,
    open: Vec<Mutex<OpenPack>>,
    /// Buffers of packs that are stored: fresh memory costs more than filling it.
    spare: Mutex<Vec<Vec<u8>>>,
    unindexed: Mutex<Vec<index_file::PackContent>>,
    failure: Mutex<Option<Error>>,
    failed: AtomicBool,
    added: Counts,
    progress: Arc<dyn Progress>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pipeline's end that the writer holds.
pub struct Pipeline {
    shared: Arc<Shared>,
    batches: Option<Sender<Batch>>,
    named: Receiver<Named>,
    /// Buffers that come back, with what was in them.
    buffers: Receiver<Vec<u8>>,
    workers: Vec<JoinHandle<()>>,
    /// For work on the caller's own thread.
    inline: Option<(Worker, Sender<Named>)>,
}

impl Pipeline {
    /// Starts the threads.
    pub fn start(files: Files, index: Index, options: PipelineOptions, progress: Arc<dyn Progress>) -> Result<Self> {
        let open = (0..=DATA_PACKS).map(|_| Mutex::new(OpenPack::default())).collect();
        let shared = Arc::new(Shared {
            files,
            options,
            known: Mutex::new(Known { index, pending: HashSet::new() }),
            open,
            spare: Mutex::default(),
            unindexed: Mutex::default(),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            added: Counts::default(),
            progress,
        });
        let (named_in, named) = unbounded();
        let (buffers_in, buffers) = bounded(BATCHES_WAITING + 1);
        let mut pipeline =
            Self { shared: Arc::clone(&shared), batches: None, named, buffers, workers: Vec::new(), inline: None };
        if shared.options.threads == 0 {
            pipeline.inline = Some((Worker::new(shared)?, named_in));
            return Ok(pipeline);
        }
        let (batches_in, batches) = bounded::<Batch>(BATCHES_WAITING);
        // One more than the processors: it waits for the store while others work. Each may hold a pack of its own; a second
        // one made nothing faster on a local disk, and cost ten mebibytes.
        for _ in 0..=shared.options.threads {
            let mut worker = Worker::new(Arc::clone(&shared))?;
            let (batches, named, buffers) = (batches.clone(), named_in.clone(), buffers_in.clone());
            pipeline.workers.push(spawn("repository worker", move || {
                give_way();
                worker.run(&batches, &named, &buffers);
            })?);
        }
        pipeline.batches = Some(batches_in);
        Ok(pipeline)
    }

    /// What the pipeline and its caller both know.
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Hands a batch over, waiting for a free place.
    pub fn submit(&mut self, batch: Batch) -> Result<()> {
        self.shared.check()?;
        if let Some((worker, named)) = &mut self.inline {
            let ids = worker.store(&batch)?;
            if !batch.tree {
                // The receiver lives in this same struct.
                let _ = named.send((batch.first, ids));
            }
            return Ok(());
        }
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent { Ok(()) } else { Err(self.shared.take_failure()) }
    }

    /// The ids of a batch that has been worked on; waits for one if `wait`.
    pub fn named(&self, wait: bool) -> Result<Option<Named>> {
        if !wait || self.inline.is_some() {
            return Ok(self.named.try_recv().ok());
        }
        match self.named.recv() {
            Ok(named) => Ok(Some(named)),
            Err(_) => Err(self.shared.take_failure()),
        }
    }

    /// A buffer to fill, used before if possible; what is in it means nothing.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.try_recv().unwrap_or_default()
    }

    /// Waits until everything is in the store and in the index.
    pub fn finish(mut self) -> Result<Added> {
        self.batches = None;
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| Error::internal("a worker panicked"))?;
        }
        self.shared.check()?;
        let last: Vec<FullPack> = self.shared.open.iter().filter_map(|open| guard(open).take()).collect();
        if self.inline.is_some() {
            last.into_iter().try_for_each(|pack| self.shared.upload(&mut Nonces::default(), pack))?;
        } else {
            // Each waits for the store as long as the others do.
            std::thread::scope(|scope| {
                for pack in last {
                    scope.spawn(|| {
                        if let Err(error) = self.shared.upload(&mut Nonces::default(), pack) {
                            self.shared.fail(error);
                        }
                    });
                }
            });
            self.shared.check()?;
        }
        self.shared.save_index(1)?;
        let Counts { packs, index_files, stored_bytes, plain_bytes, blobs } = &self.shared.added;
        self.shared.files.confirm(FileKind::Pack, &guard(packs))?;
        self.shared.files.confirm(FileKind::Index, &guard(index_files))?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Added {
            stored_bytes: count(stored_bytes),
            plain_bytes: count(plain_bytes),
            data_blobs: count(&blobs[BlobKind::Data as usize]),
            tree_blobs: count(&blobs[BlobKind::Tree as usize]),
        })
    }
}

impl Drop for Pipeline {
    /// Abandoned: the threads are told to stop and waited for, so that nobody writes after the lock is gone.
    fn drop(&mut self) {
        self.shared.failed.store(true, Ordering::Relaxed);
        self.batches = None;
        for thread in self.workers.drain(..) {
            // A panic there has no one left to hear of it.
            let _ = thread.join();
        }
    }
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|cause| Error::io("starting a thread", cause))
}

impl Shared {
    /// Fails when another thread has failed.
    pub fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) { Err(self.take_failure()) } else { Ok(()) }
    }

    fn take_failure(&self) -> Error {
        guard(&self.failure).take().unwrap_or_else(|| {
            Error::new(ErrorKind::Cancelled, "the backup has failed already", "See the first error.")
        })
    }

    fn fail(&self, error: Error) {
        guard(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether the repository holds the blob, or will if this run ends well.
    pub fn knows(&self, id: Id, kind: BlobKind) -> bool {
        let known = guard(&self.known);
        known.index.contains(id, kind) || known.pending.contains(&(kind, id))
    }

    /// Leaves those whose content the repository holds whole. Of those that no file is ever compared with, a database of a
    /// quarter of a million blobs perhaps, nobody has to know.
    pub fn retain_held(&self, nodes: &mut Vec<Node>) {
        let index = &guard(&self.known).index;
        let is_held = |node: &Node| node.content.iter().all(|id| index.contains(*id, BlobKind::Data));
        nodes.retain(|node| !is_comparable(node) || is_held(node));
    }

    /// Where a blob lies.
    pub fn copies(&self, id: Id, kind: BlobKind) -> Vec<blobs::Copy> {
        blobs::copies(&guard(&self.known).index, id, kind)
    }

    /// Packs that are in the store but in no index file yet.
    pub fn adopt(&self, pack: index_file::PackContent) {
        guard(&self.known).index.add_pack(pack.0, &pack.1);
        guard(&self.unindexed).push(pack);
    }

    /// Claims blobs for storing. False: the repository holds it, or somebody else stores it.
    fn claim(&self, ids: &[Id], kind: BlobKind) -> Vec<bool> {
        let mut known = guard(&self.known);
        let Known { index, pending } = &mut *known;
        ids.iter().map(|id| !index.contains(*id, kind) && pending.insert((kind, *id))).collect()
    }

    fn upload(&self, nonces: &mut Nonces, pack: FullPack) -> Result<()> {
        self.progress.check_cancelled()?;
        let (bytes, blobs) = pack.seal(&self.files.key, nonces)?;
        let id = Id::of(&bytes);
        self.files.store.put(&FileKind::Pack.object_name(id), &bytes)?;
        self.added.stored_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        guard(&self.added.packs).push(id);
        self.progress.step("pack stored");
        guard(&self.spare).push(bytes);
        {
            let mut known = guard(&self.known);
            known.index.add_pack(id, &blobs);
            for blob in &blobs {
                known.pending.remove(&(blob.kind, blob.id));
            }
        }
        guard(&self.unindexed).push((id, blobs));
        self.save_index(index_file::BLOBS_PER_FILE)
    }

    /// Room for a pack, all at once: growing would copy, and leave twice as much as is needed.
    fn pack_buffer(&self) -> Vec<u8> {
        let mut buffer = guard(&self.spare).pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve_exact(self.options.pack_size_bytes + HEADER_ROOM_BYTES);
        buffer
    }

    /// Writes an index file when at least so many blobs wait for one.
    fn save_index(&self, blobs_min: usize) -> Result<()> {
        let packs = {
            let mut unindexed = guard(&self.unindexed);
            if unindexed.iter().map(|(_, blobs)| blobs.len()).sum::<usize>() < blobs_min {
                return Ok(());
            }
            std::mem::take(&mut *unindexed)
        };
        for packs in split(&packs) {
            let (id, bytes) = self.files.save(FileKind::Index, &index_file::encode(packs)?)?;
            guard(&self.added.index_files).push(id);
            self.added.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.progress.step("index stored");
        }
        Ok(())
    }
}

/// Splits packs into index files of about [`BLOBS_PER_FILE`](index_file::BLOBS_PER_FILE) blobs.
pub fn split(packs: &[index_file::PackContent]) -> impl Iterator<Item = &[index_file::PackContent]> {
    let mut rest = packs;
    std::iter::from_fn(move || {
        let mut blobs = 0;
        let fits = |pack: &&index_file::PackContent| {
            blobs += pack.1.len();
            blobs <= index_file::BLOBS_PER_FILE
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (file, later) = rest.split_at(count);
        rest = later;
        (!file.is_empty()).then_some(file)
    })
}

/// Does the work of one thread.
struct Worker {
    shared: Arc<Shared>,
    compressor: Compressor,
    nonces: Nonces,
    /// Random bits that choose the open pack.
    lots: u64,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Result<Self> {
        let compressor = Compressor::new(shared.options.level, shared.files.compress)?;
        Ok(Self { shared, compressor, nonces: Nonces::default(), lots: 1 })
    }

    fn run(&mut self, batches: &Receiver<Batch>, named: &Sender<Named>, buffers: &Sender<Vec<u8>>) {
        for batch in batches {
            if self.shared.failed.load(Ordering::Relaxed) {
                break;
            }
            match self.store(&batch) {
                // Nobody listens any more when the writer was dropped.
                Ok(ids) if !batch.tree => _ = named.send((batch.first, ids)),
                Ok(_) => {}
                Err(error) => {
                    self.shared.fail(error);
                    break;
                }
            }
            if batch.bytes.capacity() <= KEPT_BYTES_MAX {
                let _ = buffers.try_send(batch.bytes);
            }
        }
    }

    fn store(&mut self, batch: &Batch) -> Result<Vec<Id>> {
        let kind = if batch.tree { BlobKind::Tree } else { BlobKind::Data };
        let starts = std::iter::once(&0).chain(&batch.ends);
        let blobs = || starts.clone().zip(&batch.ends).map(|(&start, &end)| &batch.bytes[start..end]);
        let ids: Vec<Id> = blobs().map(Id::of).collect();
        let ours = self.shared.claim(&ids, kind);
        for ((plain, id), _) in blobs().zip(&ids).zip(ours).filter(|(_, is_ours)| *is_ours) {
            self.shared.added.plain_bytes.fetch_add(plain.len() as u64, Ordering::Relaxed);
            self.shared.added.blobs[kind as usize].fetch_add(1, Ordering::Relaxed);
            self.pack(*id, kind, plain)?;
        }
        Ok(ids)
    }

    fn pack(&mut self, id: Id, kind: BlobKind, plain: &[u8]) -> Result<()> {
        let place = if kind == BlobKind::Tree { DATA_PACKS } else { self.draw()? };
        let content = self.compressor.compress(kind, plain)?;
        let pack_size_bytes = self.shared.options.pack_size_bytes;
        let full = {
            let mut open = guard(&self.shared.open[place]);
            let full = open.take_if_full(&content, pack_size_bytes);
            let sealing = (&self.shared.files.key, &mut self.nonces);
            open.add(id, kind, &content, sealing, || self.shared.pack_buffer())?;
            full
        };
        full.map_or(Ok(()), |full| self.shared.upload(&mut self.nonces, full))
    }

    fn draw(&mut self) -> Result<usize> {
        if self.lots == 1 {
            let mut bytes = [0; 8];
            fill_random(&mut bytes)?;
            self.lots = u64::from_le_bytes(bytes) | 1 << 63;
        }
        let lot = self.lots & 1;
        self.lots >>= 1;
        Ok(lot as usize)
    }
}
