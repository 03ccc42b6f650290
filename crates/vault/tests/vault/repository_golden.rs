//! Repositories as they were once written must be readable for ever: `testdata/repositories/`, made once, never edited. One
//! of ours for each change of what we write, and one of stock restic's for each version of the format.

use super::repository_samples::{
    Clock, assert_restores, back_up, file, key, noise, options, other, restore, restore_below,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use vault::repository::{CheckDepth, Repository, Secret};
use vault::store::LocalStore;
use vault::{Entry, EntryKind, EntryPath, Selection, Silent};

const PASSWORD: &str = "a password of a person";
/// Our own, by the change that asked for a new one.
const OURS: [&str; 1] = ["strongroom-1"];
/// restic's, by the format's version.
const RESTICS: [(&str, &str); 2] = [("restic-0.14-v1", "1"), ("restic-0.14-v2", "2")];

fn folder(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/repositories")).join(name)
}

/// A copy: opening writes a lock.
fn copy(name: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(folder(name).join(".")).arg(place.path()).status().unwrap();
    assert!(copied.success());
    place
}

fn open(place: &Path, secret: Secret<'_>) -> Repository {
    let store = Arc::new(LocalStore::open(place).unwrap());
    Repository::open(store, secret, Clock::default().environment("here"), options()).unwrap()
}

/// Everything that an entry can be. `day` varies a part.
fn entries(day: u64) -> Vec<(Entry, Vec<u8>)> {
    let mut first = file("c/first", b"linked", 5);
    (first.0.metadata.links, first.0.metadata.device) = (2, 77);
    let mut second = first.clone();
    second.0.path = EntryPath::new("c/second").unwrap();
    second.0.kind = EntryKind::HardLink { target: EntryPath::new("c/first").unwrap() };
    second.1.clear();
    let mut sparse = file("c/sparse", &vec![0; 50_000], 6);
    sparse.0.metadata.sparse = true;
    let mut attributes = file("c/xattr", b"x", 8);
    attributes.0.metadata.xattrs = vec![(b"user.colour".to_vec(), vec![0, 255, 1])];
    attributes.0.metadata.user = Some("somebody <&>".into());
    attributes.0.metadata.mode = 0o4755;
    let mut raw = file("c/x", b"not utf-8", 9);
    raw.0.path = EntryPath::new(b"c/\xff\xfe \"q\" \\ \n\xc2\xad".to_vec()).unwrap();
    vec![
        other(b"c", EntryKind::Directory),
        first,
        second,
        sparse,
        attributes,
        raw,
        other(b"c/fifo", EntryKind::Fifo),
        other(b"c/null", EntryKind::Device { character: true, major: 1, minor: 3 }),
        other(b"c/soft", EntryKind::Symlink { target: b"\xffaway".to_vec() }),
        other(b"c/void", EntryKind::Directory),
        file("d/day", &noise(3000, day), 100 + day),
        file("d/empty", b"", 10),
        file("d/noise", &noise(20_000, 7), 11),
        file("d/text", &b"All work and no play makes a dull day. ".repeat(500), 12),
    ]
}

/// What restic was given.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("quo\"te\\ \n \u{200b}", b"strange".to_vec()),
        ("sub/noise", noise(20_000, 8)),
        ("sub/text", b"words ".repeat(5000)),
    ]
}

#[test]
fn our_own_repositories_are_read() {
    for name in OURS {
        let place = copy(name);
        let repository = open(place.path(), Secret::Keys(&[key()]));
        let report = repository.check(CheckDepth::Everything, &Silent).unwrap();
        assert!(report.is_sound() && report.findings.is_empty(), "{name}: {:?}", report.findings);
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), 2, "{name}");
        for (snapshot, day) in snapshots.iter().zip(1..) {
            assert_eq!(snapshot.tags, [format!("day:{day}")]);
            assert_restores(&repository, snapshot.id, &entries(day));
        }
        // And it goes on.
        let next = back_up(&repository, &entries(3), Some(snapshots[1].id), 2).unwrap();
        assert_restores(&repository, next, &entries(3));
    }
}

