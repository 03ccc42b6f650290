//! Archive writers and contents that misbehave.

use crate::samples::{MANIFEST, Place, contents, file, noise, options, path};
use proptest::prelude::*;
use std::io::{self, Read};
use vault::archive::{ArchiveFormat, create};
use vault::compress::Compression;
use vault::{Content, Entry, EntryKind, EntryPath, ErrorKind, Metadata, Outcome, Selection, Timestamp};

/// Gives some bytes, then ends or fails.
struct Failing {
    bytes: usize,
    error: bool,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes == 0 {
            return if self.error { Err(io::Error::other("the disk says no")) } else { Ok(0) };
        }
        let count = buffer.len().min(self.bytes);
        buffer[..count].fill(7);
        self.bytes -= count;
        Ok(count)
    }
}

/// Cannot be opened.
struct Closed;

impl Content for Closed {
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

fn sized(name: &str, size_bytes: u64) -> Entry {
    Entry::generated(path(name), Some(size_bytes), Timestamp::default())
}

#[test]
fn a_file_that_shrinks_or_fails_is_filled_with_zeros_and_reported() {
    let place = Place::new();
    let mut writer =
        create(&place.store, "a", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, None)).unwrap();
    for (name, error) in [("uploads/shrank", false), ("uploads/failed", true)] {
        let outcome = writer.write(&sized(name, 1000), Some(&mut Failing { bytes: 300, error })).unwrap();
        assert!(matches!(outcome, Outcome::Stored { bytes: 1000, padded_bytes: 700 }), "{outcome:?}");
    }
    let outcome = writer.write(&sized("uploads/grew", 100), Some(&mut Failing { bytes: 300, error: false })).unwrap();
    assert!(matches!(outcome, Outcome::Stored { bytes: 100, padded_bytes: 0 }), "{outcome:?}");
    writer.commit(MANIFEST).unwrap();
    let seen = contents(&mut *place.open("a", &options(&[])).unwrap()).unwrap();
    assert_eq!(seen[1].1, [vec![7; 300], vec![0; 700]].concat());
    assert_eq!(seen[2].1, [7; 100]);
}

#[test]
fn what_cannot_be_opened_or_kept_is_left_out_whole() {
    let place = Place::new();
    let mut writer =
        create(&place.store, "a", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, None)).unwrap();
    let outcome = writer.write(&sized("uploads/closed", 10), Some(&mut Closed)).unwrap();
    assert!(matches!(outcome, Outcome::Unreadable(cause) if cause.kind() == io::ErrorKind::PermissionDenied));
    let stream = Entry::generated(path("database/dump"), None, Timestamp::default());
    let outcome = writer.write(&stream, Some(&mut Failing { bytes: 3_000_000, error: true })).unwrap();
    assert!(matches!(outcome, Outcome::Unreadable(_)), "{outcome:?}");
    let device = EntryKind::Device { character: true, major: 1, minor: 3 };
    let device = Entry { path: path("uploads/null"), kind: device, metadata: Metadata::default() };
    assert!(matches!(writer.write(&device, None).unwrap(), Outcome::Unreadable(_)));
    let mut heavy = file("uploads/heavy", "x").0;
    heavy.metadata.xattrs = (0..20_u8).map(|n| (vec![b'a' + n], vec![0; 65_536])).collect();
    assert!(matches!(writer.write(&heavy, Some(&mut &b"x"[..])).unwrap(), Outcome::Unreadable(_)));
    writer.commit(MANIFEST).unwrap();
    assert!(contents(&mut *place.open("a", &options(&[])).unwrap()).unwrap().is_empty());
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["store"], "nothing is left in the temporary folder");
}

