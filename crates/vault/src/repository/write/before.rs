//! The folders of the parent snapshot, read ahead.
//!
//! A backup meets folders in the order of their names, depth first, and so does a thread of its own on the parent's trees,
//! which are loaded and parsed while the backup looks at files. A folder that is asked for in another order is loaded when
//! it is asked for.

use super::folders::Earlier;
use super::pipeline::Shared;
use crate::error::Result;
use crate::repository::blobs;
use crate::repository::format::pack::BlobKind;
use crate::repository::format::tree::{self, Node, NodeKind};
use crate::repository::id::Id;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Folders and entries that are handed over at once: waking each other for every folder would take longer than reading it.
const BATCH_FOLDERS: usize = 64;
const BATCH_NODES: usize = 1024;
/// Batches that wait.
const BATCHES_WAITING: usize = 2;

type Loaded = (Id, Result<Earlier>);

/// Reads the trees below one folder ahead of a backup.
#[derive(Default)]
pub struct Before {
    root: Option<Id>,
    current: std::vec::IntoIter<Loaded>,
    loaded: Option<Receiver<Vec<Loaded>>>,
    /// What is not needed any more: who took the memory gives it back, or both would wait for the allocator.
    spent: Option<Sender<Vec<Node>>>,
    thread: Option<JoinHandle<()>>,
}

impl Before {
    /// Begins below `root`, whose nodes come first.
    pub fn start(shared: &Arc<Shared>, root: Id) -> Result<Self> {
        let (send, loaded) = bounded(BATCHES_WAITING);
        let (spent, returned) = unbounded();
        let shared = Arc::clone(shared);
        let thread = super::pipeline::spawn("parent snapshot", move || {
            // Nobody listens any more when the backup has gone on to something else.
            let _ = read_ahead(&shared, root, &send, &returned);
        })?;
        Ok(Self {
            root: Some(root),
            current: Vec::new().into_iter(),
            loaded: Some(loaded),
            spent: Some(spent),
            thread: Some(thread),
        })
    }

    /// Whether it began there.
    pub fn is_below(&self, root: Id) -> bool {
        self.root == Some(root)
    }

    /// Takes a folder's nodes back.
    pub fn give_back(&self, nodes: Vec<Node>) {
        if let Some(spent) = &self.spent {
            // Where the thread is through, they are freed here.
            let _ = spent.send(nodes);
        }
    }

    /// A folder.
    pub fn take(&mut self, shared: &Shared, id: Id) -> Result<Earlier> {
        loop {
            // What comes before it is of folders that are gone.
            if let Some((_, folder)) = self.current.find(|(found, _)| *found == id) {
                return folder;
            }
            match self.loaded.as_ref().map(Receiver::recv) {
                Some(Ok(batch)) => self.current = batch.into_iter(),
                _ => return load(shared, id),
            }
        }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        (self.loaded, self.spent) = (None, None);
        if let Some(thread) = self.thread.take() {
            // A panic there has no one left to hear of it.
            let _ = thread.join();
        }
    }
}

/// The folder of one tree. Whose content the repository does not hold whole is left out: that is read again.
pub fn load(shared: &Shared, id: Id) -> Result<Earlier> {
    let copies = shared.copies(id, BlobKind::Tree);
    let json = blobs::load_copy(&shared.files, &copies, id, BlobKind::Tree)?;
    let mut nodes = tree::decode(&json).map_err(|error| error.within(format!("tree {id}")))?;
    nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let all = nodes.len();
    shared.retain_held(&mut nodes);
    Ok(Earlier { tree: (nodes.len() == all).then_some(id), nodes })
}

/// `None`: nobody wants more.
fn read_ahead(shared: &Shared, root: Id, out: &Sender<Vec<Loaded>>, spent: &Receiver<Vec<Node>>) -> Option<()> {
    let (mut batch, mut batch_nodes) = (Vec::new(), 0);
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        spent.try_iter().for_each(drop);
        let folder = load(shared, id);
        if let Ok(Earlier { nodes, .. }) = &folder {
            let folders = nodes.iter().rev().filter(|node| node.kind == NodeKind::Directory);
            waiting.extend(folders.filter_map(|node| node.subtree));
            batch_nodes += nodes.len();
        }
        batch.push((id, folder));
        if batch.len() == BATCH_FOLDERS || batch_nodes >= BATCH_NODES {
            out.send(std::mem::take(&mut batch)).ok()?;
            batch_nodes = 0;
        }
    }
    out.send(batch).ok()
}
