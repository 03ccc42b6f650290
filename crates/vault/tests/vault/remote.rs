//! Archives in a store that is not a local folder.

use crate::samples::{MANIFEST, Place, contents, file, key, noise, options, write};
use std::sync::atomic::{AtomicU64, Ordering};
use vault::archive::{ArchiveFormat, ArchiveOptions, open};
use vault::compress::Compression;
use vault::store::{LocalStore, ObjectInfo, ObjectReader, ObjectWriter, Store};
use vault::{ErrorKind, Result};

/// A folder that hides where it is and counts how often an object is fetched.
struct Remote {
    inner: LocalStore,
    opened: AtomicU64,
}

impl Store for Remote {
    fn describe(&self) -> String {
        "remote".to_owned()
    }
    fn create(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create(name)
    }
    fn open(&self, name: &str) -> Result<Box<dyn ObjectReader>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.inner.open(name)
    }
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.inner.read_range(name, offset, length)
    }
    fn read_all(&self, name: &str, size_bytes_max: u64) -> Result<Vec<u8>> {
        self.inner.read_all(name, size_bytes_max)
    }
    fn stat(&self, name: &str) -> Result<Option<ObjectInfo>> {
        self.inner.stat(name)
    }
    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        self.inner.list(folder)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
}

#[test]
fn a_remote_archive_is_fetched_once_and_read_from_a_nameless_copy() {
    let place = Place::new();
    let entries = [file("uploads/a", noise(3_000_000, 1))];
    write(&place, "a", place.settings(ArchiveFormat::Tar, Compression::ZSTD_DEFAULT, Some(key(1))), &entries);
    let remote = Remote { inner: place.store.clone(), opened: AtomicU64::new(0) };
    let scratch = tempfile::tempdir().unwrap();
    let options = ArchiveOptions { scratch: Some(scratch.path().to_owned()), ..options(&[key(1)]) };
    let mut reader = open(&remote, "a", &options).unwrap();
    // The copy is all that is read from now on: what happens to the original no longer matters.
    std::fs::write(place.path("a"), "gone").unwrap();
    assert_eq!(reader.manifest().unwrap(), MANIFEST);
    assert_eq!(contents(&mut *reader).unwrap(), entries);
    assert_eq!(remote.opened.load(Ordering::Relaxed), 1);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn without_a_folder_for_it_both_passes_read_the_store() {
    let place = Place::new();
    let entries = [file("uploads/a", noise(3_000_000, 1))];
    write(&place, "a", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, Some(key(1))), &entries);
    let remote = Remote { inner: place.store.clone(), opened: AtomicU64::new(0) };
    assert_eq!(contents(&mut *open(&remote, "a", &options(&[key(1)])).unwrap()).unwrap(), entries);
    assert_eq!(open(&remote, "b", &options(&[key(1)])).err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn a_store_around_another_conforms_too() {
    let folder = tempfile::tempdir().unwrap();
    let inner = LocalStore::create_root(folder.path().join("store")).unwrap();
    crate::store_conformance::conforms(&Remote { inner, opened: AtomicU64::new(0) });
}
