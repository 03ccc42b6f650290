//! Every parser of bytes from outside, for fuzzing: none may panic, and what one accepts must mean the same when it is
//! written again.

use super::format::{config, index_file, key_file, lock_file, mark_file, pack, quote, snapshot, tree, unpacked};

/// A pack's header, opened. The first eight bytes say how long the blobs before it are.
pub fn pack_header(input: &[u8]) {
    if let Some((length, header)) = input.split_first_chunk::<8>() {
        let _ = pack::read_header(header, u64::from_le_bytes(*length));
        let body = pack::read_header(header, 0).map(|blobs| pack::size_bytes(&blobs));
        assert!(body.is_err() || header.is_empty());
    }
}

/// An index file's JSON.
pub fn index(input: &[u8]) {
    if let Some(packs) = index_file::decode_usual(input) {
        assert!(index_file::decode_any(input).is_ok_and(|any| any == packs));
    }
    if let Ok(packs) = index_file::decode(input)
        && let Ok(json) = index_file::encode(&packs)
    {
        assert!(index_file::decode(&json).is_ok_and(|again| again == packs));
    }
}

/// A tree's JSON.
pub fn tree(input: &[u8]) {
    if let Some(nodes) = tree::decode_usual(input) {
        assert!(tree::decode_any(input).is_ok_and(|any| any == nodes));
    }
    if let Ok(nodes) = tree::decode(input) {
        let json = tree::encode(&nodes);
        // Times outside the years that can be written are moved into them; all else stays.
        assert!(tree::decode(&json).is_ok_and(|again| tree::encode(&again) == json));
    }
}

/// A snapshot's JSON.
pub fn snapshot(input: &[u8]) {
    if let Ok(file) = snapshot::SnapshotFile::decode(input)
        && let Ok(json) = file.encode()
    {
        assert!(snapshot::SnapshotFile::decode(&json).is_ok());
    }
}

/// A lock's JSON, and a mark's.
pub fn lock(input: &[u8]) {
    let _ = lock_file::LockFile::decode(input);
    let _ = mark_file::MarkFile::decode(input);
}

/// A key file's JSON. scrypt itself is left out: its cost is bounded by the parameters that are checked here.
pub fn key(input: &[u8]) {
    let _ = key_file::KeyFile::decode(input);
    let _ = super::crypto::MasterKey::from_document(input);
}

/// The config's JSON.
pub fn config(input: &[u8]) {
    let _ = config::Config::decode(input);
}

/// A document's plaintext: JSON, or zstd behind a byte.
pub fn document(input: &[u8]) {
    let _ = unpacked::decode(input, "a document");
}

/// A quoted name.
pub fn name(input: &[u8]) {
    assert!(quote::unquote(&quote::quote(input)).as_deref() == Some(input));
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = quote::unquote(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::crypto::MasterKey;
    use super::super::format::tree::{Node, NodeKind};
    use super::super::id::Id;
    use super::*;
    use crate::entry::Timestamp;

    /// A small generator (splitmix64): the same on every machine.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            (self.next() % end.max(1) as u64) as usize
        }
    }

    fn mutated(sample: &[u8], random: &mut Random) -> Vec<u8> {
        const PIECES: [&[u8]; 8] = [b"\"", b"\\x00", b"null", b"-1", b"[[[[", b"\xff", b"99999999999999999999", b"../"];
        let mut bytes = sample.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            let end = (at + random.below(80)).min(bytes.len());
            match random.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            }
        }
        bytes
    }

    /// Seconds of what cargo-fuzz does for hours. STRONGROOM_FUZZ_SEED repeats a run, STRONGROOM_FUZZ_CASES makes it longer.
    fn fuzz(sample: &[u8], body: fn(&[u8])) {
        let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let mut random = Random(setting("STRONGROOM_FUZZ_SEED").unwrap_or(20_261_122));
        body(&[]);
        body(sample);
        for _ in 0..setting("STRONGROOM_FUZZ_CASES").unwrap_or(3000) {
            body(&mutated(sample, &mut random));
        }
    }

    fn node(kind: NodeKind) -> Node {
        let mut node = Node::new("na\"me \u{200b}".as_bytes(), kind);
        node.mode = 0o4755;
        node.modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 120 };
        node.user = Some("somebody".into());
        node.xattrs = vec![(b"user.x".to_vec(), vec![1, 2, 255])];
        node.sparse = true;
        node.content = vec![Id([1; 32]), Id([2; 32])];
        node.link_target = b"\xff".to_vec();
        node
    }

    #[test]
    fn no_bytes_upset_any_parser() {
        let blobs = [pack::BlobKind::Data, pack::BlobKind::Tree].map(|kind| pack::PackedBlob {
            id: Id([3; 32]),
            kind,
            offset: if kind == pack::BlobKind::Data { 0 } else { 40 },
            length: 40,
            uncompressed_length: Some(99),
        });
        let header: Vec<u8> =
            [&80_u64.to_le_bytes()[..], &[2], &40_u32.to_le_bytes(), &99_u32.to_le_bytes(), &[3; 32]].concat();
        fuzz(&header, pack_header);
        fuzz(&index_file::encode(&[(Id([4; 32]), blobs.to_vec())]).unwrap(), index);
        for kind in [NodeKind::File, NodeKind::Symlink, NodeKind::Fifo] {
            fuzz(&tree::encode(&[node(kind)]), tree);
        }
        let file =
            snapshot::SnapshotFile { tags: vec!["a".to_owned()], parent: Some(Id([5; 32])), ..Default::default() };
        fuzz(&file.encode().unwrap(), snapshot);
        fuzz(br#"{"time":"2015-06-27T12:18:51.759239612+02:00","exclusive":false,"hostname":"k","pid":13607,"packs":[]}"#, lock);
        let master = MasterKey::generate().unwrap();
        let maker = key_file::Maker { hostname: "h", username: "u", time: Timestamp::default() };
        fuzz(&key_file::KeyFile::seal(&master, b"x", &maker).unwrap(), key);
        fuzz(&master.to_document().unwrap(), key);
        fuzz(&config::Config::generate().unwrap().encode().unwrap(), config);
        fuzz(&unpacked::encode(br#"{"packs":[],"more":"words words words"}"#, true).unwrap(), document);
        fuzz("a\"b\\x\u{ad}\u{ff}".as_bytes(), name);
    }
}
