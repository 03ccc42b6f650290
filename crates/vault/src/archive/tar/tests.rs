use super::parse::TarParser;
use super::{BLOCK_BYTES, padding_bytes};
use crate::error::ErrorKind;

/// Name, kind, link target.
type Given = (&'static [u8], tar::EntryType, &'static [u8]);

fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    builder.into_inner().unwrap()
}

fn entry(builder: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType, link: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &[][..]).unwrap();
}

fn first_error(bytes: &[u8]) -> ErrorKind {
    let mut parser = TarParser::new(bytes);
    loop {
        match parser.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("read without an error"),
            Err(error) => return error.kind(),
        }
    }
}

fn paths(bytes: &[u8]) -> Vec<String> {
    let mut parser = TarParser::new(bytes);
    std::iter::from_fn(|| parser.next_entry().unwrap()).map(|entry| entry.path.to_string()).collect()
}

#[test]
fn padding_fills_blocks() {
    assert_eq!([0, 1, 511, 512, 513].map(padding_bytes), [0, 511, 1, 0, 511]);
}

#[test]
fn entries_that_lead_outside_are_unsafe() {
    use tar::EntryType as T;
    let cases: &[(&str, &[Given])] = &[
        ("absolute", &[(b"/etc/passwd", T::Regular, b"")]),
        ("parent", &[(b"a/../../b", T::Regular, b"")]),
        ("parent at the end", &[(b"a/..", T::Directory, b"")]),
        ("below a symlink", &[(b"a", T::Symlink, b"/etc"), (b"a/passwd", T::Regular, b"")]),
        ("deep below a symlink", &[(b"x/a", T::Symlink, b"../.."), (b"x/a/b/c", T::Regular, b"")]),
        ("at a symlink", &[(b"a", T::Symlink, b"/etc/passwd"), (b"a", T::Regular, b"")]),
        ("a symlink in other words", &[(b"a", T::Symlink, b"/etc"), (b".//a/./passwd", T::Regular, b"")]),
        ("hard link outside", &[(b"a", T::Link, b"/etc/passwd")]),
        ("hard link to a parent", &[(b"a", T::Link, b"../b")]),
        ("hard link through a symlink", &[(b"a", T::Symlink, b"/etc"), (b"b", T::Link, b"a/passwd")]),
        (
            "hard link to a symlink, then below",
            &[(b"a", T::Symlink, b"/etc"), (b"b", T::Link, b"a"), (b"b/c", T::Regular, b"")],
        ),
        ("character device", &[(b"null", T::Char, b"")]),
        ("block device", &[(b"sda", T::Block, b"")]),
        ("symlink to nothing", &[(b"a", T::Symlink, b"")]),
    ];
    for (what, entries) in cases {
        let bytes = archive(|builder| entries.iter().for_each(|(name, kind, link)| entry(builder, name, *kind, link)));
        assert_eq!(first_error(&bytes), ErrorKind::UnsafeEntry, "{what}");
    }
}

#[test]
fn what_is_never_written_is_unsupported() {
    for kind in [tar::EntryType::GNUSparse, tar::EntryType::new(b'V'), tar::EntryType::new(b'Q')] {
        let bytes = archive(|builder| entry(builder, b"a", kind, b""));
        assert_eq!(first_error(&bytes), ErrorKind::Unsupported, "{kind:?}");
    }
    let bytes = archive(|builder| {
        builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
        entry(builder, b"a", tar::EntryType::Regular, b"");
    });
    assert_eq!(first_error(&bytes), ErrorKind::Unsupported);
}

#[test]
fn metadata_without_end_is_too_large() {
    let value = vec![b'x'; 1 << 20];
    let once = archive(|builder| builder.append_pax_extensions([("comment", &value[..])]).unwrap());
    assert_eq!(first_error(&once), ErrorKind::TooLarge);
    let again = archive(|builder| {
        for _ in 0..3 {
            builder.append_pax_extensions([("comment", &value[..500_000])]).unwrap();
        }
    });
    assert_eq!(first_error(&again), ErrorKind::TooLarge);
}

#[test]
fn a_cut_or_changed_archive_is_told_apart() {
    let good = archive(|builder| {
        let mut header = tar::Header::new_ustar();
        header.set_size(700);
        header.set_mode(0o600);
        header.set_path("a").unwrap();
        header.set_cksum();
        builder.append(&header, &[1; 700][..]).unwrap();
        entry(builder, b"b", tar::EntryType::Regular, b"");
    });
    assert_eq!(paths(&good), ["a", "b"]);
    for end in 0..good.len() {
        assert_eq!(first_error(&good[..end]), ErrorKind::Truncated, "cut at {end}");
    }
    let mut changed = good.clone();
    changed[3 * BLOCK_BYTES] ^= 1;
    assert_eq!(first_error(&changed), ErrorKind::Damaged);
    let mut longer = good;
    longer.extend([1; BLOCK_BYTES]);
    assert_eq!(first_error(&longer), ErrorKind::Damaged);
}

#[test]
fn names_of_other_programs_are_brought_into_shape() {
    let bytes = archive(|builder| {
        entry(builder, b"./", tar::EntryType::Directory, b"");
        entry(builder, b"./a/", tar::EntryType::Directory, b"");
        entry(builder, b"./a//b", tar::EntryType::Regular, b"");
        entry(builder, b"./c", tar::EntryType::Link, b"./a/b");
        entry(builder, b"old/", tar::EntryType::Regular, b"");
    });
    assert_eq!(paths(&bytes), ["a", "a/b", "c", "old"]);
}
