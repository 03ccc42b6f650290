//! Making a snapshot.
//!
//! The writer's thread takes entries, recognises unchanged files by the parent snapshot, reads and cuts what is left and
//! collects the folders; the [`pipeline`] does everything that costs. Nothing is visible before the snapshot's file is
//! written, last of all, under a lock that is still ours.

pub mod adopt;
mod before;
mod feeder;
mod folders;
mod node;
pub mod packer;
pub mod pipeline;

use super::chunk::Gear;
use super::format::FileKind;
use super::format::pack::BlobKind;
use super::format::snapshot::{SnapshotFile, Summary};
use super::format::time::format as format_time;
use super::format::tree::Node;
use super::id::Id;
use super::lock::Lock;
use super::open::{Environment, Repository};
use crate::entry::{Attributes, Entry, EntryKind, EntryPath, Metadata, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::transfer::{Committed, Content, EntryWriter, Outcome, Structure};
use before::Before;
use feeder::{Feeder, Taken};
use folders::{Blobs, Earlier, Folders, Tree};
use pipeline::{Batch, Pipeline, PipelineOptions};
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

/// Name of the manifest in the snapshot's root.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Trees with more JSON are handed to the workers at once; smaller ones are collected.
const TREE_BATCH_BYTES: usize = 256 << 10;

/// What a snapshot is of, and how it is made.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Files that are in this snapshot with the same size, times and inode are not read again.
    pub parent: Option<Id>,
    /// The snapshot's time; the repository's clock if there is none.
    pub time: Option<Timestamp>,
    /// Labels.
    pub tags: Vec<String>,
    /// What it is of, for people and for restic, which groups snapshots by it.
    pub paths: Vec<String>,
    /// Worker threads; 0 does everything on the caller's thread.
    pub threads: usize,
    /// zstd's level.
    pub level: i32,
    /// Read everything, whatever the parent knows.
    pub force_reread: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            parent: None,
            time: None,
            tags: Vec::new(),
            paths: vec!["/".to_owned()],
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            level: zstd::DEFAULT_COMPRESSION_LEVEL,
            force_reread: false,
        }
    }
}

/// A file with several names, for the names that follow.
struct Linked {
    node: Node,
    blobs: Blobs,
}

/// Takes entries and makes a snapshot of them.
pub struct RepositoryWriter {
    // First, so that it ends before the lock is given back.
    pipeline: Pipeline,
    lock: Lock,
    gear: Gear,
    feeder: Feeder,
    folders: Folders,
    before: Before,
    trees: Batch,
    linked: HashMap<Vec<u8>, Linked>,
    /// The path of the folder that is open, once an entry has come.
    here: Option<Vec<u8>>,
    summary: Summary,
    options: WriterOptions,
    time: Timestamp,
    environment: Environment,
    files: super::files::Files,
    progress: Arc<dyn Progress>,
}

impl Repository {
    /// Begins a snapshot. Holds a shared lock until the writer is committed or dropped.
    pub fn writer(&self, options: WriterOptions, progress: Arc<dyn Progress>) -> Result<RepositoryWriter> {
        let lock = self.lock(false)?;
        progress.step("repository locked");
        let packs = self.files.list(FileKind::Pack)?.into_iter().map(|(id, info)| (id, info.size_bytes)).collect();
        // What an index lists but is not there, or not whole, is as good as unknown: it is stored again, and whatever snapshot
        // missed it is mended.
        let index = self.load_index_of(false, |pack, blobs| adopt::is_intact(&packs, pack, blobs))?;
        let litter = adopt::find(&self.files, &index, &packs)?;
        let pipeline_options = PipelineOptions {
            threads: options.threads,
            level: options.level,
            pack_size_bytes: self.options.pack_size_bytes,
        };
        let pipeline = Pipeline::start(self.files.clone(), index, pipeline_options, Arc::clone(&progress))?;
        litter.into_iter().for_each(|pack| pipeline.shared().adopt(pack));
        let before = match options.parent {
            Some(parent) if !options.force_reread => {
                let root = self.snapshot(parent).and_then(|parent| before::load(pipeline.shared(), parent.tree));
                forgive("the previous snapshot", root, progress.as_ref())?
            }
            _ => Earlier::default(),
        };
        let ahead = match first_folder(&before, &options.paths) {
            // Its trees are on their way when the first entry comes.
            Some(tree) if options.threads > 0 => Before::start(pipeline.shared(), tree)?,
            _ => Before::default(),
        };
        Ok(RepositoryWriter {
            pipeline,
            lock,
            gear: self.gear(),
            feeder: Feeder::default(),
            folders: Folders::new(before),
            before: ahead,
            trees: Batch { tree: true, ..Batch::default() },
            linked: HashMap::new(),
            here: None,
            summary: Summary { backup_start: format_time((self.environment.now)()), ..Summary::default() },
            time: options.time.unwrap_or_else(|| (self.environment.now)()),
            options,
            environment: self.environment.clone(),
            files: self.files.clone(),
            progress,
        })
    }
}

