//! Archives: what goes in comes out, in every format; what is wrong is said.

use crate::samples::{MANIFEST, Place, contents, file, folder, key, metadata, noise, options, path, write};
use vault::archive::{ArchiveFormat, hash_stored};
use vault::compress::Compression;
use vault::{Entry, EntryKind, Timestamp};

const COMPRESSIONS: [Compression; 3] = [Compression::GZIP_DEFAULT, Compression::ZSTD_DEFAULT, Compression::None];

fn tree() -> Vec<(Entry, Vec<u8>)> {
    let mut entries = vec![folder("uploads"), folder("uploads/a")];
    entries.push(file("uploads/a/small.txt", "hello"));
    entries.push(file("uploads/a/empty", ""));
    entries.push(file("uploads/a/large.bin", noise(5_000_000, 1)));
    entries.push(file("uploads/ü ñ.txt", "umlaut"));
    entries.push(file(b"uploads/\xff\xfe not utf-8".to_vec(), "bytes"));
    entries.push(file(format!("uploads/{}", "long/".repeat(80) + "end"), "long"));
    entries.push(file([b"uploads/".to_vec(), vec![0xe4; 200]].concat(), "long and not utf-8"));
    let link = |kind, name| (Entry { path: path(name), kind, metadata: metadata(0o777) }, Vec::new());
    entries.push(link(EntryKind::HardLink { target: path("uploads/a/small.txt") }, "uploads/hard"));
    entries.push(link(EntryKind::Symlink { target: b"../../\xff/anywhere".to_vec() }, "uploads/sym"));
    entries.push(link(EntryKind::Symlink { target: vec![b'x'; 300] }, "uploads/sym-long"));
    entries.push(link(EntryKind::Fifo, "uploads/pipe"));
    let (mut odd, content) = file("uploads/odd", "odd");
    odd.metadata.mode = 0o6755;
    odd.metadata.uid = u32::MAX - 1;
    odd.metadata.gid = 3_000_000;
    odd.metadata.user = Some("jürgen".into());
    odd.metadata.group = Some("a-group-with-a-name-that-is-too-long-for-ustar".into());
    odd.metadata.modified = Timestamp { seconds: -3, nanoseconds: 5 };
    odd.metadata.xattrs = vec![(b"user.a=b%".to_vec(), vec![0, b'\n', 255]), (b"user.z".to_vec(), Vec::new())];
    odd.metadata.sparse = true;
    entries.push((odd, content));
    entries
}

#[test]
fn a_tree_comes_back_from_every_kind_of_tar_archive() {
    let place = Place::new();
    for (number, compression) in COMPRESSIONS.into_iter().enumerate() {
        for encryption in [None, Some(key(5))] {
            let name = format!("{number}-{}", encryption.is_some());
            let settings = place.settings(ArchiveFormat::Tar, compression, encryption);
            let committed = write(&place, &name, settings, &tree());
            assert_eq!(committed.stored_bytes, std::fs::metadata(place.path(&name)).unwrap().len());
            assert_eq!(committed.sha256, Some(hash_stored(&place.store, &name).unwrap()));
            let mut reader = place.open(&name, &options(&[key(4), key(5)])).unwrap();
            assert_eq!(reader.manifest().unwrap(), MANIFEST);
            assert_eq!(contents(&mut *reader).unwrap(), tree(), "{name}");
            assert_eq!(reader.manifest().unwrap(), MANIFEST, "a second time");
        }
    }
}

#[test]
fn a_document_comes_back_from_every_kind_of_json_archive() {
    let document = format!(
        r#"{{"strongroom":{{"version":1,"component":"crm"}},"tables":{{"a}}\"":["{}"]}}}}"#,
        "x".repeat(3_000_000)
    );
    let place = Place::new();
    for (number, compression) in COMPRESSIONS.into_iter().enumerate() {
        for encryption in [None, Some(key(5))] {
            let name = format!("{number}-{}", encryption.is_some());
            let settings = place.settings(ArchiveFormat::Json, compression, encryption);
            write(&place, &name, settings, &[file("crm/crm.json", document.as_bytes())]);
            let mut reader = place.open(&name, &options(&[key(5)])).unwrap();
            assert_eq!(reader.manifest().unwrap(), MANIFEST);
            let seen = contents(&mut *reader).unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].0.path, path("crm/crm.json"));
            let back: serde_json::Value = serde_json::from_slice(&seen[0].1).unwrap();
            let mut expected: serde_json::Value = serde_json::from_str(&document).unwrap();
            expected["entry"] = "crm/crm.json".into();
            expected["manifest"] = serde_json::from_slice(MANIFEST).unwrap();
            assert_eq!(back, expected);
        }
    }
}