#[test]
fn streams_of_unknown_length_are_stored_whole() {
    let place = Place::new();
    let text = |len| noise(len, 3).into_iter().map(|byte| b'a' + byte % 16).collect::<Vec<u8>>();
    let kept =
        [("a", text(10)), ("b", noise(3 << 20, 3)), ("c", text((9 << 20) + 1)), ("d", text(1 << 20)), ("e", text(7))];
    for (name, compression) in ["gzip", "zstd", "plain"].into_iter().zip([
        Compression::GZIP_DEFAULT,
        Compression::ZSTD_DEFAULT,
        Compression::None,
    ]) {
        let mut writer = create(&place.store, name, place.settings(ArchiveFormat::Tar, compression, None)).unwrap();
        for (name, content) in &kept {
            let stream = |name: &str| Entry::generated(path(name), None, Timestamp::default());
            let outcome = writer.write(&stream(&format!("database/{name}")), Some(&mut &content[..])).unwrap();
            assert!(matches!(outcome, Outcome::Stored { bytes, padded_bytes: 0 } if bytes == content.len() as u64));
            // One that breaks off is not in the archive, and takes nothing of its neighbours with it.
            let broken = &mut Failing { bytes: 5 << 20, error: true };
            assert!(matches!(writer.write(&stream("database/broken"), Some(broken)).unwrap(), Outcome::Unreadable(_)));
        }
        writer.commit(MANIFEST).unwrap();
        let seen = contents(&mut *place.open(name, &options(&[])).unwrap()).unwrap();
        assert_eq!(seen.len(), kept.len());
        for ((entry, seen), (name, content)) in seen.iter().zip(&kept) {
            assert_eq!(entry.path, path(&format!("database/{name}")));
            assert_eq!(entry.kind, EntryKind::File { size_bytes: Some(content.len() as u64) });
            assert!(seen == content, "{name} with {compression:?}");
        }
    }
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    for compression in [Compression::GZIP_DEFAULT, Compression::ZSTD_DEFAULT, Compression::None] {
        let mut writer = create(&place.store, "a", place.settings(ArchiveFormat::Tar, compression, None)).unwrap();
        writer.write(&sized("uploads/a", 20 << 20), Some(&mut Failing { bytes: 20 << 20, error: false })).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(place.store.root()).unwrap().count(), 0);
    }
}

#[test]
fn a_json_archive_takes_one_document_and_nothing_else() {
    let place = Place::new();
    let begin =
        || create(&place.store, "a", place.settings(ArchiveFormat::Json, Compression::GZIP_DEFAULT, None)).unwrap();
    let write = |content: &str| {
        let mut writer = begin();
        writer.write(&sized("database/database.json", 1), Some(&mut content.as_bytes()))?;
        writer.commit(MANIFEST)
    };
    assert_eq!(begin().commit(MANIFEST).unwrap_err().kind(), ErrorKind::Unsupported);
    for bad in ["", "[1]", "{\"a\":1", "text"] {
        assert_eq!(write(bad).unwrap_err().kind(), ErrorKind::Internal, "{bad:?}");
    }
    let mut writer = begin();
    let (entry, _) = file("database/database.json", "{}");
    writer.write(&entry, Some(&mut &b"{}"[..])).unwrap();
    assert_eq!(writer.write(&entry, Some(&mut &b"{}"[..])).unwrap_err().kind(), ErrorKind::Unsupported);
    let mut failing = begin();
    assert!(failing.write(&entry, Some(&mut Failing { bytes: 5, error: true })).is_err());
    drop((writer, failing));
    assert_eq!(std::fs::read_dir(place.store.root()).unwrap().count(), 0);
    write("{ }").unwrap();
    let seen = contents(&mut *place.open("a", &options(&[])).unwrap()).unwrap();
    let expected =
        format!("{{ \"entry\":\"database/database.json\",\"manifest\":{}}}\n", std::str::from_utf8(MANIFEST).unwrap());
    assert_eq!(seen[0].1, expected.as_bytes());
}

