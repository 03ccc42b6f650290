//! What every store must pass: the clauses at the head of `vault::store`, as far as a test can see them. Durability it
//! cannot.

use std::io::{Read, Seek, SeekFrom, Write};
use vault::ErrorKind;
use vault::store::{LocalStore, Store};

/// The whole suite, on an empty store.
pub fn conforms(store: &dyn Store) {
    an_object_comes_back(store);
    an_unfinished_object_is_invisible(store);
    the_head_can_be_rewritten(store);
    nothing_is_overwritten(store);
    reading_beyond_the_end_is_said(store);
    a_missing_object_is_not_found(store);
    unsafe_names_are_refused(store);
    listing_finds_what_lies_below(store);
    removing_is_idempotent(store);
}

fn an_object_comes_back(store: &dyn Store) {
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = store.create("objects/one").unwrap();
    for piece in content.chunks(100_001) {
        writer.write_all(piece).unwrap();
    }
    let info = writer.finish().unwrap();
    assert_eq!((info.name.as_str(), info.size_bytes), ("objects/one", content.len() as u64));
    assert_eq!(store.stat("objects/one").unwrap().unwrap().size_bytes, content.len() as u64);
    let mut reader = store.open("objects/one").unwrap();
    let mut back = Vec::new();
    reader.read_to_end(&mut back).unwrap();
    assert!(back == content);
    reader.seek(SeekFrom::Start(1_000_000)).unwrap();
    let mut part = [0; 5];
    reader.read_exact(&mut part).unwrap();
    assert_eq!(part, content[1_000_000..1_000_005]);
    assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), content.len() as u64);
    assert_eq!(store.read_range("objects/one", 2_000_000, 7).unwrap(), content[2_000_000..2_000_007]);
    assert!(store.read_all("objects/one", content.len() as u64).unwrap() == content);
    store.remove("objects/one").unwrap();
}

fn an_unfinished_object_is_invisible(store: &dyn Store) {
    let mut writer = store.create("objects/half").unwrap();
    writer.write_all(b"half").unwrap();
    assert_eq!(store.stat("objects/half").unwrap(), None);
    assert!(store.list("").unwrap().is_empty());
    drop(writer);
    assert_eq!(store.stat("objects/half").unwrap(), None);
    assert!(store.list("").unwrap().is_empty());
    store.put("objects/half", b"whole").unwrap();
    store.remove("objects/half").unwrap();
}

fn the_head_can_be_rewritten(store: &dyn Store) {
    let mut writer = store.create("head").unwrap();
    writer.write_all(&vec![0; 100_000]).unwrap();
    writer.rewrite_head(&[7; 32]).unwrap();
    writer.write_all(b"tail").unwrap();
    assert_eq!(writer.finish().unwrap().size_bytes, 100_004);
    let content = store.read_all("head", 1 << 20).unwrap();
    assert_eq!(content[..33], [[7; 32].as_slice(), &[0]].concat());
    assert_eq!(&content[99_999..], b"\0tail");
    store.remove("head").unwrap();
}

fn nothing_is_overwritten(store: &dyn Store) {
    store.put("once", b"first").unwrap();
    assert_eq!(store.put("once", b"second").unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(store.read_all("once", 100).unwrap(), b"first");
    store.remove("once").unwrap();
    let (mut a, mut b) = (store.create("race").unwrap(), store.create("race").unwrap());
    a.write_all(b"a").unwrap();
    b.write_all(b"b").unwrap();
    a.finish().unwrap();
    assert_eq!(b.finish().unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(store.read_all("race", 100).unwrap(), b"a");
    store.remove("race").unwrap();
}

fn reading_beyond_the_end_is_said(store: &dyn Store) {
    store.put("short", b"12345").unwrap();
    assert_eq!(store.read_range("short", 3, 3).unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(store.read_range("short", 9, 1).unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(store.read_all("short", 4).unwrap_err().kind(), ErrorKind::TooLarge);
    store.remove("short").unwrap();
}

fn a_missing_object_is_not_found(store: &dyn Store) {
    assert_eq!(store.open("missing").err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(store.read_all("missing", 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.read_range("missing", 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.stat("missing").unwrap(), None);
    assert!(store.list("missing/folder").unwrap().is_empty());
}

fn unsafe_names_are_refused(store: &dyn Store) {
    for name in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\0b"] {
        assert_eq!(store.create(name).err().unwrap().kind(), ErrorKind::UnsafeEntry, "{name:?}");
        assert_eq!(store.open(name).err().unwrap().kind(), ErrorKind::UnsafeEntry, "{name:?}");
        assert_eq!(store.remove(name).err().unwrap().kind(), ErrorKind::UnsafeEntry, "{name:?}");
    }
}

fn listing_finds_what_lies_below(store: &dyn Store) {
    for name in ["daily/a", "daily/deep/b", "daily-other", "weekly/c"] {
        store.put(name, b"x").unwrap();
    }
    let names = |folder| {
        let mut names: Vec<_> = store.list(folder).unwrap().into_iter().map(|info| info.name).collect();
        names.sort();
        names
    };
    assert_eq!(names("daily"), ["daily/a", "daily/deep/b"]);
    assert_eq!(names(""), ["daily-other", "daily/a", "daily/deep/b", "weekly/c"]);
    names("").iter().for_each(|name| store.remove(name).unwrap());
}

fn removing_is_idempotent(store: &dyn Store) {
    store.put("gone", b"x").unwrap();
    store.remove("gone").unwrap();
    assert_eq!(store.stat("gone").unwrap(), None);
    store.remove("gone").unwrap();
    assert!(store.list("").unwrap().is_empty());
}

#[test]
fn a_local_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&LocalStore::create_root(folder.path().join("store")).unwrap());
    let left: Vec<_> = walk(folder.path());
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
