//! From entries to restic's nodes.

use crate::entry::{Entry, EntryKind};
use crate::repository::format::tree::{Node, NodeKind};

/// Everything of an entry but its content. Extended attributes whose names JSON cannot hold are left out and returned.
pub fn from_entry(entry: &Entry) -> (Node, Vec<Vec<u8>>) {
    let metadata = &entry.metadata;
    let (kind, link_target, device, size) = match &entry.kind {
        EntryKind::Directory => (NodeKind::Directory, Vec::new(), 0, 0),
        EntryKind::File { size_bytes } => (NodeKind::File, Vec::new(), 0, size_bytes.unwrap_or(0)),
        EntryKind::HardLink { .. } => (NodeKind::File, Vec::new(), 0, 0),
        EntryKind::Symlink { target } => (NodeKind::Symlink, target.clone(), 0, 0),
        EntryKind::Fifo => (NodeKind::Fifo, Vec::new(), 0, 0),
        EntryKind::Device { character, major, minor } => {
            let kind = if *character { NodeKind::CharacterDevice } else { NodeKind::BlockDevice };
            (kind, Vec::new(), rustix::fs::makedev(*major, *minor), 0)
        }
    };
    let (xattrs, strange): (Vec<_>, Vec<_>) =
        metadata.xattrs.iter().cloned().partition(|(name, _)| std::str::from_utf8(name).is_ok());
    let hard_linked = kind == NodeKind::File && metadata.links > 1;
    let node = Node {
        mode: metadata.mode,
        modified: metadata.modified,
        changed: metadata.changed,
        uid: metadata.uid,
        gid: metadata.gid,
        user: metadata.user.clone().unwrap_or_default(),
        group: metadata.group.clone().unwrap_or_default(),
        inode: metadata.inode,
        // Device numbers change from boot to boot on some systems; kept always, every tree would be new then.
        device_id: if hard_linked { metadata.device } else { 0 },
        size,
        links: metadata.links,
        link_target,
        xattrs,
        device,
        sparse: metadata.sparse,
        ..Node::new(entry.path.file_name(), kind)
    };
    (node, strange.into_iter().map(|(name, _)| name).collect())
}

/// Whether a file is the one that the parent snapshot holds: size, times and inode. Generated files have no inode and are
/// never recognised.
pub fn is_unchanged(now: &Node, before: &Node) -> bool {
    before.kind == NodeKind::File
        && now.inode != 0
        && now.inode == before.inode
        && now.size == before.size
        && now.modified == before.modified
        && now.changed == before.changed
}
