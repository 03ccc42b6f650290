//! Trees: a folder's entries as restic's JSON, byte for byte as Go would write it, so that equal folders make equal blobs.
//!
//! What restic has no field for is the mark of a file with holes: it goes into `generic_attributes`, which restic keeps when
//! it rewrites a snapshot and ignores otherwise.

mod decode;
mod encode;

pub use decode::decode;
pub(crate) use decode::{decode_any, decode_usual};
pub use encode::encode;

use crate::entry::Timestamp;
use crate::repository::id::Id;
use std::sync::Arc;

/// Name of our own attribute for files with holes.
const SPARSE_ATTRIBUTE: &str = "strongroom.sparse";

/// restic's node types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Regular file.
    File,
    /// Folder.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Block device.
    BlockDevice,
    /// Character device.
    CharacterDevice,
    /// Named pipe.
    Fifo,
    /// Socket, or something restic knew no name for: kept in listings, never restored.
    Other,
}

impl NodeKind {
    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "dir",
            Self::Symlink => "symlink",
            Self::BlockDevice => "dev",
            Self::CharacterDevice => "chardev",
            Self::Fifo => "fifo",
            Self::Other => "irregular",
        }
    }

    /// The type bits of Go's `fs.FileMode`.
    const fn go_mode(self) -> u32 {
        match self {
            Self::File => 0,
            Self::Directory => 1 << 31,
            Self::Symlink => 1 << 27,
            Self::BlockDevice => 1 << 26,
            Self::CharacterDevice => 1 << 26 | 1 << 21,
            Self::Fifo => 1 << 25,
            Self::Other => 1 << 19,
        }
    }
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, raw.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Last modification.
    pub modified: Timestamp,
    /// Last status change.
    pub changed: Timestamp,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, if it is known.
    pub user: Option<Arc<str>>,
    /// Group's name.
    pub group: Option<Arc<str>>,
    /// Inode number.
    pub inode: u64,
    /// The file system's device number; kept for hard links only.
    pub device_id: u64,
    /// Bytes of content.
    pub size: u64,
    /// Number of hard links.
    pub links: u64,
    /// A symbolic link's target, raw.
    pub link_target: Vec<u8>,
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// A device node's number, as `st_rdev`.
    pub device: u64,
    /// The file had holes.
    pub sparse: bool,
    /// A file's blobs.
    pub content: Vec<Id>,
    /// A folder's tree.
    pub subtree: Option<Id>,
}

impl Node {
    /// A node with nothing but a name and a kind.
    pub fn new(name: &[u8], kind: NodeKind) -> Self {
        Self {
            name: name.to_vec(),
            kind,
            mode: 0,
            modified: Timestamp::default(),
            changed: Timestamp::default(),
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            xattrs: Vec::new(),
            device: 0,
            sparse: false,
            content: Vec::new(),
            subtree: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_node_looks_as_restic_writes_it() {
        let mut node = Node::new(b"te\"st", NodeKind::File);
        node.mode = 0o4644;
        node.modified = Timestamp { seconds: 0, nanoseconds: 500_000_000 };
        node.user = Some("a<b".into());
        node.size = 3;
        node.links = 1;
        node.content = vec![Id([0x11; 32])];
        let expected = format!(
            r#"{{"nodes":[{{"name":"te\\\"st","type":"file","mode":8389028,"mtime":"1970-01-01T00:00:00.5Z","atime":"1970-01-01T00:00:00.5Z","ctime":"1970-01-01T00:00:00Z","uid":0,"gid":0,"user":"a\u003cb","size":3,"links":1,"content":["{}"]}}]}}"#,
            "11".repeat(32)
        );
        assert_eq!(String::from_utf8(encode(&[node])).unwrap(), expected + "\n");
        assert_eq!(encode(&[]), b"{\"nodes\":[]}\n");
    }

    #[test]
    fn what_we_write_is_read_the_quick_way() {
        let mut file = Node::new("ä file".as_bytes(), NodeKind::File);
        (file.user, file.links, file.device_id) = (Some("ann".into()), 2, 3);
        file.content = vec![Id([1; 32]), Id([2; 32])];
        let mut folder = Node::new(b"folder", NodeKind::Directory);
        (folder.mode, folder.subtree) = (0o2755, Some(Id([3; 32])));
        let mut link = Node::new(b"link", NodeKind::Symlink);
        link.link_target = b"folder".to_vec();
        let nodes = [file, folder, link];
        for nodes in [&nodes[..], &nodes[..1], &[]] {
            assert_eq!(decode_usual(&encode(nodes)).unwrap(), nodes);
        }
        let mut odd = Node::new(b"odd", NodeKind::File);
        odd.sparse = true;
        assert_eq!(decode_usual(&encode(&[odd])), None);
    }

    #[test]
    fn unsafe_and_doubled_names_are_refused() {
        for name in ["", ".", "..", "a/b", "a\\x00b", "\\x2e\\x2e"] {
            let json = serde_json::json!({"nodes": [{"name": name, "type": "file"}]}).to_string();
            assert!(decode(json.as_bytes()).is_err(), "{name}");
        }
        let twice = br#"{"nodes":[{"name":"a","type":"file"},{"name":"b","type":"file"},{"name":"a","type":"fifo"}]}"#;
        assert!(decode(twice).is_err());
        assert!(decode(br#"{"nodes":[{"name":"a","type":"dir"}]}"#).is_err(), "a folder without a tree");
        assert!(decode(br#"{"nodes":null}"#).unwrap().is_empty());
    }

    fn node_strategy() -> impl Strategy<Value = Node> {
        let name =
            proptest::collection::vec(any::<u8>().prop_filter("plain", |b| *b != 0 && *b != b'/' && *b != b'.'), 1..20);
        let kind = prop_oneof![
            Just(NodeKind::File),
            Just(NodeKind::Directory),
            Just(NodeKind::Symlink),
            Just(NodeKind::BlockDevice),
            Just(NodeKind::CharacterDevice),
            Just(NodeKind::Fifo)
        ];
        let raw = proptest::collection::vec(any::<u8>(), 0..20);
        let seconds = -62_167_219_200_i64..253_402_300_799;
        let numbers = (0_u32..0o10000, seconds, 0_u32..1_000_000_000, any::<u32>(), any::<[u64; 4]>(), any::<bool>());
        (name, kind, raw, "\\PC{0,9}", numbers, proptest::collection::vec(any::<[u8; 32]>(), 0..3)).prop_map(
            |(name, kind, raw, text, (mode, seconds, nanoseconds, owner, numbers, sparse), ids)| {
                let mut node = Node::new(&name, kind);
                node.mode = mode;
                node.modified = Timestamp { seconds, nanoseconds };
                node.changed = node.modified;
                (node.uid, node.gid) = (owner, owner / 2);
                node.user = (!text.is_empty()).then(|| text.as_str().into());
                node.group = node.user.clone();
                [node.inode, node.device_id, node.links, node.device] = numbers;
                node.sparse = sparse;
                node.xattrs = vec![(b"user.x".to_vec(), raw.clone())];
                match kind {
                    NodeKind::File => node.content = ids.into_iter().map(Id).collect(),
                    NodeKind::Directory => node.subtree = Some(Id([7; 32])),
                    NodeKind::Symlink => node.link_target = raw,
                    _ => {}
                }
                node
            },
        )
    }

    proptest! {
        #[test]
        fn every_node_comes_back(node in node_strategy()) {
            let json = encode(std::slice::from_ref(&node));
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
            prop_assert_eq!(decode(&json).unwrap(), vec![node]);
        }
    }
}
