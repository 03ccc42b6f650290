//! Walking a snapshot's trees in order and cutting the work into batches.

use crate::entry::{Entry, EntryKind, EntryPath, Metadata};
use crate::error::{Error, Result};
use crate::repository::blobs::missing_blob;
use crate::repository::files::Files;
use crate::repository::format::pack::BlobKind;
use crate::repository::format::tree::{Node, NodeKind};
use crate::repository::id::Id;
use crate::repository::index::{Index, Location};
use crate::repository::open::Snapshot;
use crate::repository::walk::load_tree;
use crate::repository::write::MANIFEST_NAME;
use crate::transfer::Selection;
use std::collections::HashMap;

/// Plain bytes after which a batch is full.
const BATCH_BYTES: u64 = 4 << 20;
/// Events after which a batch is full.
const BATCH_EVENTS: usize = 4096;

/// What comes next for the visitor.
pub enum Event {
    /// An entry; a file's blobs follow, then its end.
    Entry(Entry),
    /// A blob of the current file: its place in the batch.
    Blob(usize),
    /// The current file's end.
    End,
    /// Something of the snapshot cannot be read.
    Failed(Error),
}

/// Work for one worker.
#[derive(Default)]
pub struct Batch {
    /// In order.
    pub events: Vec<Event>,
    /// Blobs to fetch.
    pub wanted: Vec<Location>,
    plain_bytes: u64,
}

/// Makes batches.
pub struct Planner<'a, S> {
    files: &'a Files,
    index: &'a Index,
    selection: &'a Selection,
    submit: S,
    batch: Batch,
    /// First names of files that have several, by device and inode within a component.
    linked: HashMap<(Vec<u8>, u64, u64), EntryPath>,
}

/// The visitor has gone.
struct Gone;

impl<'a, S: FnMut(Batch) -> bool> Planner<'a, S> {
    /// `submit` takes a batch and says whether anybody still wants more.
    pub fn new(files: &'a Files, index: &'a Index, selection: &'a Selection, submit: S) -> Self {
        Self { files, index, selection, submit, batch: Batch::default(), linked: HashMap::new() }
    }

    /// Walks the whole snapshot, or as long as the batches are wanted.
    pub fn run(&mut self, snapshot: &Snapshot) {
        let ours = snapshot.program_version.starts_with("strongroom");
        let walked = self.tree(snapshot.tree, &[], ours);
        if walked.is_ok() {
            let last = std::mem::take(&mut self.batch);
            (self.submit)(last);
        }
    }

    fn tree(&mut self, id: Id, parent: &[u8], hides_manifest: bool) -> std::result::Result<(), Gone> {
        let nodes = match load_tree(self.files, self.index, id) {
            Ok(nodes) => nodes,
            Err(error) => {
                let place = if parent.is_empty() { "the root folder".into() } else { String::from_utf8_lossy(parent) };
                return self.push(Event::Failed(error.within(place)));
            }
        };
        for node in nodes {
            if hides_manifest && node.name == MANIFEST_NAME.as_bytes() {
                continue;
            }
            let path = if parent.is_empty() { node.name.clone() } else { [parent, b"/", &node.name].concat() };
            self.node(node, path)?;
        }
        Ok(())
    }

    fn node(&mut self, node: Node, path: Vec<u8>) -> std::result::Result<(), Gone> {
        let subtree = node.subtree.filter(|_| node.kind == NodeKind::Directory);
        let path = match EntryPath::new(path) {
            Ok(path) => path,
            Err(error) => return self.push(Event::Failed(error)),
        };
        if self.selection.matches(&path) {
            self.entry(node, &path)?;
        }
        match subtree {
            Some(subtree) if self.leads_to_wanted(&path) => self.tree(subtree, path.as_bytes(), false),
            _ => Ok(()),
        }
    }

    fn leads_to_wanted(&self, folder: &EntryPath) -> bool {
        let is_above = |prefix: &Vec<u8>| {
            prefix.starts_with(folder.as_bytes()) && prefix.get(folder.as_bytes().len()) == Some(&b'/')
        };
        self.selection.matches(folder) || self.selection.prefixes.iter().any(is_above)
    }

    fn entry(&mut self, mut node: Node, path: &EntryPath) -> std::result::Result<(), Gone> {
        let content = std::mem::take(&mut node.content);
        let kind = match node.kind {
            NodeKind::File => match self.first_name(&node, path) {
                Some(target) => EntryKind::HardLink { target },
                None => return self.file(node, path, &content),
            },
            NodeKind::Directory => EntryKind::Directory,
            NodeKind::Symlink => EntryKind::Symlink { target: std::mem::take(&mut node.link_target) },
            NodeKind::Fifo => EntryKind::Fifo,
            NodeKind::BlockDevice | NodeKind::CharacterDevice => EntryKind::Device {
                character: node.kind == NodeKind::CharacterDevice,
                major: rustix::fs::major(node.device),
                minor: rustix::fs::minor(node.device),
            },
            // Sockets belong to the process that made them: there is nothing to restore.
            NodeKind::Other => return Ok(()),
        };
        self.push(Event::Entry(Entry { path: path.clone(), kind, metadata: metadata(node) }))
    }

    /// The name under which a file with several came first.
    fn first_name(&mut self, node: &Node, path: &EntryPath) -> Option<EntryPath> {
        if node.links < 2 || node.inode == 0 {
            return None;
        }
        let (component, _) = path.split_first();
        match self.linked.entry((component.to_vec(), node.device_id, node.inode)) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().clone()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(path.clone());
                None
            }
        }
    }

    fn file(&mut self, node: Node, path: &EntryPath, content: &[Id]) -> std::result::Result<(), Gone> {
        let blobs: Vec<Result<Location>> = content
            .iter()
            .map(|id| self.index.find(*id, BlobKind::Data).next().ok_or_else(|| missing_blob(*id, BlobKind::Data)))
            .collect();
        let known = blobs.iter().flatten().map(|location| u64::from(location.blob.plain_bytes())).sum();
        let size_bytes = if blobs.iter().all(Result::is_ok) { known } else { node.size };
        let kind = EntryKind::File { size_bytes: Some(size_bytes) };
        self.push(Event::Entry(Entry { path: path.clone(), kind, metadata: metadata(node) }))?;
        for blob in blobs {
            match blob {
                Ok(location) => {
                    self.batch.plain_bytes += u64::from(location.blob.plain_bytes());
                    self.batch.wanted.push(location);
                    self.push(Event::Blob(self.batch.wanted.len() - 1))?;
                }
                Err(error) => self.push(Event::Failed(error.within(path)))?,
            }
        }
        self.push(Event::End)
    }

    fn push(&mut self, event: Event) -> std::result::Result<(), Gone> {
        self.batch.events.push(event);
        let full = self.batch.plain_bytes >= BATCH_BYTES || self.batch.events.len() >= BATCH_EVENTS;
        if full && !(self.submit)(std::mem::take(&mut self.batch)) {
            return Err(Gone);
        }
        Ok(())
    }
}

fn metadata(node: Node) -> Metadata {
    Metadata {
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        user: node.user,
        group: node.group,
        modified: node.modified,
        changed: node.changed,
        device: node.device_id,
        inode: node.inode,
        links: node.links,
        xattrs: node.xattrs,
        sparse: node.sparse,
    }
}
