//! Archives of other programs are read; other programs read ours.

use crate::samples::{MANIFEST, Place, contents, file, folder, metadata, noise, options, path, write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use vault::archive::ArchiveFormat;
use vault::compress::Compression;
use vault::{Entry, EntryKind, Key, Metadata};

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn os(bytes: &[u8]) -> std::ffi::OsString {
    std::ffi::OsString::from_vec(bytes.to_vec())
}

fn odd_entries() -> Vec<(Entry, Vec<u8>)> {
    let ours = |mut metadata: Metadata| {
        // Only root may give files away; the test runs as anybody.
        (metadata.uid, metadata.gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        metadata
    };
    let mut entries = vec![
        folder("uploads"),
        file("uploads/plain", "plain"),
        file("uploads/large", noise(3_000_000, 5)),
        file("uploads/empty", ""),
        file("uploads/ümlaut", "umlaut"),
        file(b"uploads/raw \xff\xfe".to_vec(), "raw"),
        file([b"uploads/".to_vec(), vec![0xe9; 150]].concat(), "long and raw"),
        file(format!("uploads/{}/end", "folder-with-a-name".repeat(9)), "long"),
    ];
    let link = |kind, name: &str| (Entry { path: path(name), kind, metadata: metadata(0o777) }, Vec::new());
    entries.push(link(EntryKind::HardLink { target: path("uploads/plain") }, "uploads/hard"));
    entries.push(link(EntryKind::Symlink { target: b"plain".to_vec() }, "uploads/sym"));
    entries.push(link(EntryKind::Symlink { target: vec![0xfe; 120] }, "uploads/sym raw"));
    entries.push(link(EntryKind::Fifo, "uploads/pipe"));
    for (number, (entry, _)) in entries.iter_mut().enumerate().skip(1) {
        entry.metadata = ours(entry.metadata.clone());
        entry.metadata.modified.seconds -= i64::try_from(number).unwrap() * 150_000_000;
    }
    entries[0].0.metadata = ours(entries[0].0.metadata.clone());
    entries[1].0.metadata.xattrs = vec![(b"user.strongroom.test".to_vec(), b"\0binary\xff\n".to_vec())];
    entries
}

/// Whether the entry lies below `folder` as it should.
fn check(folder: &Path, entry: &Entry, content: &[u8]) {
    let at = folder.join(entry.path.to_os_path());
    let found = at.symlink_metadata().unwrap_or_else(|cause| panic!("{}: {cause}", entry.path));
    match &entry.kind {
        EntryKind::Directory => assert!(found.is_dir()),
        EntryKind::File { .. } => assert!(std::fs::read(&at).unwrap() == content, "{}", entry.path),
        EntryKind::HardLink { target } => {
            assert_eq!(found.ino(), folder.join(target.to_os_path()).metadata().unwrap().ino());
            return;
        }
        EntryKind::Symlink { target } => {
            assert_eq!(std::fs::read_link(&at).unwrap().into_os_string(), os(target));
        }
        _ => {}
    }
    if !matches!(entry.kind, EntryKind::Symlink { .. }) {
        assert_eq!(found.permissions().mode() & 0o7777, entry.metadata.mode, "{}", entry.path);
    }
    let time = (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap());
    assert_eq!(time, (entry.metadata.modified.seconds, entry.metadata.modified.nanoseconds), "{}", entry.path);
}

#[test]
fn ordinary_tar_restores_everything() {
    let place = Place::new();
    for (compression, flag) in [
        (Compression::GZIP_DEFAULT, "-xzpf"),
        (Compression::Gzip { level: 1 }, "-xpf"),
        (Compression::ZSTD_DEFAULT, "-xpf"),
        (Compression::None, "-xpf"),
    ] {
        let name = format!("{flag}{compression:?}").replace([' ', ':', '{', '}'], "");
        write(&place, &name, place.settings(ArchiveFormat::Tar, compression, None), &odd_entries());
        for locale in ["C", "C.UTF-8"] {
            let out = tempfile::tempdir_in(place.folder.path()).unwrap();
            let output = Command::new("tar")
                .env("LC_ALL", locale)
                .args(["--xattrs", "--xattrs-include=*", flag])
                .arg(place.path(&name))
                .current_dir(out.path())
                .output()
                .unwrap();
            let complaints = String::from_utf8_lossy(&output.stderr);
            // It finds times before 1970 odd, and restores them.
            let silent = complaints.lines().all(|line| line.contains("implausibly old time stamp"));
            assert!(output.status.success() && silent, "{complaints}");
            for (entry, content) in odd_entries() {
                check(out.path(), &entry, &content);
            }
            assert_eq!(std::fs::read(out.path().join("manifest.json")).unwrap(), MANIFEST);
            let (name, value) = &odd_entries()[1].0.metadata.xattrs[0];
            let mut found = [0; 100];
            let file = out.path().join("uploads/plain");
            let bytes = rustix::fs::getxattr(&file, os(name), &mut found).unwrap();
            assert_eq!(&found[..bytes], value);
        }
    }
}

#[test]
fn pythons_tarfile_reads_names_that_are_not_utf_8() {
    let place = Place::new();
    write(&place, "a", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, None), &odd_entries());
    let script = "import sys, os, tarfile\n\
                  names = {os.fsencode(m.name) for m in tarfile.open(sys.argv[1])}\n\
                  assert b'uploads/raw \\xff\\xfe' in names, names\n\
                  assert b'uploads/' + b'\\xe9' * 150 in names, names";
    run("python3", &["-c", script, place.path("a").to_str().unwrap()], place.folder.path());
}

#[test]
fn archives_of_gnu_tar_are_read() {
    let place = Place::new();
    let source = place.folder.path().join("source");
    write(&place, "ours", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, None), &odd_entries());
    std::fs::create_dir(&source).unwrap();
    run("tar", &["--xattrs", "-xpf", place.path("ours").to_str().unwrap()], &source);
    for (format, compress) in [("gnu", "-z"), ("pax", "--zstd"), ("gnu", "--no-auto-compress")] {
        let name = format!("{format}{compress}");
        let archive = place.path(&name);
        let arguments = [
            "--format",
            format,
            compress,
            "--xattrs",
            "-cf",
            archive.to_str().unwrap(),
            "./uploads",
            "./manifest.json",
        ];
        run("tar", &arguments, &source);
        let mut reader = place.open(&name, &options(&[])).unwrap();
        let seen = contents(&mut *reader).unwrap();
        assert_eq!(reader.manifest().unwrap(), MANIFEST);
        for (expected, content) in odd_entries() {
            // Folders come into being without an entry of their own in ours; which of two hard links is first is open.
            let Some((entry, bytes)) = seen.iter().find(|(entry, _)| entry.path == expected.path) else {
                panic!("{name}: {} is missing", expected.path)
            };
            if !expected.path.as_bytes().ends_with(b"hard") && !expected.path.as_bytes().ends_with(b"plain") {
                assert_eq!(entry.kind, expected.kind, "{name}");
                assert!(*bytes == content, "{name}: {}", expected.path);
                assert_eq!(entry.metadata.modified.seconds, expected.metadata.modified.seconds);
            }
        }
    }
}