/// The tree that the first of the paths had in the parent snapshot.
fn first_folder(before: &Earlier, paths: &[String]) -> Option<Id> {
    let name = paths.first()?.trim_start_matches('/').as_bytes();
    before.nodes.iter().find(|node| node.name == name).and_then(|node| node.subtree)
}

/// What is damaged of the parent snapshot is as good as none: its files are read again, which mends it.
fn forgive(what: &str, loaded: Result<Earlier>, progress: &dyn Progress) -> Result<Earlier> {
    match loaded {
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound | ErrorKind::Truncated) => {
            progress.warning(&format!("{what} cannot be read, so files are read anew: {error}"));
            Ok(Earlier::default())
        }
        other => other,
    }
}

impl RepositoryWriter {
    /// Opens the folders that lead to `path`, leaving others.
    fn enter_parents(&mut self, path: &EntryPath) -> Result<()> {
        let folder = &path.as_bytes()[..path.as_bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0)];
        // Most entries lie beside the one before.
        if self.here.as_deref() == Some(folder) {
            return Ok(());
        }
        self.here = None;
        let parts: Vec<&[u8]> = path.as_bytes().split(|&byte| byte == b'/').collect();
        let parents = &parts[..parts.len() - 1];
        let depth = self.folders.common_depth(parents.iter().copied());
        self.folders.leave_to(depth)?;
        for part in &parents[depth..] {
            let node = folders::undescribed(part, self.time);
            self.enter(node)?;
        }
        self.here = Some(folder.to_vec());
        Ok(())
    }

    fn enter(&mut self, node: Node) -> Result<()> {
        let subtree = self.folders.current()?.before_of(&node.name).and_then(|before| before.subtree);
        let before = match subtree {
            Some(subtree) => self.load_before(subtree)?,
            None => Earlier::default(),
        };
        self.folders.enter(node, before)
    }

    fn load_before(&mut self, tree: Id) -> Result<Earlier> {
        let shared = self.pipeline.shared();
        self.folders.take_spent().for_each(|nodes| self.before.give_back(nodes));
        // Within a component folders come in order; components do not.
        if self.folders.depth() == 0 && self.options.threads > 0 && !self.before.is_below(tree) {
            self.before = Before::start(shared, tree)?;
        }
        let loaded = self.before.take(shared, tree);
        forgive("a folder of the previous snapshot", loaded, self.progress.as_ref())
    }

    fn write_directory(&mut self, entry: &Entry, node: Node) -> Result<()> {
        self.here = None;
        let depth = entry.path.as_bytes().split(|&byte| byte == b'/').count();
        if self.folders.common_depth(entry.path.as_bytes().split(|&byte| byte == b'/')) == depth {
            self.folders.leave_to(depth)?;
            self.folders.describe_current(node)?;
        } else {
            self.enter_parents(&entry.path)?;
            self.enter(node)?;
        }
        self.here = Some(entry.path.as_bytes().to_vec());
        Ok(())
    }

    fn write_file(&mut self, entry: &Entry, mut node: Node, content: Option<&mut dyn Content>) -> Result<Outcome> {
        self.enter_parents(&entry.path)?;
        let size_bytes = match entry.kind {
            EntryKind::File { size_bytes } => size_bytes,
            _ => None,
        };
        if let Some(at) = self.unchanged(&node)? {
            let bytes = node.size;
            self.summary.files_unmodified += 1;
            self.count(bytes);
            if node.links > 1 {
                let content = self.folders.current()?.before_at(at).content.clone();
                self.remember_link(entry, &node, &Arc::new(content.into()));
            }
            self.folders.add_unchanged(node, at)?;
            return Ok(Outcome::Unchanged { bytes });
        }
        let Some(content) = content else {
            return Err(Error::internal(format!("the file {} came without content", entry.path)));
        };
        let structure = content.structure();
        let mut reader = match content.open() {
            Ok(reader) => reader,
            Err(error) => return Ok(Outcome::Unreadable(error)),
        };
        let (taken, blobs) =
            self.take(&mut reader, size_bytes, structure).map_err(|error| error.within(&entry.path))?;
        node.size = taken.bytes;
        match self.folders.current()?.before_of(&node.name) {
            Some(_) => self.summary.files_changed += 1,
            None => self.summary.files_new += 1,
        }
        self.count(taken.bytes);
        self.remember_link(entry, &node, &blobs);
        self.folders.add_file(node, blobs)?;
        Ok(Outcome::Stored { bytes: taken.bytes, padded_bytes: taken.padded_bytes })
    }

    /// Where the file stands in the parent snapshot, if it is unchanged.
    fn unchanged(&mut self, node: &Node) -> Result<Option<usize>> {
        let folder = self.folders.current()?;
        Ok(folder.place_of(&node.name).filter(|&at| node::is_unchanged(node, folder.before_at(at))))
    }

    const fn count(&mut self, bytes: u64) {
        self.summary.total_files_processed += 1;
        self.summary.total_bytes_processed += bytes;
    }

    fn take(&mut self, reader: &mut dyn Read, size_bytes: Option<u64>, structure: Structure) -> Result<(Taken, Blobs)> {
        let (pipeline, folders) = (&mut self.pipeline, &mut self.folders);
        let mut submit = |batch| {
            pipeline.submit(batch)?;
            while let Some((first, ids)) = pipeline.named(false)? {
                folders.name(first, ids);
            }
            Ok(pipeline.buffer())
        };
        let taken = self.feeder.take(reader, size_bytes, &self.gear, structure, &mut submit)?;
        let blobs = self.folders.begin_file(taken.blobs);
        self.save_trees()?;
        Ok((taken, blobs))
    }

    fn remember_link(&mut self, entry: &Entry, node: &Node, blobs: &Blobs) {
        if node.links > 1 {
            let node = Node { content: Vec::new(), ..node.clone() };
            self.linked.insert(entry.path.as_bytes().to_vec(), Linked { node, blobs: Arc::clone(blobs) });
        }
    }

    /// A further name of a file: the same content under the same inode, which is how restic knows one.
    fn write_hard_link(&mut self, entry: &Entry, target: &EntryPath) -> Result<Outcome> {
        self.enter_parents(&entry.path)?;
        let Some(linked) = self.linked.get(target.as_bytes()) else {
            return Err(Error::internal(format!(
                "{} is a further name of {target}, which did not come before it as a file with several names",
                entry.path
            )));
        };
        let node = Node { name: entry.path.file_name().to_vec(), ..linked.node.clone() };
        let (bytes, blobs) = (node.size, Arc::clone(&linked.blobs));
        self.folders.add_file(node, blobs)?;
        Ok(Outcome::Unchanged { bytes })
    }

    /// Makes trees of all folders that are complete.
    fn save_trees(&mut self) -> Result<()> {
        while let Some((number, tree)) = self.folders.next_tree() {
            let (json, before) = match tree {
                Tree::New(json, before) => (json, before),
                Tree::Same(id) => {
                    self.summary.dirs_unmodified += 1;
                    self.folders.finished(number, id);
                    continue;
                }
            };
            let id = Id::of(&json);
            match before {
                None => self.summary.dirs_new += 1,
                Some(before) if before == id => self.summary.dirs_unmodified += 1,
                Some(_) => self.summary.dirs_changed += 1,
            }
            self.folders.finished(number, id);
            if !self.pipeline.shared().knows(id, BlobKind::Tree) {
                if self.trees.bytes.is_empty() {
                    self.trees.bytes = json;
                } else {
                    self.trees.bytes.extend_from_slice(&json);
                }
                self.trees.ends.push(self.trees.bytes.len());
                if self.trees.bytes.len() >= TREE_BATCH_BYTES {
                    self.flush_trees()?;
                }
            }
        }
        Ok(())
    }

    fn flush_trees(&mut self) -> Result<()> {
        if self.trees.ends.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.trees, Batch { tree: true, ..Batch::default() });
        self.pipeline.submit(batch)
    }

    fn flush_content(&mut self) -> Result<()> {
        let pipeline = &mut self.pipeline;
        self.feeder.flush(&mut |batch| {
            pipeline.submit(batch)?;
            Ok(pipeline.buffer())
        })
    }

    /// Waits until every folder is a tree; returns the root's.
    fn finish_trees(&mut self) -> Result<Id> {
        self.flush_content()?;
        self.folders.leave_all()?;
        loop {
            self.save_trees()?;
            if !self.folders.is_waiting() {
                break;
            }
            match self.pipeline.named(true)? {
                Some((first, ids)) => self.folders.name(first, ids),
                None => return Err(Error::internal("blobs went missing on their way")),
            }
        }
        self.flush_trees()?;
        self.folders.root().ok_or_else(|| Error::internal("the root folder has no tree"))
    }
}

