//! Random trees come back as they were.

use super::double::{back_up, look, put, settings};
use engine::manifest::State;
use engine::target::Place;
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, mkfifoat, utimensat};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File(Vec<u8>),
    Large(u32),
    Sparse { holes: Vec<u16> },
    Link(Vec<u8>),
    HardLink,
    Pipe,
}

#[derive(Debug, Clone)]
struct Made {
    name: Vec<u8>,
    node: Node,
    /// Of the folders made so far.
    folder: prop::sample::Index,
    mode: u32,
    owner: u32,
    seconds: i64,
    nanoseconds: u32,
    xattrs: Vec<(u8, Vec<u8>)>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![1_u8..=46, 48_u8..=255], 1..20)
        .prop_filter("not a name, or left out", |name| name != b"." && name != b".." && !name.starts_with(b".env"))
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        3 => Just(Node::Folder),
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Node::File),
        1 => (60_000_u32..200_000).prop_map(Node::Large),
        1 => prop::collection::vec(any::<u16>(), 1..4).prop_map(|holes| Node::Sparse { holes }),
        1 => prop::collection::vec(1_u8..=255, 1..40).prop_map(Node::Link),
        1 => Just(Node::HardLink),
        1 => Just(Node::Pipe),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let times = (-1_000_000_000_i64..4_000_000_000, 0_u32..1_000_000_000);
    let xattrs = prop::collection::vec((b'a'..=b'e', prop::collection::vec(any::<u8>(), 0..50)), 0..3);
    (name(), node(), any::<prop::sample::Index>(), 0_u32..=0o7777, 0_u32..70_000, times, xattrs).prop_map(
        |(name, node, folder, mode, owner, (seconds, nanoseconds), xattrs)| Made {
            name,
            node,
            folder,
            mode,
            owner,
            seconds,
            nanoseconds,
            xattrs,
        },
    )
}

fn grow(root: &Path, plan: &[Made]) {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    let mut all = Vec::new();
    for made in plan {
        let path = made.folder.get(&folders).join(OsStr::from_bytes(&made.name));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match &made.node {
            Node::Folder => {
                std::fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            Node::File(bytes) => std::fs::write(&path, bytes).unwrap(),
            Node::Large(size) => std::fs::write(&path, (0..*size).map(|n| (n / 7) as u8).collect::<Vec<_>>()).unwrap(),
            Node::Sparse { holes } => {
                let mut file = std::fs::File::create(&path).unwrap();
                for hole in holes {
                    file.seek(SeekFrom::Current(i64::from(*hole) * 4)).unwrap();
                    file.write_all(b"data").unwrap();
                }
                let end = file.stream_position().unwrap();
                file.set_len(end + 10_000).unwrap();
            }
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::HardLink => match files.last() {
                Some(file) => std::fs::hard_link(file, &path).unwrap(),
                None => continue,
            },
            Node::Pipe => mkfifoat(CWD, &path, Mode::RUSR).unwrap(),
        }
        if matches!(made.node, Node::File(_) | Node::Large(_) | Node::Sparse { .. }) {
            files.push(path.clone());
        }
        all.push((path, made));
    }
    for (path, made) in all.iter().rev() {
        dress(path, made);
    }
}

fn dress(path: &Path, made: &Made) {
    if rustix::process::geteuid().is_root() {
        lchown(path, Some(made.owner), Some(made.owner / 2)).unwrap();
    }
    if !matches!(made.node, Node::Link(_)) {
        std::fs::set_permissions(path, Permissions::from_mode(made.mode)).unwrap();
    }
    if !matches!(made.node, Node::Link(_) | Node::Pipe) {
        for (letter, value) in &made.xattrs {
            let name = format!("user.{}", *letter as char);
            lsetxattr(path, name.as_str(), value, XattrFlags::empty()).unwrap();
        }
    }
    let time = Timespec { tv_sec: made.seconds, tv_nsec: made.nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_as_it_was(plan in prop::collection::vec(made(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        grow(&from, &plan);
        let (memory, manifest) = back_up(settings(&from));
        prop_assert_eq!(&manifest.warnings, &Vec::<String>::new());
        prop_assert_eq!(manifest.state, State::Succeeded);
        let mut target = engine::target::files::target("uploads", settings(&from), Place::Folder { path: to.clone() }).unwrap();
        put(&mut target, &memory, &manifest);
        prop_assert_eq!(look(&from), look(&to));
    }
}

#[test]
fn holes_come_back_as_holes() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    let mut file = std::fs::File::create(from.join("disk.img")).unwrap();
    file.seek(SeekFrom::Start(50 << 20)).unwrap();
    file.write_all(b"in the middle").unwrap();
    file.set_len(100 << 20).unwrap();
    std::fs::File::create(from.join("small.img")).unwrap().set_len(30_000).unwrap();
    let (memory, manifest) = back_up(settings(&from));
    let mut target =
        engine::target::files::target("uploads", settings(&from), Place::Folder { path: to.clone() }).unwrap();
    put(&mut target, &memory, &manifest);
    assert_eq!(look(&from), look(&to));
    assert!(to.join("disk.img").metadata().unwrap().blocks() * 512 < 1 << 20);
    assert_eq!(to.join("small.img").metadata().unwrap().blocks(), 0);
}

#[test]
fn a_tree_deeper_than_any_path_may_be_long_comes_back_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    let depth = 1500;
    let mut here = rustix::fs::open(&from, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    for level in 0..depth {
        rustix::fs::mkdirat(&here, "folder", Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        rustix::fs::openat(&here, format!("zz{level}"), flags, Mode::RUSR).unwrap();
        here = rustix::fs::openat(&here, "folder", rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    }
    let (memory, manifest) = back_up(settings(&from));
    assert_eq!((manifest.state, manifest.entries), (State::Succeeded, 2 * depth));
    let mut target =
        engine::target::files::target("uploads", settings(&from), Place::Folder { path: to.clone() }).unwrap();
    put(&mut target, &memory, &manifest);
    let parent =
        std::sync::Arc::new(rustix::fs::open(folder.path(), rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap());
    for name in [c"from", c"to"] {
        engine::tree::remove::remove_tree(&parent, name).unwrap();
    }
    assert!(!from.exists() && !to.exists());
}
