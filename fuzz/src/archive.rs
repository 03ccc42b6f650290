//! Readers of archives: whatever the bytes, an error or a sound result; never a panic, an unsafe path or endless memory.

use std::io::{Cursor, Read, copy, sink};
use vault::archive::json::MemberScanner;
use vault::archive::tar::TarParser;
use vault::archive::{ArchiveOptions, open_object, sidecar};
use vault::compress::{CompressionFormat, DecompressionReader, ExpansionLimit};
use vault::envelope::{Envelope, seal, unseal};
use vault::{Entry, EntryKind, EntryPath, Key, Selection};

/// The key of every sample.
pub const KEY: Key = Key::from_bytes([1; 32]);

/// What was not sealed does not open; what was, does.
pub fn envelope(bytes: &[u8]) {
    let opened = unseal(&KEY, bytes);
    let authenticated = Envelope::authenticate(Cursor::new(bytes), &KEY, |_| true);
    assert_eq!(opened.is_ok(), authenticated.is_ok(), "both readers agree");
    let sealed = seal(&KEY, bytes).expect("sealing works");
    assert_eq!(unseal(&KEY, &sealed).expect("opens again"), bytes);
}

/// Entries of a tar stream stay inside.
pub fn tar(bytes: &[u8]) {
    let mut parser = TarParser::new(bytes);
    while let Ok(Some(entry)) = parser.next_entry() {
        check(&entry);
        if copy(&mut parser, &mut sink()).is_err() {
            return;
        }
    }
}

/// What the scanner finds, a JSON parser finds too; what it calls whole is cut nowhere.
pub fn json(bytes: &[u8]) {
    let mut scanner = MemberScanner::new("manifest", u64::MAX);
    let mut pieces = bytes.chunks(7);
    let scanned = pieces.try_for_each(|piece| scanner.take(piece)).and_then(|()| scanner.finish());
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(bytes) else { return };
    let found = scanned.expect("a JSON object is scanned without complaint");
    // A key may be spelled with escapes: then the parser finds it and the scanner does not.
    if let Some(found) = found {
        let value: serde_json::Value = serde_json::from_slice(&found).expect("a value of valid JSON is valid");
        assert_eq!(object.get("manifest"), Some(&value));
    }
}

/// Decompression ends, within its limit.
pub fn gzip(bytes: &[u8]) {
    decompress(bytes, CompressionFormat::Gzip);
}

/// Decompression ends, within its limit.
pub fn zstd(bytes: &[u8]) {
    decompress(bytes, CompressionFormat::Zstd);
}

fn decompress(bytes: &[u8], format: CompressionFormat) {
    const BYTES_MAX: u64 = 32 << 20;
    let limit = ExpansionLimit { bytes_max: Some(BYTES_MAX), ratio_max: None };
    let mut reader = DecompressionReader::new(Cursor::new(bytes.to_vec()), format, 1, limit).expect("threads start");
    let mut content = sink();
    if let Ok(length) = copy(&mut reader, &mut content) {
        assert!(length <= BYTES_MAX);
    } else {
        assert!(reader.read(&mut [0]).is_err(), "an error stays an error");
    }
}

/// A sidecar is refused or consistent.
pub fn sidecar(bytes: &[u8]) {
    if let Ok(sidecar) = sidecar::decode(bytes) {
        let _ = sidecar.manifest(&[KEY]);
    }
}

/// A whole archive, whatever it is.
pub fn open(bytes: &[u8]) {
    let options = ArchiveOptions { keys: vec![KEY], ..ArchiveOptions::default() };
    let Ok(mut reader) = open_object(Box::new(Cursor::new(bytes.to_vec())), &options) else { return };
    let _ = reader.manifest();
    let _ = reader.visit(&Selection::all(), &mut |entry: &Entry, content: &mut dyn Read| {
        check(entry);
        copy(content, &mut sink()).map(drop).map_err(|cause| vault::error::from_io("reading", cause))
    });
}

fn check(entry: &Entry) {
    assert!(EntryPath::new(entry.path.as_bytes()).is_ok(), "{:?}", entry.path);
    if let EntryKind::HardLink { target } = &entry.kind {
        assert!(EntryPath::new(target.as_bytes()).is_ok(), "{target:?}");
    }
    assert!(!matches!(entry.kind, EntryKind::Device { .. }));
    assert!(entry.metadata.mode <= 0o7777 && entry.metadata.modified.nanoseconds < 1_000_000_000);
}
