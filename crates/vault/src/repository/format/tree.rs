//! Trees: a folder's entries as restic's JSON, byte for byte as Go would write it, so that equal folders make equal blobs.
//!
//! What restic has no field for is the mark of a file with holes: it goes into `generic_attributes`, which restic keeps when
//! it rewrites a snapshot and ignores otherwise.

use super::quote::{quote, unquote, write_json_string};
use super::{malformed, time};
use crate::entry::Timestamp;
use crate::error::Result;
use crate::repository::id::Id;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

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
    /// Owner's name.
    pub user: String,
    /// Group's name.
    pub group: String,
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
            user: String::new(),
            group: String::new(),
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

    fn write(&self, out: &mut String) {
        let text = |key: &str, value: &str, out: &mut String| {
            if !value.is_empty() {
                let _ = write!(out, ",\"{key}\":");
                write_json_string(value, out);
            }
        };
        let number = |key: &str, value: u64, out: &mut String| {
            if value != 0 {
                let _ = write!(out, ",\"{key}\":{value}");
            }
        };
        out.push_str("{\"name\":");
        write_json_string(&quote(&self.name), out);
        let _ = write!(out, ",\"type\":\"{}\"", self.kind.name());
        number("mode", u64::from(self.kind.go_mode() | to_go_permissions(self.mode)), out);
        // The time of last access is not kept: reading for the backup would change it, and so every tree every day.
        for (key, at) in [("mtime", self.modified), ("atime", self.modified), ("ctime", self.changed)] {
            let _ = write!(out, ",\"{key}\":\"");
            time::write(at, out);
            out.push('"');
        }
        let _ = write!(out, ",\"uid\":{},\"gid\":{}", self.uid, self.gid);
        text("user", &self.user, out);
        text("group", &self.group, out);
        number("inode", self.inode, out);
        number("device_id", self.device_id, out);
        number("size", self.size, out);
        number("links", self.links, out);
        self.write_link_target(out);
        self.write_xattrs(out);
        if self.sparse {
            let _ = write!(out, ",\"generic_attributes\":{{\"{SPARSE_ATTRIBUTE}\":true}}");
        }
        number("device", self.device, out);
        self.write_content(out);
        if let Some(subtree) = self.subtree {
            let _ = write!(out, ",\"subtree\":\"{subtree}\"");
        }
        out.push('}');
    }

    fn write_link_target(&self, out: &mut String) {
        if self.link_target.is_empty() {
            return;
        }
        out.push_str(",\"linktarget\":");
        write_json_string(&String::from_utf8_lossy(&self.link_target), out);
        if std::str::from_utf8(&self.link_target).is_err() {
            let _ = write!(out, ",\"linktarget_raw\":\"{}\"", STANDARD.encode(&self.link_target));
        }
    }

    fn write_xattrs(&self, out: &mut String) {
        for (position, (name, value)) in self.xattrs.iter().enumerate() {
            out.push_str(if position == 0 { ",\"extended_attributes\":[{\"name\":" } else { ",{\"name\":" });
            write_json_string(&String::from_utf8_lossy(name), out);
            let _ = write!(out, ",\"value\":\"{}\"}}", STANDARD.encode(value));
        }
        if !self.xattrs.is_empty() {
            out.push(']');
        }
    }

    fn write_content(&self, out: &mut String) {
        if self.kind != NodeKind::File {
            out.push_str(",\"content\":null");
            return;
        }
        out.push_str(",\"content\":[");
        out.reserve(self.content.len() * 67);
        let mut digits = [0; 64];
        for (position, id) in self.content.iter().enumerate() {
            out.push_str(if position == 0 { "\"" } else { ",\"" });
            // The buffer has the right length and hex digits are ASCII: neither can fail.
            let _ = hex::encode_to_slice(id.0, &mut digits);
            out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
            out.push('"');
        }
        out.push(']');
    }
}

/// Go keeps setuid, setgid and sticky elsewhere than Unix.
const fn to_go_permissions(mode: u32) -> u32 {
    (mode & 0o777) | (mode & 0o4000) << 12 | (mode & 0o2000) << 12 | (mode & 0o1000) << 11
}

const fn from_go_permissions(mode: u32) -> u32 {
    (mode & 0o777) | (mode >> 12 & 0o4000) | (mode >> 12 & 0o2000) | (mode >> 11 & 0o1000)
}