#[test]
fn only_selected_entries_are_visited_and_contents_need_not_be_read() {
    let place = Place::new();
    let entries = [file("a/1", vec![1; 5000]), file("b/1", vec![2; 5000]), file("b/2", vec![3; 5000])];
    crate::samples::write(&place, "a", place.settings(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, None), &entries);
    let mut seen = Vec::new();
    let mut reader = place.open("a", &options(&[])).unwrap();
    reader
        .visit(&Selection::below(["b"]), &mut |entry: &Entry, content: &mut dyn Read| {
            let mut one = [0];
            content.read_exact(&mut one).unwrap();
            seen.push((entry.path.to_string(), one[0]));
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [("b/1".to_owned(), 2), ("b/2".to_owned(), 3)]);
}

#[test]
fn a_visitor_that_stops_can_be_followed_by_another() {
    let place = Place::new();
    let entries: Vec<_> = (0..40).map(|n| file(format!("a/{n}"), vec![n; 1 << 20])).collect();
    crate::samples::write(&place, "a", place.settings(ArchiveFormat::Tar, Compression::ZSTD_DEFAULT, None), &entries);
    let mut reader = place.open("a", &options(&[])).unwrap();
    let stop = |_: &Entry, _: &mut dyn Read| Err(vault::Error::new(ErrorKind::Cancelled, "stop", ""));
    assert_eq!(reader.visit(&Selection::all(), &mut { stop }).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(contents(&mut *reader).unwrap().len(), 40);
}

#[test]
fn the_same_content_makes_the_same_bytes_on_any_number_of_threads() {
    let place = Place::new();
    let entries = [file("a/1", crate::samples::noise(9_000_000, 4))];
    for compression in [Compression::GZIP_DEFAULT, Compression::ZSTD_DEFAULT] {
        let archive = |threads: usize| {
            let name = format!("{threads}{compression:?}").replace([' ', ':', '{', '}'], "");
            let settings = place.settings(ArchiveFormat::Tar, compression, None);
            crate::samples::write(&place, &name, vault::archive::ArchiveSettings { threads, ..settings }, &entries);
            std::fs::read(place.path(&name)).unwrap()
        };
        assert!(archive(1) == archive(4));
    }
}

fn entries() -> impl Strategy<Value = Vec<(Entry, Vec<u8>)>> {
    let name = proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'/'), Just(b'a')], 1..300)
        .prop_filter_map("a safe path", |bytes| EntryPath::new(bytes).ok());
    let kind = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..3000).prop_map(|content| {
            (EntryKind::File { size_bytes: Some(content.len() as u64) }, content)
        }),
        1 => Just((EntryKind::Directory, Vec::new())),
        1 => Just((EntryKind::Fifo, Vec::new())),
        1 => proptest::collection::vec(1..=255_u8, 1..200)
            .prop_map(|target| (EntryKind::Symlink { target }, Vec::new())),
    ];
    let text = || proptest::option::of("[a-zA-Zäß-]{1,40}");
    let xattrs = proptest::collection::btree_map(
        proptest::collection::vec(1..=255_u8, 1..30),
        proptest::collection::vec(any::<u8>(), 0..100),
        0..3,
    );
    let times = (-100_000_000_000_i64..100_000_000_000, 0..1_000_000_000_u32);
    let metadata = (0..0o10_000_u32, any::<u32>(), any::<u32>(), text(), text(), times, xattrs, any::<bool>())
        .prop_map(|(mode, uid, gid, user, group, (seconds, nanoseconds), xattrs, sparse)| {
            let modified = Timestamp { seconds, nanoseconds };
            let xattrs = xattrs.into_iter().collect();
            let [user, group] = [user, group].map(|name| name.map(std::sync::Arc::from));
            Metadata { mode, uid, gid, user, group, modified, xattrs, sparse, links: 1, ..Metadata::default() }
        });
    let entry =
        (name, kind, metadata).prop_map(|(path, (kind, content), metadata)| (Entry { path, kind, metadata }, content));
    proptest::collection::vec(entry, 0..8).prop_map(|entries| {
        // Below a folder each, so that no entry lies below another's symbolic link.
        let numbered = entries.into_iter().enumerate();
        numbered
            .map(|(n, (entry, content))| (Entry { path: entry.path.below(&format!("c{n}")), ..entry }, content))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_names_metadata_and_contents_come_back(
        entries in entries(),
        compression in prop_oneof![
            (1..=12_u8).prop_map(|level| Compression::Gzip { level }),
            (1..=7_u8).prop_map(|level| Compression::Zstd { level }),
            Just(Compression::None)
        ],
        encrypted in any::<bool>(),
    ) {
        let place = Place::new();
        let key = crate::samples::key(8);
        let settings = place.settings(ArchiveFormat::Tar, compression, encrypted.then(|| key.clone()));
        crate::samples::write(&place, "a", settings, &entries);
        let mut reader = place.open("a", &options(&[key])).unwrap();
        prop_assert_eq!(contents(&mut *reader).unwrap(), entries);
        prop_assert_eq!(reader.manifest().unwrap(), MANIFEST);
    }
}
