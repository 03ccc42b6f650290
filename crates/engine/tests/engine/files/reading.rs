//! Trees that change, vanish or forbid reading while they are read.

use super::double::{Memory, back_up, settings, source_context, write};
use engine::ErrorKind;
use engine::config::component::FilesSettings;
use engine::manifest::{ComponentManifest, Figures, State};
use engine::source::Source;
use engine::source::files::FilesSource;
use rustix::fs::inotify;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use vault::{EntryKind, Progress, Silent};

/// Runs on a thread that is `nobody`, whose rights the kernel checks by thread.
pub fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(65534)).unwrap();
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}

fn read_while(folder: &Path, act: impl FnMut(&vault::Entry) + Send + Sync + 'static) -> (Memory, ComponentManifest) {
    let scratch = tempfile::tempdir().unwrap();
    let mut memory = Memory { while_reading: Some(Box::new(act)), ..Memory::default() };
    let mut source = FilesSource::new("uploads", settings(folder)).unwrap();
    let manifest = source.read(&source_context(&Silent, scratch.path()), &mut memory).unwrap();
    (memory, manifest)
}

fn names(memory: &Memory) -> Vec<String> {
    memory.entries.iter().map(|(entry, _)| entry.path.to_string()).collect()
}

#[test]
fn folders_come_before_what_they_hold_and_names_in_the_order_of_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["b", "a/z", "a/b/c", "a.txt", "B", "\u{fc}"] {
        write(&folder.path().join(file), file);
    }
    let (memory, manifest) = back_up(settings(folder.path()));
    assert_eq!(names(&memory), ["B", "a", "a/b", "a/b/c", "a/z", "a.txt", "b", "\u{fc}"]);
    assert_eq!(manifest.state, State::Succeeded);
    let Figures::Tree { files: 6, directories: 2, .. } = manifest.figures else { panic!("{:?}", manifest.figures) };
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_makes_the_component_partial() {
    let folder = tempfile::tempdir().unwrap();
    for (name, act) in [
        ("grows", (|path| write(path, "longer than before")) as fn(&Path)),
        ("shrinks", |path| write(path, "x")),
        ("same size", |path| write(path, "CONTENT")),
        ("chmod", |path| std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap()),
    ] {
        let path = folder.path().join(name);
        write(&path, "content");
        write(&folder.path().join("steady"), "steady");
        // Times have the grain of the kernel's tick.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (_, manifest) = read_while(folder.path(), move |entry| {
            if entry.path.as_bytes() == name.as_bytes() {
                act(&path);
            }
        });
        assert_eq!(manifest.state, State::Partial, "{name}");
        assert_eq!(manifest.warnings.len(), 1, "{:?}", manifest.warnings);
        assert!(manifest.warnings[0].starts_with(name), "{:?}", manifest.warnings);
    }
}

#[test]
fn what_was_looked_at_ahead_is_what_is_there_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for number in 0..300 {
        write(&path(&format!("file {number:03}")), &"x".repeat(number));
    }
    std::fs::create_dir(path("file 009 is a folder")).unwrap();
    let (grows, chmod) = (path("file 020"), path("file 009 is a folder"));
    let (memory, manifest) = read_while(folder.path(), move |entry| {
        if entry.path.as_bytes() == b"file 003" {
            write(&grows, "longer than it was");
            std::fs::set_permissions(&chmod, Permissions::from_mode(0o710)).unwrap();
            // Longer than what was seen counts.
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
    });
    assert_eq!((manifest.state, manifest.warnings), (State::Succeeded, vec![]));
    assert_eq!(memory.entries.len(), 301);
    for (entry, content) in &memory.entries {
        let name = entry.path.to_string();
        let EntryKind::File { size_bytes } = entry.kind else {
            assert_eq!((name.as_str(), entry.metadata.mode), ("file 009 is a folder", 0o710));
            continue;
        };
        let size = if name == "file 020" { 18 } else { name[5..].parse().unwrap() };
        assert_eq!((size_bytes, content.len()), (Some(size as u64), size), "{name}");
    }
}

#[test]
fn a_file_that_changes_before_it_is_opened_is_taken_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        write(&folder.path().join(name), "content");
    }
    for number in 0..40 {
        write(&folder.path().join(format!("d{number:02}")), "content");
    }
    let changed = folder.path().join("d20");
    let (memory, manifest) = read_while(folder.path(), move |entry| {
        // By then the thread that looks ahead has seen it, and less than a second ago.
        if entry.path.as_bytes() == b"d16" {
            write(&changed, "longer content");
        }
    });
    assert_eq!((manifest.state, manifest.warnings), (State::Succeeded, vec![]));
    let (entry, content) = memory.entries.iter().find(|(entry, _)| entry.path.as_bytes() == b"d20").unwrap();
    assert_eq!(
        (&entry.kind, content.as_slice()),
        (&EntryKind::File { size_bytes: Some(14) }, b"longer content".as_slice())
    );
}

