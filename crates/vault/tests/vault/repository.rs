//! What the repository engine promises, on our own stores.

use super::repository_samples::{assert_restores, back_up, file, init, noise, other, sample};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::repository::{CheckDepth, WriterOptions};
use vault::store::LocalStore;
use vault::{Entry, EntryKind, EntryWriter, Silent};

#[test]
fn what_is_backed_up_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(folder.path()).unwrap()));
    let first = back_up(&repository, &sample(1), None, 2).unwrap();
    let second = back_up(&repository, &sample(2), Some(first), 0).unwrap();
    assert_restores(&repository, first, &sample(1));
    assert_restores(&repository, second, &sample(2));
}

#[test]
fn every_entry_comes_back_in_its_own_folder() {
    let store = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(store.path()).unwrap()));
    let folder = |path: &str| other(path.as_bytes(), EntryKind::Directory);
    let entries = [
        folder("data"),
        file("data/a", b"1", 1),
        folder("data/empty"),
        file("data/f", b"2", 2),
        folder("data/g"),
        folder("data/g/deep"),
        file("data/g/deep/x", b"3", 3),
        file("data/g/y", b"4", 4),
        folder("data/h"),
        // Its folder is described after what lies in it.
        file("data/i/x", b"5", 5),
        folder("data/i"),
        file("data/i/y", b"6", 6),
        file("data/z", b"7", 7),
        file("other/a", b"8", 8),
    ];
    let first = back_up(&repository, &entries, None, 2).unwrap();
    assert_restores(&repository, first, &entries);
    let again = back_up(&repository, &entries, Some(first), 0).unwrap();
    assert_restores(&repository, again, &entries);
}

#[test]
fn the_attributes_of_a_file_are_known_while_its_inode_did_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(folder.path()).unwrap()));
    let (mut plain, content) = file("data/plain", b"same", 1);
    plain.metadata.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())];
    let (mut strange, _) = file("data/strange", b"same", 2);
    strange.metadata.xattrs = vec![(b"user.\xff".to_vec(), b"1".to_vec())];
    let entries = [(plain.clone(), content.clone()), (strange.clone(), content)];
    let parent = back_up(&repository, &entries, None, 0).unwrap();

    let options = WriterOptions { parent: Some(parent), threads: 0, ..WriterOptions::default() };
    let mut writer = repository.writer(options.clone(), Arc::new(Silent)).unwrap();
    let mut known =
        |entry: &Entry, size_bytes| writer.known_attributes(&entry.path, size_bytes, &entry.metadata).unwrap();
    assert_eq!(known(&plain, 4), Some(plain.metadata.xattrs.clone()));
    assert_eq!(known(&plain, 5), None);
    // It was not kept whole, so it must be read, and complained of, again.
    assert_eq!(known(&strange, 4), None);
    plain.metadata.changed.seconds += 1;
    assert_eq!(known(&plain, 4), None);
    drop(writer);

    let mut all_anew = repository.writer(WriterOptions { force_reread: true, ..options }, Arc::new(Silent)).unwrap();
    plain.metadata.changed.seconds -= 1;
    assert_eq!(all_anew.known_attributes(&plain.path, 4, &plain.metadata).unwrap(), None);
}

/// Every file below a folder, the largest first.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    files
}

#[test]
fn what_is_unchanged_stays_and_what_was_lost_is_read_again() {
    let store = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(store.path()).unwrap()));
    let folder = |path: &str| other(path.as_bytes(), EntryKind::Directory);
    let lost = noise(20_000, 1);
    let all = [
        folder("data"),
        file("data/a", b"one", 1),
        file("data/lost", &lost, 2),
        folder("data/sub"),
        file("data/sub/b", b"two", 3),
        file("data/z", b"three", 4),
    ];
    // Content that will be lost lies in packs of its own.
    let packs = || files_below(&store.path().join("data"));
    let parent = back_up(&repository, &all[..2], None, 0).unwrap();
    let before = packs();
    let parent = back_up(&repository, &all[..3], Some(parent), 0).unwrap();
    let pack = packs().into_iter().find(|pack| !before.contains(pack)).unwrap();
    let second = back_up(&repository, &all, Some(parent), 0).unwrap();
    let tree = |id| repository.snapshot(id).unwrap().tree;
    for threads in [0, 2] {
        let third = back_up(&repository, &all, Some(second), threads).unwrap();
        assert_eq!(tree(third), tree(second));
        assert_restores(&repository, third, &all);
        // One more, one less, one with other permissions: the rest stands where it stood.
        let mut changed = all.clone();
        changed[1].0.metadata.mode = 0o600;
        changed[5] = file("data/zz", b"four", 5);
        let fourth = back_up(&repository, &changed, Some(third), threads).unwrap();
        assert_ne!(tree(fourth), tree(second));
        assert_restores(&repository, fourth, &changed);
    }
    fs::remove_file(&pack).unwrap();
    let report = repository.check(CheckDepth::Index, &Silent).unwrap();
    let mut lost: Vec<_> = report.lost.iter().map(|file| String::from_utf8_lossy(&file.path).into_owned()).collect();
    lost.dedup();
    assert_eq!(lost, ["data/lost"]);
    // It is gone from the application too: the folder of the parent, which still names it, is not that folder again.
    let without: Vec<_> = all.iter().filter(|(entry, _)| entry.path.as_bytes() != b"data/lost").cloned().collect();
    for threads in [0, 2] {
        let next = back_up(&repository, &without, Some(second), threads).unwrap();
        assert_restores(&repository, next, &without);
        let mended = back_up(&repository, &all, Some(second), threads).unwrap();
        assert_restores(&repository, mended, &all);
    }
    assert_restores(&repository, second, &all);
}

#[test]
fn large_indexes_are_read_beside_each_other() {
    let store = tempfile::tempdir().unwrap();
    let repository = init(Arc::new(LocalStore::open(store.path()).unwrap()));
    let mut snapshots = Vec::new();
    for part in 0..4_u64 {
        let entries: Vec<_> =
            (0..1500).map(|n| file(&format!("data/{n:04}"), &(part * 10_000 + n).to_le_bytes(), n + 1)).collect();
        snapshots.push((back_up(&repository, &entries, None, 2).unwrap(), entries));
    }
    let indexes = files_below(&store.path().join("index"));
    let bytes: u64 = indexes.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(indexes.len() >= 4 && bytes > 128 << 10, "{} of {bytes} bytes", indexes.len());
    for (id, entries) in &snapshots {
        assert_restores(&repository, *id, entries);
    }
    let sound = repository.check(CheckDepth::Everything, &Silent).unwrap();
    assert!(sound.is_sound() && sound.blobs >= 6000, "{:?}", sound.findings);
    let damaged = indexes[0].file_name().unwrap().to_str().unwrap();
    let mut content = fs::read(&indexes[0]).unwrap();
    content[100] ^= 1;
    fs::write(&indexes[0], content).unwrap();
    let report = repository.check(CheckDepth::Index, &Silent).unwrap();
    let named = report.findings.iter().filter(|finding| finding.is_damage && finding.object.starts_with("index/"));
    assert_eq!(named.map(|finding| finding.object.clone()).collect::<Vec<_>>(), [format!("index/{damaged}")]);
    assert!(report.snapshots == 4 && !report.lost.is_empty());
}
