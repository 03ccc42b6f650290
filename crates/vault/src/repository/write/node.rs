//! From entries to restic's nodes.

use crate::entry::{Entry, EntryKind, Metadata, Timestamp};
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
        // Of what is not kept whole no later backup may say that it knows it.
        changed: if strange.is_empty() { metadata.changed } else { Timestamp::default() },
        uid: metadata.uid,
        gid: metadata.gid,
        user: metadata.user.clone().filter(|name| !name.is_empty()),
        group: metadata.group.clone().filter(|name| !name.is_empty()),
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

/// Whether a file may ever be taken for this one of the parent snapshot. Generated files have no inode and are never
/// recognised.
pub fn is_comparable(before: &Node) -> bool {
    before.kind == NodeKind::File && before.inode != 0
}

/// Whether a file is the one that the parent snapshot holds: size, times and inode.
pub fn is_unchanged(now: &Node, before: &Node) -> bool {
    let times = (now.modified, now.changed);
    is_same(now.inode, now.size, times, before)
}

/// The same of a file that is no node yet.
pub fn is_known(now: &Metadata, size_bytes: u64, before: &Node) -> bool {
    is_same(now.inode, size_bytes, (now.modified, now.changed), before)
}

fn is_same(inode: u64, size_bytes: u64, times: (Timestamp, Timestamp), before: &Node) -> bool {
    is_comparable(before)
        && inode == before.inode
        && size_bytes == before.size
        && times == (before.modified, before.changed)
}
