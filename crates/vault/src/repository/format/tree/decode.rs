//! Trees read: quickly where they are written as usual, by `serde_json` otherwise.

use super::super::quote::unquote;
use super::super::scan::Scanner;
use super::super::{malformed, time};
use super::{Node, NodeKind, SPARSE_ATTRIBUTE};
use crate::entry::Timestamp;
use crate::error::Result;
use crate::repository::id::Id;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[derive(Deserialize)]
struct TreeDocument {
    #[serde(default, deserialize_with = "decode_nodes")]
    nodes: Vec<Node>,
}

#[derive(Deserialize, Default)]
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
    #[serde(borrow, default)]
    user: Cow<'a, str>,
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(borrow, default)]
    linktarget: Cow<'a, str>,
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
    let nodes = match decode_usual(json) {
        Some(nodes) => nodes,
        None => decode_any(json)?,
    };
    let mut names: Vec<&[u8]> = nodes.iter().map(|node| node.name.as_slice()).collect();
    if !names.is_sorted() {
        names.sort_unstable();
    }
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(malformed("a tree", format!("{:?} is in it twice", String::from_utf8_lossy(pair[0]))));
    }
    Ok(nodes)
}

/// A tree in whatever form JSON allows.
pub(crate) fn decode_any(json: &[u8]) -> Result<Vec<Node>> {
    serde_json::from_slice(json).map(|TreeDocument { nodes }| nodes).map_err(|cause| malformed("a tree", cause))
}

/// A tree in the form in which it is [usually](super::scan) written, with nothing unusual in it.
pub(crate) fn decode_usual(json: &[u8]) -> Option<Vec<Node>> {
    let mut scanner = Scanner::new(json);
    let (mut nodes, mut owners) = (Vec::new(), Owners::default());
    scanner.expect(b"{\"nodes\":[")?;
    if !scanner.skip(b"]}") {
        loop {
            nodes.push(decode_node(scan_node(&mut scanner)?, &mut owners).ok()?);
            if scanner.skip(b"]}") {
                break;
            }
            scanner.expect(b",")?;
        }
    }
    scanner.end()?;
    Some(nodes)
}

fn scan_node<'a>(scanner: &mut Scanner<'a>) -> Option<NodeDocument<'a>> {
    let mut node = NodeDocument::default();
    scanner.expect(b"{\"name\":\"")?;
    node.name = scanner.text()?.into();
    scanner.expect(b",\"type\":\"")?;
    node.kind = scanner.text()?.into();
    if scanner.skip(b",\"mode\":") {
        node.mode = scanner.number_u32()?;
    }
    scanner.expect(b",\"mtime\":\"")?;
    node.mtime = scanner.text()?.into();
    scanner.expect(b",\"atime\":\"")?;
    scanner.text()?;
    scanner.expect(b",\"ctime\":\"")?;
    node.ctime = scanner.text()?.into();
    scanner.expect(b",\"uid\":")?;
    node.uid = scanner.number_u32()?;
    scanner.expect(b",\"gid\":")?;
    node.gid = scanner.number_u32()?;
    if scanner.skip(b",\"user\":\"") {
        node.user = scanner.text()?.into();
    }
    if scanner.skip(b",\"group\":\"") {
        node.group = scanner.text()?.into();
    }
    if scanner.skip(b",\"inode\":") {
        node.inode = scanner.number()?;
    }
    if scanner.skip(b",\"device_id\":") {
        node.device_id = scanner.number()?;
    }
    if scanner.skip(b",\"size\":") {
        node.size = scanner.number()?;
    }
    if scanner.skip(b",\"links\":") {
        node.links = scanner.number()?;
    }
    if scanner.skip(b",\"linktarget\":\"") {
        node.linktarget = scanner.text()?.into();
    }
    scanner.expect(b",\"content\":")?;
    if !scanner.skip(b"null") {
        node.content = Some(scan_content(scanner)?);
    }
    if scanner.skip(b",\"subtree\":\"") {
        node.subtree = Some(scanner.id()?);
    }
    scanner.expect(b"}")?;
    Some(node)
}

fn scan_content(scanner: &mut Scanner<'_>) -> Option<Vec<Id>> {
    let mut ids = Vec::new();
    scanner.expect(b"[")?;
    if scanner.skip(b"]") {
        return Some(ids);
    }
    loop {
        scanner.expect(b"\"")?;
        ids.push(scanner.id()?);
        if scanner.skip(b"]") {
            return Some(ids);
        }
        scanner.expect(b",")?;
    }
}

/// Each node is decoded as it is read: a folder of a million files is in memory once, not also as what JSON made of it.
fn decode_nodes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Node>, D::Error> {
    struct Nodes;
    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<Node>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the entries of a folder")
        }
        fn visit_unit<E>(self) -> std::result::Result<Vec<Node>, E> {
            Ok(Vec::new())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut documents: A) -> std::result::Result<Vec<Node>, A::Error> {
            let (mut nodes, mut owners) = (Vec::new(), Owners::default());
            while let Some(document) = documents.next_element::<NodeDocument<'_>>()? {
                nodes.push(decode_node(document, &mut owners).map_err(A::Error::custom)?);
            }
            Ok(nodes)
        }
    }
    deserializer.deserialize_any(Nodes)
}

/// The names of owners that came last: in most folders there is but one of each, which all nodes share.
#[derive(Default)]
struct Owners {
    user: Option<Arc<str>>,
    group: Option<Arc<str>>,
}

fn shared(last: &mut Option<Arc<str>>, name: &str) -> Option<Arc<str>> {
    if last.as_deref() != Some(name) {
        *last = Some(Arc::from(name));
    }
    last.clone().filter(|name| !name.is_empty())
}

/// A node, or what of it is wrong.
fn decode_node(document: NodeDocument<'_>, owners: &mut Owners) -> std::result::Result<Node, String> {
    let bad = |what: &str| format!("{what} of {:?}", document.name);
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
        None => document.linktarget.as_bytes().to_vec(),
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
        user: shared(&mut owners.user, &document.user),
        group: shared(&mut owners.group, &document.group),
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

const fn from_go_permissions(mode: u32) -> u32 {
    (mode & 0o777) | (mode >> 12 & 0o4000) | (mode >> 12 & 0o2000) | (mode >> 11 & 0o1000)
}
