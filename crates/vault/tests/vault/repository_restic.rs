//! Both ways with the real restic: it reads, checks, restores and prunes what we wrote, and we read what it wrote.
//!
//! These tests fail where `restic` is missing: the promise that anybody can walk away from us is not kept by skipping.

use super::repository_samples::{Clock, assert_restores, back_up, file, key, noise, options, other, restore, sample};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use vault::repository::{CheckDepth, Id, Options, PruneOptions, Repository, Secret};
use vault::store::LocalStore;
use vault::{EntryKind, EntryPath, ErrorKind, Silent};

struct Restic<'a> {
    place: &'a Path,
    password: String,
    cache: tempfile::TempDir,
}

impl<'a> Restic<'a> {
    fn new(place: &'a Path, password: &str) -> Self {
        Self { place, password: password.to_owned(), cache: tempfile::tempdir().unwrap() }
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new("restic")
            .arg("-r")
            .arg(self.place)
            .arg("--cache-dir")
            .arg(self.cache.path())
            .args(arguments)
            .env("RESTIC_PASSWORD", &self.password)
            .output()
            .expect("these tests need the real restic: install it (Debian: apt install restic)")
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "restic {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
}

fn open(place: &Path, secret: Secret<'_>) -> vault::Result<Repository> {
    let store = Arc::new(LocalStore::open(place)?);
    Repository::open(store, secret, Clock::default().environment("elsewhere"), options())
}

fn init(place: &Path, version: u32) -> Repository {
    let store = Arc::new(LocalStore::create_root(place).unwrap());
    Repository::init_version(store, &key(), Clock::default().environment("elsewhere"), options(), version).unwrap()
}

#[test]
fn restic_reads_checks_and_restores_what_we_wrote() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("repository");
        let repository = init(&place, version);
        let first = back_up(&repository, &sample(1), None, 2).unwrap();
        back_up(&repository, &sample(2), Some(first), 2).unwrap();
        let restic = Restic::new(&place, &key().expose_hex());
        restic.run(&["check", "--read-data"]);
        assert!(restic.run(&["snapshots"]).contains(&first.to_hex()[..8]));
        assert!(restic.run(&["ls", "latest"]).contains("/uploads/deep/er/notes.txt"));
        assert_eq!(restic.run(&["dump", &first.to_hex(), "/uploads/a.txt"]), "hello");
        assert_eq!(restic.run(&["dump", &first.to_hex(), "/manifest.json"]), "{\"of\":\"tests\"}");
        let target = folder.path().join("restored");
        restic.run(&["restore", &first.to_hex(), "--target", target.to_str().unwrap()]);
        for (entry, content) in sample(1) {
            if matches!(entry.kind, EntryKind::File { .. }) {
                assert!(std::fs::read(target.join(entry.path.to_os_path())).unwrap() == content, "{}", entry.path);
            }
        }
    }
}

#[test]
fn restic_forgets_and_prunes_in_our_repository_and_we_still_read_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(folder.path(), 2);
    let first = back_up(&repository, &sample(1), None, 2).unwrap();
    let second = back_up(&repository, &sample(2), Some(first), 2).unwrap();
    let restic = Restic::new(folder.path(), &key().expose_hex());
    restic.run(&["forget", &first.to_hex(), "--prune", "--max-unused", "0"]);
    restic.run(&["check", "--read-data"]);
    assert_restores(&repository, second, &sample(2));
    assert!(repository.check(CheckDepth::Everything, &Silent).unwrap().is_sound());
}

#[test]
fn we_prune_and_restic_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(folder.path(), 2);
    let first = back_up(&repository, &sample(1), None, 2).unwrap();
    let second = back_up(&repository, &sample(2), Some(first), 2).unwrap();
    repository.forget(&[first]).unwrap();
    let plan = repository.prune_plan(&PruneOptions { wait: std::time::Duration::ZERO, max_unused_percent: 0 }).unwrap();
    let outcome = repository.prune(&plan, &Silent).unwrap();
    assert!(outcome.removed_bytes > 0);
    Restic::new(folder.path(), &key().expose_hex()).run(&["check", "--read-data"]);
    assert_restores(&repository, second, &sample(2));
}

#[test]
fn restic_continues_our_repository_and_we_its() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::write(source.join("sub/x.bin"), noise(3_000_000, 1)).unwrap();
    let place = folder.path().join("repository");
    let repository = init(&place, 2);
    let ours = back_up(&repository, &sample(1), None, 2).unwrap();
    let restic = Restic::new(&place, &key().expose_hex());
    restic.run(&["backup", source.to_str().unwrap()]);
    let theirs = repository.snapshots().unwrap().into_iter().find(|snapshot| snapshot.id != ours).unwrap();
    let tree = restore(&repository, theirs.id).unwrap();
    let path = [&source.to_str().unwrap().as_bytes()[1..], b"/sub/x.bin"].concat();
    assert!(tree[&path].2 == noise(3_000_000, 1));
    back_up(&repository, &sample(2), Some(ours), 2).unwrap();
    restic.run(&["check", "--read-data"]);
}

