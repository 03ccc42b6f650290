//! Restores into a live folder, and their undoing.

use super::double::{back_up, live, look, put, settings, target_context, write};
use engine::config::component::FilesSettings;
use engine::target::Target;
use engine::target::files::TreeTarget;
use engine::{ErrorKind, Result};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vault::{Entry, EntryKind, EntryPath, Metadata, Silent};

struct App {
    _folder: TempDir,
    uploads: PathBuf,
    state: PathBuf,
    settings: FilesSettings,
}

impl App {
    fn new(exclude: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (uploads, state) = (folder.path().join("uploads"), folder.path().join("state"));
        std::fs::create_dir(&state).unwrap();
        write(&uploads.join("a/photo.jpg"), "a photo");
        write(&uploads.join("b.txt"), "text");
        let exclude = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
        Self { settings: FilesSettings { exclude, ..settings(&uploads) }, _folder: folder, uploads, state }
    }

    fn target(&self) -> TreeTarget {
        engine::target::files::target("uploads", self.settings.clone(), live(&self.state)).unwrap()
    }

    fn act(&self, act: impl FnOnce(&mut TreeTarget, &engine::target::Context<'_>) -> Result<()>) {
        act(&mut self.target(), &target_context(&Silent)).unwrap();
    }

    fn beside(&self) -> PathBuf {
        self.uploads.with_file_name("uploads.strongroom-0123456789ab")
    }
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[test]
fn a_restore_and_its_undo_exchange_the_folders_as_often_as_one_likes() {
    let app = App::new(&[]);
    std::fs::set_permissions(&app.uploads, Permissions::from_mode(0o2750)).unwrap();
    let old = look(&app.uploads);
    let (memory, manifest) = back_up(app.settings.clone());
    std::fs::remove_dir_all(app.uploads.join("a")).unwrap();
    write(&app.uploads.join("since.txt"), "newer");
    std::fs::set_permissions(&app.uploads, Permissions::from_mode(0o700)).unwrap();
    let damaged = look(&app.uploads);

    let mut target = app.target();
    put(&mut target, &memory, &manifest);
    assert_eq!(look(&app.uploads), damaged, "nothing is live before the swap");
    for _ in 0..2 {
        for _ in 0..2 {
            app.act(Target::swap);
            assert_eq!(look(&app.uploads), old);
            assert_eq!(app.uploads.metadata().unwrap().permissions().mode() & 0o7777, 0o2750);
        }
        for _ in 0..2 {
            app.act(Target::swap_back);
            assert_eq!(look(&app.uploads), damaged);
            assert_eq!(app.uploads.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        }
    }
    app.act(Target::swap);
    app.act(Target::discard);
    app.act(Target::discard);
    assert_eq!(look(&app.uploads), old);
    assert!(!app.beside().exists());
    let error = app.target().swap_back(&target_context(&Silent)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(look(&app.uploads), old);
}

#[test]
fn what_the_backup_does_not_hold_survives_the_restore_and_its_undo() {
    let app = App::new(&["*.tmp", "/cache/"]);
    write(&app.uploads.join("cache/deep/thumb"), "thumb 1");
    let (memory, manifest) = back_up(app.settings.clone());
    assert!(memory.entries.iter().all(|(entry, _)| !entry.path.to_string().contains("thumb")));
    write(&app.uploads.join(".env"), "SECRET=1");
    write(&app.uploads.join("a/half.tmp"), "half");
    write(&app.uploads.join("gone/only.tmp"), "its folder is not in the backup");
    let _socket = UnixListener::bind(app.uploads.join("app.sock")).unwrap();
    let inode = app.uploads.join("a/half.tmp").metadata().unwrap().ino();

    let mut target = app.target();
    put(&mut target, &memory, &manifest);
    app.act(Target::swap);
    let kept = |file: &str| text(&app.uploads.join(file));
    assert_eq!(kept(".env").as_deref(), Some("SECRET=1"));
    assert_eq!(kept("cache/deep/thumb").as_deref(), Some("thumb 1"));
    assert_eq!(kept("gone/only.tmp").as_deref(), Some("its folder is not in the backup"));
    assert_eq!(app.uploads.join("a/half.tmp").metadata().unwrap().ino(), inode, "the same file, not a copy");
    assert!(app.uploads.join("app.sock").exists());

    // The application goes on: one is replaced, one removed, one made.
    std::fs::write(app.uploads.join("new.tmp"), "made since").unwrap();
    std::fs::remove_file(app.uploads.join("a/half.tmp")).unwrap();
    write(&app.uploads.join("other"), "SECRET=2");
    std::fs::rename(app.uploads.join("other"), app.uploads.join(".env")).unwrap();
    app.act(Target::swap_back);
    assert_eq!(kept(".env").as_deref(), Some("SECRET=2"));
    assert_eq!(kept("new.tmp").as_deref(), Some("made since"));
    assert_eq!(kept("a/half.tmp"), None);
    assert_eq!(kept("cache/deep/thumb").as_deref(), Some("thumb 1"));
    app.act(Target::discard);
    assert_eq!(kept(".env").as_deref(), Some("SECRET=2"));
    assert_eq!(kept("cache/deep/thumb").as_deref(), Some("thumb 1"));
}

#[test]
fn what_the_backup_holds_is_restored_though_a_pattern_excludes_it_today() {
    let mut app = App::new(&[]);
    write(&app.uploads.join("cache/x"), "from the backup");
    let (memory, manifest) = back_up(app.settings.clone());
    write(&app.uploads.join("cache/x"), "live");
    app.settings.exclude = vec!["/cache/".to_owned()];
    let mut target = app.target();
    put(&mut target, &memory, &manifest);
    app.act(Target::swap);
    assert_eq!(text(&app.uploads.join("cache/x")).as_deref(), Some("from the backup"));
    app.act(Target::swap_back);
    assert_eq!(text(&app.uploads.join("cache/x")).as_deref(), Some("live"));
}

#[test]
fn a_folder_that_no_longer_exists_is_made_and_unmade() {
    let app = App::new(&[]);
    let old = look(&app.uploads);
    let (memory, manifest) = back_up(app.settings.clone());
    std::fs::remove_dir_all(&app.uploads).unwrap();
    let mut target = app.target();
    put(&mut target, &memory, &manifest);
    app.act(Target::swap);
    assert_eq!(look(&app.uploads), old);
    app.act(Target::swap_back);
    assert!(!app.uploads.exists());
    app.act(Target::swap);
    assert_eq!(look(&app.uploads), old);
}

#[test]
fn a_link_to_the_folder_stays_a_link() {
    let mut app = App::new(&[]);
    let link = app.uploads.with_file_name("current");
    symlink(&app.uploads, &link).unwrap();
    app.settings.path = link.clone();
    let (memory, manifest) = back_up(app.settings.clone());
    assert_eq!(manifest.entries, 3);
    std::fs::remove_file(app.uploads.join("b.txt")).unwrap();
    let mut target = app.target();
    put(&mut target, &memory, &manifest);
    app.act(Target::swap);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(text(&app.uploads.join("b.txt")).as_deref(), Some("text"));
}

#[test]
fn a_restore_that_was_never_completed_changes_nothing_and_leaves_nothing() {
    let app = App::new(&[]);
    let before = look(&app.uploads);
    let (memory, _) = back_up(app.settings.clone());
    let mut target = app.target();
    let context = target_context(&Silent);
    let (entry, bytes) = &memory.entries[0];
    target.entry(&context, entry, &mut bytes.as_slice()).unwrap();
    drop(target);
    assert!(app.beside().exists());
    assert_eq!(app.target().swap(&context).unwrap_err().kind(), ErrorKind::Refused);
    app.act(Target::swap_back);
    app.act(Target::discard);
    assert!(!app.beside().exists());
    assert_eq!(look(&app.uploads), before);
}

#[test]
fn entries_that_would_leave_the_folder_are_refused() {
    let app = App::new(&[]);
    let context = target_context(&Silent);
    let entry = |path: &str, kind| Entry {
        path: EntryPath::new(path).unwrap(),
        kind,
        metadata: Metadata { mode: 0o644, ..Metadata::default() },
    };
    let outside = app.state.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let link = entry("door", EntryKind::Symlink { target: outside.to_str().unwrap().into() });
    let device = entry("null", EntryKind::Device { character: true, major: 1, minor: 3 });
    let through = entry("door/file", EntryKind::File { size_bytes: Some(1) });
    let over = entry("door", EntryKind::File { size_bytes: Some(1) });
    let hard = entry("hard", EntryKind::HardLink { target: EntryPath::new("door/secret").unwrap() });
    std::fs::write(outside.join("secret"), "x").unwrap();
    for bad in [device, through, over, hard] {
        let mut target = app.target();
        target.entry(&context, &link, &mut std::io::empty()).unwrap();
        let error = target.entry(&context, &bad, &mut &b"x"[..]).err().or_else(|| target.finish(&context).err());
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::UnsafeEntry), "{bad:?}");
        target.discard(&context).unwrap();
    }
    assert!(!outside.join("file").exists());
}

#[test]
fn a_file_of_another_size_than_promised_is_damage() {
    let app = App::new(&[]);
    let context = target_context(&Silent);
    for (size, kind) in [(5, ErrorKind::Truncated), (1, ErrorKind::Damaged)] {
        for scale in [1, 100_000] {
            let file = EntryKind::File { size_bytes: Some(size * scale) };
            let entry = Entry { path: EntryPath::new("x").unwrap(), kind: file, metadata: Metadata::default() };
            let content = vec![b'x'; 3 * scale as usize];
            let mut target = app.target();
            let error = target.entry(&context, &entry, &mut content.as_slice()).unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }
}

#[test]
fn without_the_right_to_give_files_away_owners_are_not_compared() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let app = App::new(&[]);
    std::os::unix::fs::chown(app.uploads.join("b.txt"), Some(12), Some(34)).unwrap();
    std::fs::set_permissions(app.uploads.join("b.txt"), Permissions::from_mode(0o4755)).unwrap();
    let (memory, manifest) = back_up(app.settings.clone());
    let to = app.state.join("to");
    std::fs::set_permissions(app.state.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&app.state, Some(65534), Some(65534)).unwrap();
    super::reading::as_nobody(|| {
        let place = engine::target::Place::Folder { path: to.clone() };
        let mut target = engine::target::files::target("uploads", app.settings.clone(), place).unwrap();
        put(&mut target, &memory, &manifest);
    });
    let restored = to.join("b.txt").metadata().unwrap();
    assert_eq!((restored.uid(), restored.mode() & 0o7777), (65534, 0o755), "no setuid without its owner");
}
