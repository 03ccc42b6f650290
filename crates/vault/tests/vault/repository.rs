//! What the repository engine promises, on our own stores.

use super::repository_samples::{assert_restores, back_up, file, init, other, sample};
use std::sync::Arc;
use vault::repository::WriterOptions;
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
