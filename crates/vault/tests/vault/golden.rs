//! Archives as version 1 wrote them must be readable for ever: `testdata/archives/v1/`, made once, never edited.

use crate::samples::{MANIFEST, Place, contents, file, folder, key, metadata, noise, options, path, write};
use crate::sidecars::public;
use std::path::PathBuf;
use vault::archive::{ArchiveFormat, open_object, sidecar};
use vault::compress::Compression;
use vault::{Entry, EntryKind, Timestamp};

const DOCUMENT: &str = r#"{"strongroom":{"version":1,"component":"crm"},"tables":{"t":[[1,"x"]]}}"#;

fn folder_of_golden_files() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives/v1"))
}

fn archives() -> Vec<(&'static str, ArchiveFormat, Compression, bool)> {
    use ArchiveFormat::{Json, Tar};
    vec![
        ("tree.tar", Tar, Compression::None, false),
        ("tree.tar.gz", Tar, Compression::GZIP_DEFAULT, false),
        ("tree.tar.gz.enc", Tar, Compression::GZIP_DEFAULT, true),
        ("tree.tar.zst", Tar, Compression::ZSTD_DEFAULT, false),
        ("tree.tar.zst.enc", Tar, Compression::ZSTD_DEFAULT, true),
        ("document.json.gz", Json, Compression::GZIP_DEFAULT, false),
        ("document.enc", Json, Compression::GZIP_DEFAULT, true),
    ]
}

fn entries(format: ArchiveFormat) -> Vec<(Entry, Vec<u8>)> {
    if format == ArchiveFormat::Json {
        return vec![file("crm/crm.json", DOCUMENT)];
    }
    let link = |kind, name| (Entry { path: path(name), kind, metadata: metadata(0o777) }, Vec::new());
    let mut odd = file(b"uploads/\xff odd".to_vec(), "odd");
    odd.0.metadata.xattrs = vec![(b"user.a=b".to_vec(), vec![0, 255])];
    odd.0.metadata.sparse = true;
    odd.0.metadata.uid = 3_000_000;
    odd.0.metadata.user = Some("jürgen".into());
    odd.0.metadata.modified = Timestamp { seconds: -2, nanoseconds: 500_000_000 };
    vec![
        folder("uploads"),
        file("uploads/noise", noise(10_000, 1)),
        file(format!("uploads/{}", "long".repeat(50)), "long"),
        link(EntryKind::HardLink { target: path("uploads/noise") }, "uploads/hard"),
        link(EntryKind::Symlink { target: b"../noise".to_vec() }, "uploads/sym"),
        link(EntryKind::Fifo, "uploads/pipe"),
        odd,
    ]
}

#[test]
fn every_archive_of_version_1_is_read() {
    for (name, format, _, _) in archives() {
        let object = std::fs::File::open(folder_of_golden_files().join(name)).unwrap();
        let mut reader = open_object(Box::new(object), &options(&[key(1)])).unwrap();
        assert_eq!(reader.manifest().unwrap(), MANIFEST, "{name}");
        let seen = contents(&mut *reader).unwrap();
        if format == ArchiveFormat::Tar {
            assert_eq!(seen, entries(format), "{name}");
        } else {
            let manifest = std::str::from_utf8(MANIFEST).unwrap();
            let document =
                format!("{},\"entry\":\"crm/crm.json\",\"manifest\":{manifest}}}\n", &DOCUMENT[..DOCUMENT.len() - 1]);
            assert_eq!((seen[0].0.path.to_string(), &seen[0].1[..]), ("crm/crm.json".to_owned(), document.as_bytes()));
        }
    }
    for (name, fingerprint) in [("sealed.manifest.json", Some(key(1).fingerprint())), ("plain.manifest.json", None)] {
        let bytes = std::fs::read(folder_of_golden_files().join(name)).unwrap();
        let sidecar = sidecar::decode(&bytes).unwrap();
        assert_eq!(sidecar.public, public(fingerprint));
        assert_eq!(sidecar.manifest(&[key(1)]).unwrap(), MANIFEST);
    }
}

#[test]
fn every_golden_file_is_tested() {
    let mut known: Vec<String> = archives().into_iter().map(|(name, ..)| name.to_owned()).collect();
    known.extend(["sealed.manifest.json".to_owned(), "plain.manifest.json".to_owned()]);
    known.sort();
    let listing = std::fs::read_dir(folder_of_golden_files()).unwrap();
    let mut found: Vec<String> = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, known);
}

#[test]
#[ignore = "makes golden files that do not exist yet; existing ones are never touched"]
fn missing_golden_files_are_made() {
    let place = Place::new();
    let keep = |name: &str, bytes: Vec<u8>| {
        let target = folder_of_golden_files().join(name);
        if !target.exists() {
            std::fs::write(target, bytes).unwrap();
        }
    };
    for (name, format, compression, encrypted) in archives() {
        write(&place, name, place.settings(format, compression, encrypted.then(|| key(1))), &entries(format));
        keep(name, std::fs::read(place.path(name)).unwrap());
    }
    let sealed = sidecar::encode(public(Some(key(1).fingerprint())), MANIFEST, Some(&key(1))).unwrap();
    keep("sealed.manifest.json", sealed);
    keep("plain.manifest.json", sidecar::encode(public(None), MANIFEST, None).unwrap());
}
