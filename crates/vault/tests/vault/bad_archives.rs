//! Archives that are not what they were: never a success, and from an encrypted one never a byte.

use crate::samples::{Place, contents, file, folder, key, noise, options, write};
use vault::archive::{ArchiveFormat, ArchiveOptions, Expected};
use vault::compress::Compression;
use vault::{Entry, ErrorKind, Selection};

struct Sample {
    place: Place,
    bytes: Vec<u8>,
    expected: Expected,
}

/// A stored archive with what its sidecar would say.
fn sample(format: ArchiveFormat, compression: Compression, encrypted: bool) -> Sample {
    let place = Place::new();
    let settings = place.settings(format, compression, encrypted.then(|| key(1)));
    let entries = match format {
        ArchiveFormat::Tar => {
            vec![folder("uploads"), file("uploads/a", noise(20_000, 1)), file("uploads/b", noise(3_000, 2))]
        }
        ArchiveFormat::Json => vec![file("database/database.json", r#"{"tables":{"t":[[1,"x"],[2,"y"]]}}"#)],
    };
    let committed = write(&place, "good", settings, &entries);
    let expected = Expected {
        size_bytes: Some(committed.stored_bytes),
        sha256: committed.sha256,
        fingerprint: encrypted.then(|| key(1).fingerprint()),
        content_bytes: Some(23_000),
    };
    let bytes = std::fs::read(place.path("good")).unwrap();
    Sample { place, bytes, expected }
}

impl Sample {
    /// Opens and reads `bytes`; how many entries a visitor saw, and the error.
    fn read(&self, bytes: &[u8], options: &ArchiveOptions) -> (u64, Option<ErrorKind>) {
        let path = self.place.path("bad");
        std::fs::write(&path, bytes).unwrap();
        let mut seen = 0;
        let result = self.place.open("bad", options).and_then(|mut reader| {
            reader.manifest()?;
            reader.visit(&Selection::all(), &mut |_: &Entry, content: &mut dyn std::io::Read| {
                seen += 1;
                std::io::copy(content, &mut std::io::sink())
                    .map_err(|cause| vault::error::from_io("reading", cause))?;
                Ok(())
            })
        });
        (seen, result.err().map(|error| error.kind()))
    }

    fn known(&self) -> ArchiveOptions {
        ArchiveOptions { expected: self.expected.clone(), ..options(&[key(1), key(2)]) }
    }
}

const BAD: [ErrorKind; 4] =
    [ErrorKind::Truncated, ErrorKind::Damaged, ErrorKind::WrongKeyOrDamaged, ErrorKind::NotABackup];

#[test]
fn an_encrypted_archive_cut_off_at_twenty_places_gives_nothing() {
    for (format, compression) in [
        (ArchiveFormat::Tar, Compression::GZIP_DEFAULT),
        (ArchiveFormat::Tar, Compression::ZSTD_DEFAULT),
        (ArchiveFormat::Tar, Compression::None),
        (ArchiveFormat::Json, Compression::GZIP_DEFAULT),
    ] {
        let sample = sample(format, compression, true);
        assert_eq!(sample.read(&sample.bytes, &sample.known()).1, None);
        for place in 0..20 {
            let end = sample.bytes.len() * place / 20;
            let (seen, error) = sample.read(&sample.bytes[..end], &sample.known());
            assert_eq!((seen, error), (0, Some(ErrorKind::Truncated)), "at {end}, with the sidecar");
            let (seen, error) = sample.read(&sample.bytes[..end], &options(&[key(1), key(2)]));
            assert_eq!(seen, 0);
            assert!(error.is_some_and(|kind| BAD.contains(&kind)), "at {end}: {error:?}");
        }
    }
}

#[test]
fn a_bit_flipped_at_two_hundred_places_gives_nothing() {
    let sample = sample(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, true);
    for place in 0..200 {
        let at = if place < 64 { place } else { sample.bytes.len() * place / 200 };
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1 << (place % 8);
        let (seen, error) = sample.read(&bytes, &sample.known());
        assert_eq!((seen, error), (0, Some(ErrorKind::Damaged)), "byte {at}, with the sidecar");
        let (seen, error) = sample.read(&bytes, &options(&[key(2), key(1)]));
        assert_eq!(seen, 0);
        // Where the IV or the first bytes changed, nothing shows that the key was right.
        let expected =
            if at < 16 || (32..35).contains(&at) { ErrorKind::WrongKeyOrDamaged } else { ErrorKind::Damaged };
        assert_eq!(error, Some(expected), "byte {at}");
    }
}

#[test]
fn an_unencrypted_archive_that_was_cut_or_changed_never_succeeds() {
    for (format, compression) in [
        (ArchiveFormat::Tar, Compression::GZIP_DEFAULT),
        (ArchiveFormat::Tar, Compression::ZSTD_DEFAULT),
        (ArchiveFormat::Json, Compression::GZIP_DEFAULT),
    ] {
        let sample = sample(format, compression, false);
        for place in 0..20 {
            let end = sample.bytes.len() * place / 20;
            let (seen, error) = sample.read(&sample.bytes[..end], &sample.known());
            assert_eq!((seen, error), (0, Some(ErrorKind::Truncated)), "at {end}, with the sidecar");
            let error = sample.read(&sample.bytes[..end], &options(&[])).1;
            // The last 42 bytes only say where the manifest is: without them all is there, and is read more slowly.
            let only_the_mark = sample.bytes.len() - end <= 42;
            assert!(error.map_or(only_the_mark, |kind| BAD.contains(&kind)), "at {end}: {error:?}");
        }
        for place in 0..100 {
            let mut bytes = sample.bytes.clone();
            bytes[sample.bytes.len() * place / 100] ^= 4;
            let (seen, error) = sample.read(&bytes, &sample.known());
            assert_eq!((seen, error), (0, Some(ErrorKind::Damaged)), "place {place}, with the sidecar");
        }
    }
}

#[test]
fn the_key_is_said_to_be_wrong_only_where_that_is_known() {
    let sample = sample(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, true);
    let with = |keys: &[vault::Key], expected: &Expected| {
        sample.read(&sample.bytes, &ArchiveOptions { expected: expected.clone(), ..options(keys) }).1
    };
    let unknown = Expected::default();
    assert_eq!(with(&[key(2)], &sample.expected), Some(ErrorKind::WrongKey));
    assert_eq!(with(&[key(2), key(3)], &sample.expected), Some(ErrorKind::WrongKey));
    assert_eq!(with(&[key(2)], &unknown), Some(ErrorKind::WrongKeyOrDamaged));
    assert_eq!(with(&[key(2), key(3)], &unknown), Some(ErrorKind::WrongKeyOrDamaged));
    assert_eq!(with(&[], &sample.expected), Some(ErrorKind::NoKey));
    assert_eq!(with(&[], &unknown), Some(ErrorKind::NotABackup));
    assert_eq!(with(&[key(3), key(2), key(1)], &unknown), None);
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let sample = sample(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, false);
    let gzip = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    };
    let keyless = options(&[]);
    assert_eq!(sample.read(b"", &keyless).1, Some(ErrorKind::Truncated));
    assert_eq!(sample.read(&noise(5000, 1), &keyless).1, Some(ErrorKind::NotABackup));
    assert_eq!(sample.read(&noise(5000, 1), &options(&[key(1)])).1, Some(ErrorKind::WrongKeyOrDamaged));
    assert_eq!(sample.read(b"PK\x03\x04 a zip file", &keyless).1, Some(ErrorKind::NotABackup));
    assert_eq!(sample.read(&gzip(b"just a text"), &keyless).1, Some(ErrorKind::NotABackup));
    assert_eq!(sample.read(&gzip(b"{\"a\":1}"), &keyless).1, Some(ErrorKind::NotABackup));
    let sealed = vault::envelope::seal(&key(1), &gzip(b"just a text")).unwrap();
    assert_eq!(sample.read(&sealed, &options(&[key(1)])).1, Some(ErrorKind::NotABackup));
    let sealed = vault::envelope::seal(&key(1), b"not even gzip").unwrap();
    assert_eq!(sample.read(&sealed, &options(&[key(1)])).1, Some(ErrorKind::NotABackup));
}

#[test]
fn an_archive_longer_than_it_was_written_is_damaged() {
    let sample = sample(ArchiveFormat::Tar, Compression::GZIP_DEFAULT, true);
    let longer = [&sample.bytes[..], b"x"].concat();
    assert_eq!(sample.read(&longer, &sample.known()), (0, Some(ErrorKind::Damaged)));
    assert_eq!(sample.read(&longer, &options(&[key(1)])), (0, Some(ErrorKind::Damaged)));
}

#[test]
fn a_decompression_bomb_is_stopped() {
    let place = Place::new();
    let bytes = 600 << 20;
    let make = |writer: &mut dyn std::io::Write| {
        let mut builder = tar::Builder::new(writer);
        let mut header = tar::Header::new_gnu();
        header.set_path("uploads/zeros").unwrap();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_cksum();
        builder.append(&header, std::io::Read::take(std::io::repeat(0), bytes)).unwrap();
        builder.finish().unwrap();
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    make(&mut gzip);
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).unwrap();
    make(&mut zstd);
    for (name, packed) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd.finish().unwrap())] {
        assert!(packed.len() < 1 << 20);
        std::fs::write(place.path(name), &packed).unwrap();
        let mut reader = place.open(name, &options(&[])).unwrap();
        assert_eq!(contents(&mut *reader).unwrap_err().kind(), ErrorKind::TooLarge);
        let expected = Expected { content_bytes: Some(bytes), ..Expected::default() };
        let mut trusted = place.open(name, &ArchiveOptions { expected, ..options(&[]) }).unwrap();
        trusted.visit(&Selection::all(), &mut |_: &Entry, _: &mut dyn std::io::Read| Ok(())).unwrap();
    }
}
