//! Walking the trees of snapshots, each tree once.

use super::blobs;
use super::files::Files;
use super::format::pack::BlobKind;
use super::format::tree::{self, Node, NodeKind};
use super::id::Id;
use super::index::{Index, Marks};
use crate::error::Result;

/// Reads a tree.
pub fn load_tree(files: &Files, index: &Index, id: Id) -> Result<Vec<Node>> {
    let json = blobs::load(files, index, id, BlobKind::Tree)?;
    tree::decode(&json).map_err(|error| error.within(format!("tree {id}")))
}

/// Marks every blob that hangs on a root tree. An unreadable tree or a missing blob is an error: who removes what is unused
/// must know all of what is used.
pub fn mark_used(files: &Files, index: &Index, marks: &mut Marks, root: Id) -> Result<()> {
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        match index.mark(marks, id, BlobKind::Tree) {
            None => return Err(blobs::missing_blob(id, BlobKind::Tree)),
            Some(false) => continue,
            Some(true) => {}
        }
        for node in load_tree(files, index, id)? {
            waiting.extend(node.subtree.filter(|_| node.kind == NodeKind::Directory));
            for id in node.content {
                index.mark(marks, id, BlobKind::Data).ok_or_else(|| blobs::missing_blob(id, BlobKind::Data))?;
            }
        }
    }
    Ok(())
}