#[test]
fn a_file_that_is_gone_or_replaced_by_a_pipe_is_told_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["1", "2", "3", "4"] {
        write(&folder.path().join(file), file);
    }
    let path = folder.path().to_owned();
    let (memory, manifest) = read_while(folder.path(), move |entry| {
        if entry.path.as_bytes() == b"1" {
            std::fs::remove_file(path.join("2")).unwrap();
            std::fs::remove_file(path.join("3")).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, path.join("3"), rustix::fs::Mode::RUSR).unwrap();
        }
    });
    assert_eq!(names(&memory), ["1", "3", "4"]);
    assert_eq!(memory.entries[1].0.kind, EntryKind::Fifo);
    assert_eq!(manifest.state, State::Partial);
    assert!(manifest.warnings.len() == 1 && manifest.warnings[0].starts_with("2: "), "{:?}", manifest.warnings);
}

#[test]
fn what_may_not_be_read_is_told_by_name_and_the_rest_is_there() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    for file in ["closed/x", "open/x", "secret"] {
        write(&folder.path().join(file), file);
    }
    std::fs::set_permissions(folder.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(folder.path().join("secret"), Permissions::from_mode(0o600)).unwrap();
    std::fs::hard_link(folder.path().join("secret"), folder.path().join("secret2")).unwrap();
    let (memory, manifest) = as_nobody(|| back_up(settings(folder.path())));
    assert_eq!(names(&memory), ["closed", "open", "open/x"]);
    assert_eq!(manifest.state, State::Partial);
    let told: Vec<_> = manifest.warnings.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(told, ["closed", "secret", "secret2"]);
    assert_eq!(manifest.entries, 3);

    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let error = as_nobody(|| {
        let mut source = FilesSource::new("uploads", settings(folder.path())).unwrap();
        source.read(&source_context(&Silent, folder.path()), &mut Memory::default()).unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_missing_folder_is_an_error_with_a_hint_and_an_empty_one_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let (_, manifest) = back_up(settings(folder.path()));
    assert_eq!((manifest.entries, manifest.state), (0, State::Succeeded));
    let mut source = FilesSource::new("uploads", settings(&folder.path().join("none"))).unwrap();
    let error = source.read(&source_context(&Silent, folder.path()), &mut Memory::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("none") && error.hint().contains("strongroom.toml"), "{error:?}");
}

#[test]
fn secrets_and_sockets_are_left_out_with_a_warning_and_the_component_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    for file in [".env", "app/.env.local", "app/.env.example", "uploads.strongroom-0123456789ab/x"] {
        write(&folder.path().join(file), file);
    }
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let (memory, manifest) = back_up(FilesSettings { include: vec![".env*".to_owned()], ..settings(folder.path()) });
    assert_eq!(names(&memory), ["app", "app/.env.example"]);
    let (memory, all) = back_up(settings(folder.path()));
    assert_eq!(names(&memory), ["app", "app/.env.example"]);
    assert_eq!((manifest.state, all.state), (State::Succeeded, State::Succeeded));
    assert_eq!((manifest.warnings.len(), all.warnings.len()), (2, 3), "{:?}", all.warnings);
}

#[test]
fn folders_are_there_only_if_something_included_is_below_them() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["a/b/x.jpg", "a/c/x.txt", "d/x.txt", "raw/x.txt"] {
        write(&folder.path().join(file), file);
    }
    std::fs::create_dir(folder.path().join("raw/empty")).unwrap();
    let include = vec!["*.jpg".to_owned(), "/raw/".to_owned()];
    let (memory, _) = back_up(FilesSettings { include, ..settings(folder.path()) });
    assert_eq!(names(&memory), ["a", "a/b", "a/b/x.jpg", "raw", "raw/empty", "raw/x.txt"]);
}

#[test]
fn an_unchanged_file_is_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write(&path, "content");
    let opened = |knows_all| {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &path, inotify::WatchFlags::OPEN).unwrap();
        let mut memory = Memory { knows_all, ..Memory::default() };
        let mut source = FilesSource::new("uploads", settings(folder.path())).unwrap();
        let manifest = source.read(&source_context(&Silent, folder.path()), &mut memory).unwrap();
        assert_eq!((manifest.bytes, manifest.state), (7, State::Succeeded));
        rustix::io::read(&watch, &mut [0; 64]).is_ok()
    };
    assert!(opened(false), "the watch sees files being opened");
    assert!(!opened(true));
}

#[test]
fn a_folder_that_is_moved_away_while_it_is_read_does_not_lead_us_astray() {
    let folder = tempfile::tempdir().unwrap();
    let deep: std::path::PathBuf = std::iter::repeat_n("d", 80).collect();
    write(&folder.path().join("tree").join(&deep).join("file"), "x");
    write(&folder.path().join("tree/last"), "x");
    let (from, to) = (folder.path().join("tree/d/d"), folder.path().join("elsewhere"));
    let (memory, manifest) = read_while(&folder.path().join("tree"), move |entry| {
        if entry.path.as_bytes().ends_with(b"file") {
            std::fs::rename(&from, &to).unwrap();
        }
    });
    assert_eq!(manifest.state, State::Partial);
    assert!(manifest.warnings.iter().any(|text| text.contains("moved away")), "{:?}", manifest.warnings);
    assert!(names(&memory).iter().all(|name| name.starts_with('d') || name == "last"), "{:?}", names(&memory));
}

#[test]
fn a_stop_is_heard() {
    struct Stop;
    impl Progress for Stop {
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("file"), "content");
    let mut source = FilesSource::new("uploads", settings(folder.path())).unwrap();
    let error = source.read(&source_context(&Stop, folder.path()), &mut Memory::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