impl EntryWriter for RepositoryWriter {
    fn known_attributes(
        &mut self,
        path: &EntryPath,
        size_bytes: u64,
        metadata: &Metadata,
    ) -> Result<Option<Attributes>> {
        self.enter_parents(path)?;
        let before = self.folders.current()?.before_of(path.file_name());
        Ok(before.filter(|before| node::is_known(metadata, size_bytes, before)).map(|before| before.xattrs.clone()))
    }

    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        self.progress.check_cancelled()?;
        let (node, strange) = node::from_entry(entry);
        for name in strange {
            self.progress.warning(&format!(
                "{}: the extended attribute {:?} was left out: the format holds names in UTF-8 only",
                entry.path,
                String::from_utf8_lossy(&name)
            ));
        }
        match &entry.kind {
            EntryKind::Directory => self.write_directory(entry, node)?,
            EntryKind::File { .. } => return self.write_file(entry, node, content),
            EntryKind::HardLink { target } => return self.write_hard_link(entry, target),
            EntryKind::Symlink { .. } | EntryKind::Fifo | EntryKind::Device { .. } => {
                self.enter_parents(&entry.path)?;
                self.folders.add(node)?;
            }
        }
        Ok(Outcome::Stored { bytes: 0, padded_bytes: 0 })
    }

    fn commit(mut self: Box<Self>, manifest: &[u8]) -> Result<Committed> {
        let path = EntryPath::new(MANIFEST_NAME)?;
        let entry = Entry::generated(path, Some(manifest.len() as u64), self.time);
        let (node, _) = node::from_entry(&entry);
        self.write_file(&entry, node, Some(&mut std::io::Cursor::new(manifest)))?;
        let tree = self.finish_trees()?;
        let Self { pipeline, lock, options, time, environment, files, progress, mut summary, .. } = *self;
        let added = pipeline.finish()?;
        summary.backup_end = format_time((environment.now)());
        (summary.data_blobs, summary.tree_blobs) = (added.data_blobs, added.tree_blobs);
        (summary.data_added, summary.data_added_packed) = (added.plain_bytes, added.stored_bytes);
        progress.check_cancelled()?;
        lock.ensure_held()?;
        let snapshot = SnapshotFile {
            time,
            parent: options.parent,
            tree,
            paths: options.paths,
            hostname: environment.hostname,
            username: environment.username,
            tags: options.tags,
            program_version: concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned(),
            summary: Some(summary),
        };
        let (id, snapshot_bytes) = files.save(FileKind::Snapshot, &snapshot.encode()?)?;
        files.confirm(FileKind::Snapshot, &[id])?;
        progress.step("snapshot stored");
        // The snapshot stands: that the lock could not be given back must not make it a failure.
        if let Err(error) = lock.release() {
            progress.warning(&format!("the repository's lock stays until it expires: {error}"));
        }
        Ok(Committed { location: id.to_hex(), stored_bytes: added.stored_bytes + snapshot_bytes, sha256: None })
    }
}