/// A tree's JSON. The nodes must be sorted by name.
pub fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut out = String::with_capacity(12 + nodes.len() * 380);
    out.push_str("{\"nodes\":[");
    for (position, node) in nodes.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        node.write(&mut out);
    }
    out.push_str("]}\n");
    out.into_bytes()
}

#[derive(Deserialize)]
struct TreeDocument<'a> {
    #[serde(borrow)]
    nodes: Option<Vec<NodeDocument<'a>>>,
}

#[derive(Deserialize)]
struct NodeDocument<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    mode: u32,
    #[serde(borrow, default)]
    mtime: Cow<'a, str>,
    #[serde(borrow, default)]
    ctime: Cow<'a, str>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(default)]
    linktarget: String,
    #[serde(default)]
    linktarget_raw: Option<String>,
    #[serde(default)]
    extended_attributes: Option<Vec<XattrDocument>>,
    #[serde(default)]
    generic_attributes: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    device: u64,
    #[serde(default)]
    content: Option<Vec<Id>>,
    #[serde(default)]
    subtree: Option<Id>,
}

#[derive(Deserialize)]
struct XattrDocument {
    name: String,
    value: Option<String>,
}

/// Reads a tree. Every name is a plain name: not empty, not `.` or `..`, without `/` and NUL; no name comes twice.
pub fn decode(json: &[u8]) -> Result<Vec<Node>> {
    let document: TreeDocument<'_> = serde_json::from_slice(json).map_err(|cause| malformed("a tree", cause))?;
    let nodes = document.nodes.unwrap_or_default().into_iter().map(decode_node).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<&[u8]> = nodes.iter().map(|node| node.name.as_slice()).collect();
    if !names.is_sorted() {
        names.sort_unstable();
    }
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(malformed("a tree", format!("{:?} is in it twice", String::from_utf8_lossy(pair[0]))));
    }
    Ok(nodes)
}

fn decode_node(document: NodeDocument<'_>) -> Result<Node> {
    let bad = |what: &str| malformed("a tree", format!("{what} of {:?}", document.name));
    let name = unquote(&document.name).ok_or_else(|| bad("the name's quoting"))?;
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err(bad("the unsafe name"));
    }
    let time_of = |text: &str| if text.is_empty() { Some(Timestamp::default()) } else { time::parse(text) };
    let base64 = |text: &str| STANDARD.decode(text).ok();
    let kind = match &*document.kind {
        "file" => NodeKind::File,
        "dir" => NodeKind::Directory,
        "symlink" => NodeKind::Symlink,
        "dev" => NodeKind::BlockDevice,
        "chardev" => NodeKind::CharacterDevice,
        "fifo" => NodeKind::Fifo,
        _ => NodeKind::Other,
    };
    if kind == NodeKind::Directory && document.subtree.is_none() {
        return Err(bad("the missing subtree"));
    }
    let link_target = match &document.linktarget_raw {
        Some(raw) => base64(raw).ok_or_else(|| bad("the link target"))?,
        None => document.linktarget.clone().into_bytes(),
    };
    let mut xattrs = Vec::new();
    for xattr in document.extended_attributes.iter().flatten() {
        let value = base64(xattr.value.as_deref().unwrap_or_default()).ok_or_else(|| bad("an extended attribute"))?;
        xattrs.push((xattr.name.clone().into_bytes(), value));
    }
    let sparse =
        document.generic_attributes.as_ref().is_some_and(|attributes| attributes.contains_key(SPARSE_ATTRIBUTE));
    let modified = time_of(&document.mtime).ok_or_else(|| bad("the time"))?;
    let changed = time_of(&document.ctime).ok_or_else(|| bad("the time"))?;
    Ok(Node {
        name,
        kind,
        mode: from_go_permissions(document.mode),
        modified,
        changed,
        uid: document.uid,
        gid: document.gid,
        user: document.user,
        group: document.group,
        inode: document.inode,
        device_id: document.device_id,
        size: document.size,
        links: document.links,
        link_target,
        xattrs,
        device: document.device,
        sparse,
        content: document.content.unwrap_or_default(),
        subtree: document.subtree,
    })
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
        node.user = "a<b".to_owned();
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
                (node.user, node.group) = (text.clone(), text);
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