#[test]
fn we_read_repositories_of_restic_of_both_versions() {
    for version in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir_all(source.join("sub")).unwrap();
        std::fs::write(source.join("sub/big.bin"), noise(5_000_000, 2)).unwrap();
        std::fs::write(source.join("text"), b"words ".repeat(10_000)).unwrap();
        std::fs::write(source.join("empty"), b"").unwrap();
        std::fs::hard_link(source.join("text"), source.join("text too")).unwrap();
        std::os::unix::fs::symlink("text", source.join("link")).unwrap();
        let strange = std::ffi::OsStr::new("quo\"te\\ \n \u{200b}");
        std::fs::write(source.join(strange), b"s").unwrap();
        let place = folder.path().join("repository");
        let restic = Restic::new(&place, "a password of a person");
        restic.run(&["init", "--repository-version", version]);
        restic.run(&["backup", source.to_str().unwrap(), "--tag", "nightly"]);
        let wrong = open(&place, Secret::Password("another")).err().unwrap();
        assert_eq!(wrong.kind(), ErrorKind::WrongKey);
        let repository = open(&place, Secret::Password("a password of a person")).unwrap();
        let snapshot = repository.snapshots().unwrap().remove(0);
        assert_eq!(snapshot.tags, ["nightly"]);
        let tree = restore(&repository, snapshot.id).unwrap();
        let path = |name: &str| [&source.to_str().unwrap().as_bytes()[1..], b"/", name.as_bytes()].concat();
        assert!(tree[&path("sub/big.bin")].2 == noise(5_000_000, 2));
        assert_eq!(tree[&path("empty")].0, EntryKind::File { size_bytes: Some(0) });
        assert_eq!(tree[&path("link")].0, EntryKind::Symlink { target: b"text".to_vec() });
        assert_eq!(tree[&path("text")].2, b"words ".repeat(10_000));
        let target = EntryPath::new(path("text")).unwrap();
        assert_eq!(tree[&path("text too")].0, EntryKind::HardLink { target });
        assert_eq!(tree[&path(strange.to_str().unwrap())].2, b"s");
        assert!(repository.check(CheckDepth::Everything, &Silent).unwrap().is_sound());
        // And we write into it, in its own version.
        back_up(&repository, &sample(1), None, 2).unwrap();
        restic.run(&["check", "--read-data"]);
    }
}

#[test]
fn strange_names_and_kinds_are_the_same_to_restic() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("repository");
    let repository = init(&place, 2);
    let mut entries = vec![other(b"c", EntryKind::Directory)];
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
    entries.extend([first, second, sparse, attributes, raw]);
    entries.push(other(b"c/fifo", EntryKind::Fifo));
    entries.push(other(b"c/null", EntryKind::Device { character: true, major: 1, minor: 3 }));
    entries.push(other(b"c/soft", EntryKind::Symlink { target: b"\xffaway".to_vec() }));
    let snapshot = back_up(&repository, &entries, None, 2).unwrap();
    assert_restores(&repository, snapshot, &entries);
    let restic = Restic::new(&place, &key().expose_hex());
    restic.run(&["check", "--read-data"]);
    let target = folder.path().join("restored");
    restic.try_run(&["restore", &snapshot.to_hex(), "--target", target.to_str().unwrap()]);
    let (one, two) = (target.join("c/first"), target.join("c/second"));
    assert_eq!(one.metadata().unwrap().ino(), two.metadata().unwrap().ino());
    let raw = target.join(EntryPath::new(b"c/\xff\xfe \"q\" \\ \n\xc2\xad".to_vec()).unwrap().to_os_path());
    assert_eq!(std::fs::read(raw).unwrap(), b"not utf-8");
}

#[test]
fn locks_are_honoured_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::create_root(folder.path()).unwrap());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        vault::Timestamp { seconds: since.as_secs().cast_signed(), nanoseconds: 0 }
    };
    let environment = vault::repository::Environment::new(host.trim(), "tester", now);
    let repository = Repository::init(store, &key(), environment, Options::default()).unwrap();
    let snapshot = back_up(&repository, &sample(1), None, 2).unwrap();
    let restic = Restic::new(folder.path(), &key().expose_hex());
    // A writer of ours: restic may back up beside it, but not prune.
    let writer = repository.writer(vault::repository::WriterOptions::default(), Arc::new(Silent)).unwrap();
    restic.run(&["snapshots"]);
    assert!(!restic.try_run(&["prune"]).status.success());
    drop(writer);
    restic.run(&["prune"]);
    // An exclusive lock of restic's, its process alive.
    let lock = exclusive_lock_of_this_process(&repository);
    let error = repository.reader(snapshot).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(lock);
    repository.reader(snapshot).unwrap();
}

/// restic holds its locks for moments only; what it would write is written through the test entry of the engine.
fn exclusive_lock_of_this_process(repository: &Repository) -> impl Sized + use<> {
    repository.lock_for_tests(true).unwrap()
}

#[test]
fn a_new_key_opens_and_the_old_one_no_longer_does() {
    let folder = tempfile::tempdir().unwrap();
    let repository = init(folder.path(), 2);
    back_up(&repository, &sample(1), None, 0).unwrap();
    let new = vault::Key::from_bytes([9; 32]);
    assert_eq!(repository.remove_key(&key(), std::slice::from_ref(&new)).unwrap_err().kind(), ErrorKind::Refused);
    repository.add_key(&new).unwrap();
    repository.remove_key(&key(), std::slice::from_ref(&new)).unwrap();
    assert_eq!(open(folder.path(), Secret::Keys(&[key()])).err().unwrap().kind(), ErrorKind::WrongKey);
    open(folder.path(), Secret::Keys(&[key(), new.clone()])).unwrap();
    assert!(!Restic::new(folder.path(), &key().expose_hex()).try_run(&["snapshots"]).status.success());
    Restic::new(folder.path(), &new.expose_hex()).run(&["check"]);
}

#[test]
fn an_id_is_64_lower_case_digits() {
    assert!(Id::parse(&"ab".repeat(32)).is_ok());
    for bad in ["", "abc", &"AB".repeat(32), &"zz".repeat(32)] {
        assert!(Id::parse(bad).is_err());
    }
}