#[test]
fn restics_repositories_of_both_versions_are_read() {
    for (name, _) in RESTICS {
        let place = copy(name);
        let repository = open(place.path(), Secret::Password(PASSWORD));
        let report = repository.check(CheckDepth::Everything, &Silent).unwrap();
        assert!(report.is_sound() && report.findings.is_empty(), "{name}: {:?}", report.findings);
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), 1, "{name}");
        let tree = restore(&repository, snapshots[0].id).unwrap();
        for (path, content) in contents() {
            assert!(tree[[b"source/", path.as_bytes()].concat().as_slice()].2 == content, "{name}: {path}");
        }
        let kind = |path: &str| tree[path.as_bytes()].0.clone();
        assert_eq!(kind("source/link"), EntryKind::Symlink { target: b"empty".to_vec() });
        let target = EntryPath::new("source/sub/noise").unwrap();
        assert_eq!(kind("source/sub/noise too"), EntryKind::HardLink { target });
        let below = restore_below(&repository, snapshots[0].id, &Selection::below([b"source/sub".as_slice()])).unwrap();
        assert!(below.keys().all(|path| path.starts_with(b"source/sub")) && below.len() == 4, "{:?}", below.keys());
        let next = back_up(&repository, &entries(3), None, 2).unwrap();
        assert_restores(&repository, next, &entries(3));
    }
}

#[test]
fn every_golden_repository_is_tested() {
    let mut known: Vec<&str> = OURS.into_iter().chain(RESTICS.map(|(name, _)| name)).collect();
    known.sort_unstable();
    let mut found: Vec<String> =
        std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, known);
}

#[test]
#[ignore = "makes golden repositories that do not exist yet; existing ones are never touched"]
fn missing_golden_repositories_are_made() {
    for name in OURS.into_iter().filter(|name| !folder(name).exists()) {
        let store = Arc::new(LocalStore::create_root(folder(name)).unwrap());
        let environment = Clock::default().environment("here");
        let repository = Repository::init(store, &key(), environment, options()).unwrap();
        let mut parent = None;
        for day in 1..=2_i64 {
            let time = vault::Timestamp { seconds: 1_790_000_000 + day * 86_400, nanoseconds: 0 };
            let options = vault::repository::WriterOptions {
                parent,
                time: Some(time),
                tags: vec![format!("day:{day}")],
                ..vault::repository::WriterOptions::default()
            };
            let mut writer = repository.writer(options, Arc::new(Silent)).unwrap();
            for (entry, content) in entries(day.cast_unsigned()) {
                vault::EntryWriter::write(&mut writer, &entry, Some(&mut content.as_slice())).unwrap();
            }
            let committed = vault::EntryWriter::commit(Box::new(writer), b"{\"of\":\"tests\"}").unwrap();
            parent = Some(vault::repository::Id::parse(&committed.location).unwrap());
        }
    }
    for (name, version) in RESTICS.into_iter().filter(|(name, _)| !folder(name).exists()) {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        std::fs::create_dir_all(source.join("sub")).unwrap();
        for (path, content) in contents() {
            std::fs::write(source.join(path), content).unwrap();
        }
        std::fs::hard_link(source.join("sub/noise"), source.join("sub/noise too")).unwrap();
        std::os::unix::fs::symlink("empty", source.join("link")).unwrap();
        for arguments in [["init", "--repository-version", version].as_slice(), &["backup", "source"]] {
            let status = Command::new("restic")
                .args(["--no-cache", "-r"])
                .arg(folder(name))
                .args(arguments)
                .env("RESTIC_PASSWORD", PASSWORD)
                .current_dir(place.path())
                .status();
            assert!(status.unwrap().success());
        }
    }
}
