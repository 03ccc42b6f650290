//! Trees written.

use super::super::quote::{quote, write_json_string};
use super::super::time;
use super::{Node, NodeKind, SPARSE_ATTRIBUTE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

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

impl Node {
    fn write(&self, out: &mut String) {
        let text = |key: &str, value: Option<&str>, out: &mut String| {
            if let Some(value) = value {
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
        text("user", self.user.as_deref(), out);
        text("group", self.group.as_deref(), out);
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
        // A comma, quotation marks and digits in one piece: a database has a quarter of a million blobs.
        let mut quoted = [b'"'; 67];
        quoted[0] = b',';
        out.reserve(self.content.len() * quoted.len());
        for (position, id) in self.content.iter().enumerate() {
            // The buffer has the right length and hex digits are ASCII: neither can fail.
            let _ = hex::encode_to_slice(id.0, &mut quoted[2..66]);
            out.push_str(std::str::from_utf8(&quoted[usize::from(position == 0)..]).unwrap_or_default());
        }
        out.push(']');
    }
}

/// Go keeps setuid, setgid and sticky elsewhere than Unix.
const fn to_go_permissions(mode: u32) -> u32 {
    (mode & 0o777) | (mode & 0o4000) << 12 | (mode & 0o2000) << 12 | (mode & 0o1000) << 11
}