#[test]
fn an_archive_of_nodes_archiver_is_read() {
    let file = std::fs::File::open(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/archives/foreign/node-archiver.tar.gz"
    ))
    .unwrap();
    let mut reader = vault::archive::open_object(Box::new(file), &options(&[])).unwrap();
    let seen = contents(&mut *reader).unwrap();
    let paths: Vec<String> = seen.iter().map(|(entry, _)| entry.path.to_string()).collect();
    let long = format!("uploads/{}ünïcode file.txt", "folder-with-a-long-name/".repeat(8));
    assert_eq!(paths, ["uploads/hello.txt", "database/dump.json", &long, "uploads/empty", "uploads/link"]);
    assert_eq!(seen[0].1, b"hello from node\n");
    assert_eq!(seen[0].0.metadata.mode, 0o640);
    assert_eq!(seen[4].0.kind, EntryKind::Symlink { target: b"hello.txt".to_vec() });
    assert_eq!(reader.manifest().unwrap(), br#"{"version":"1.0.0","components":["database","uploads"]}"#);
}

#[test]
fn an_envelope_of_another_program_opens() {
    let place = Place::new();
    let script = "const c=require('crypto'),z=require('zlib'),f=require('fs');\
                  const k=Buffer.alloc(32,6),iv=c.randomBytes(16),e=c.createCipheriv('aes-256-gcm',k,iv);\
                  const x=Buffer.concat([e.update(z.gzipSync('{\"tables\":{\"users\":[{\"id\":1}]}}')),e.final()]);\
                  f.writeFileSync(process.argv[1],Buffer.concat([iv,e.getAuthTag(),x]));";
    run("node", &["-e", script, place.path("erp.enc").to_str().unwrap()], place.folder.path());
    let mut reader = place.open("erp.enc", &options(&[Key::from_bytes([6; 32])])).unwrap();
    let seen = contents(&mut *reader).unwrap();
    assert_eq!(seen[0].0.path, path("database/database.json"));
    assert_eq!(seen[0].1, br#"{"tables":{"users":[{"id":1}]}}"#);
    assert_eq!(reader.manifest().unwrap_err().kind(), vault::ErrorKind::NotABackup);
}

#[test]
fn stock_gzip_and_zstd_test_ours_without_complaint() {
    let place = Place::new();
    for (compression, name, program) in
        [(Compression::GZIP_DEFAULT, "a.gz", "gzip"), (Compression::ZSTD_DEFAULT, "a.zst", "zstd")]
    {
        write(&place, name, place.settings(ArchiveFormat::Tar, compression, None), &odd_entries());
        run(program, &["-t", place.path(name).to_str().unwrap()], place.folder.path());
    }
}
