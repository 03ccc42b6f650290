//! The folders of the parent snapshot, read ahead.
//!
//! A backup meets folders in the order of their names, depth first, and so does a thread of its own on the parent's trees,
//! which are loaded and parsed while the backup looks at files. A folder that is asked for in another order is loaded when
//! it is asked for.

use super::pipeline::Shared;
use crate::error::Result;
use crate::repository::blobs;
use crate::repository::format::pack::BlobKind;
use crate::repository::format::tree::{self, Node, NodeKind};
use crate::repository::id::Id;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Folders that are read ahead.
const AHEAD: usize = 16;

type Loaded = (Id, Result<Vec<Node>>);

/// Reads the trees below one folder ahead of a backup.
#[derive(Default)]
pub struct Before {
    loaded: Option<Receiver<Loaded>>,
    thread: Option<JoinHandle<()>>,
}

impl Before {
    /// Begins below `root`, whose nodes come first.
    pub fn start(shared: &Arc<Shared>, root: Id) -> Result<Self> {
        let (send, loaded) = bounded(AHEAD);
        let shared = Arc::clone(shared);
        let thread = super::pipeline::spawn("parent snapshot", move || {
            // Nobody listens any more when the backup has gone on to something else.
            let _ = read_ahead(&shared, root, &send);
        })?;
        Ok(Self { loaded: Some(loaded), thread: Some(thread) })
    }

    /// A folder's nodes, sorted by name.
    pub fn take(&mut self, shared: &Shared, id: Id) -> Result<Vec<Node>> {
        // What comes before it is of folders that are gone.
        let ahead = self.loaded.iter().flatten().find(|(found, _)| *found == id);
        ahead.map_or_else(|| load(shared, id), |(_, nodes)| nodes)
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        self.loaded = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has no one left to hear of it.
            let _ = thread.join();
        }
    }
}

/// The nodes of one tree, sorted by name.
pub fn load(shared: &Shared, id: Id) -> Result<Vec<Node>> {
    let copies = shared.copies(id, BlobKind::Tree);
    let json = blobs::load_copy(&shared.files, &copies, id, BlobKind::Tree)?;
    let mut nodes = tree::decode(&json).map_err(|error| error.within(format!("tree {id}")))?;
    nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

/// `None`: nobody wants more.
fn read_ahead(shared: &Shared, root: Id, out: &Sender<Loaded>) -> Option<()> {
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let nodes = load(shared, id);
        if let Ok(nodes) = &nodes {
            let folders = nodes.iter().rev().filter(|node| node.kind == NodeKind::Directory);
            waiting.extend(folders.filter_map(|node| node.subtree));
        }
        out.send((id, nodes)).ok()?;
    }
    Some(())
}
