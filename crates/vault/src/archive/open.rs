//! Opening an archive: what it is, whether it is authentic, whose key opens it.

use super::hash;
use super::json::JsonReader;
use super::source::Source;
use super::tar::{TarReader, is_tar_header};
use crate::compress::{CompressionFormat, DecompressionReader, ExpansionLimit};
use crate::envelope::{self, Envelope};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::key::{Fingerprint, Key};
use crate::store::{ObjectReader, Store};
use crate::transfer::EntryReader;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Enough to recognise a tar header.
const PEEK_BYTES: usize = 512;
/// How much an unauthenticated archive may expand unless its sidecar says more: text compresses to a twentieth at best.
const RATIO_MAX: u64 = 200;

/// What a sidecar or the catalog says about an archive. Everything that is known is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Size of the stored file.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the stored file. An encrypted archive's own tag says more, so one whose key is known is not hashed.
    pub sha256: Option<[u8; 32]>,
    /// Key that encrypted it. Without it the file itself decides.
    pub fingerprint: Option<Fingerprint>,
    /// Bytes of content in its components; it may not expand to much more.
    pub content_bytes: Option<u64>,
}

/// How an archive is opened.
#[derive(Debug, Clone, Default)]
pub struct ArchiveOptions {
    /// The present key and previous ones.
    pub keys: Vec<Key>,
    /// What is known about the archive.
    pub expected: Expected,
    /// Decompression threads; at least one and at most 8 are used.
    pub threads: usize,
    /// A folder into which an archive from a remote store is copied (as it is, encrypted, without a name), so that both
    /// passes read the same bytes and the network is used once. Without it both passes go to the store.
    pub scratch: Option<PathBuf>,
}

/// Opens the archive `name`. An encrypted one is authenticated as a whole before this returns.
pub fn open(store: &dyn Store, name: &str, options: &ArchiveOptions) -> Result<Box<dyn EntryReader>> {
    let within = |error: Error| error.within(name);
    let mut object = store.open(name)?;
    let size_bytes = object.seek(SeekFrom::End(0)).map_err(|cause| within(from_io("reading", cause)))?;
    check_size(size_bytes, options.expected.size_bytes).map_err(within)?;
    if store.local_path(name).is_none()
        && let Some(folder) = &options.scratch
    {
        object = spool(object, folder).map_err(within)?;
    }
    open_object(object, options).map_err(within)
}

/// Opens an archive that is not in a store.
pub fn open_object(mut object: Box<dyn ObjectReader>, options: &ArchiveOptions) -> Result<Box<dyn EntryReader>> {
    let expected = &options.expected;
    if expected.fingerprint.is_none() {
        check_hash(&mut *object, expected.sha256)?;
    }
    if expected.fingerprint.is_none() && is_archive(&peek(&mut *object)?) {
        let bytes_max = expected.content_bytes.map(with_overhead);
        let ratio_max = if bytes_max.is_some() { None } else { Some(RATIO_MAX) };
        return read(object, options.threads, ExpansionLimit { bytes_max, ratio_max });
    }
    // Whoever holds the key may expand as much as needed: long runs of zeros do, and it is authentic.
    read(decrypt(object, options)?, options.threads, ExpansionLimit::default())
}

fn check_size(size_bytes: u64, expected: Option<u64>) -> Result<()> {
    if size_bytes == 0 {
        return Err(Error::new(
            ErrorKind::Truncated,
            "the file is empty",
            "Use another copy of it or an older backup; was the disk full when it was copied?",
        ));
    }
    match expected {
        Some(expected) if size_bytes < expected => Err(Error::new(
            ErrorKind::Truncated,
            format!("the file has {size_bytes} bytes, but {expected} were written"),
            "It was cut off or not copied to its end: use another copy of it or an older backup.",
        )),
        Some(expected) if size_bytes > expected => Err(Error::new(
            ErrorKind::Damaged,
            format!("the file has {size_bytes} bytes, but only {expected} were written"),
            "Something was added to it, or it is another file: use another copy of it or an older backup.",
        )),
        _ => Ok(()),
    }
}

fn check_hash(object: &mut dyn ObjectReader, expected: Option<[u8; 32]>) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    object.rewind().map_err(|cause| from_io("reading", cause))?;
    if hash(object)? == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Damaged,
        "the file is not what was written: its SHA-256 is another",
        "It was altered or rotted: use another copy of it or an older backup.",
    ))
}

/// tar headers and padding come on top of the content: per entry a few blocks, which no manifest counts in bytes.
fn with_overhead(content_bytes: u64) -> u64 {
    content_bytes.saturating_mul(4).saturating_add(1 << 30)
}

fn spool(mut object: Box<dyn ObjectReader>, folder: &PathBuf) -> Result<Box<dyn ObjectReader>> {
    let mut file = tempfile::tempfile_in(folder)
        .map_err(|cause| Error::io(format!("making a temporary file in {}", folder.display()), cause))?;
    object.rewind().map_err(|cause| from_io("reading", cause))?;
    io::copy(&mut object, &mut file)
        .map_err(|cause| from_io("fetching the archive into the temporary folder", cause))?;
    Ok(Box::new(file))
}

fn peek(object: &mut dyn ObjectReader) -> Result<Vec<u8>> {
    let reading = |cause| from_io("reading the beginning of the archive", cause);
    object.rewind().map_err(reading)?;
    let mut beginning = Vec::with_capacity(PEEK_BYTES);
    object.take(PEEK_BYTES as u64).read_to_end(&mut beginning).map_err(reading)?;
    object.rewind().map_err(reading)?;
    Ok(beginning)
}

/// Whether an unencrypted archive begins so.
fn is_archive(beginning: &[u8]) -> bool {
    CompressionFormat::of(beginning) != CompressionFormat::None || is_tar_header(beginning) || is_json(beginning)
}

/// An object with at least one member: a single brace may well begin a random IV.
fn is_json(beginning: &[u8]) -> bool {
    let member = beginning.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    member.is_some_and(|rest| rest.starts_with(b"\"") || rest.starts_with(b"}")) && beginning.is_ascii()
        || beginning.starts_with(b"{\"strongroom\"")
}

/// What a file plainly is instead, where nothing says that it should be a backup: an envelope begins with random bytes, and
/// random bytes spell a signature of 32 bits once in billions of files, and are never text.
fn something_else(beginning: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 8] = [
        (b"\xff\xd8\xff\xe0", "it is a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG picture"),
        (b"%PDF-", "it is a PDF document"),
        (b"PK\x03\x04", "it is a zip archive"),
        (b"\x7fELF", "it is a program"),
        (b"SQLite format 3\0", "it is a SQLite database"),
        (b"\xfd7zXZ\0", "it is xz-compressed"),
        (b"BZh9", "it is bzip2-compressed"),
    ];
    let text = |b: &u8| (b' '..=b'~').contains(b) || b"\t\r\n".contains(b);
    let signature = SIGNATURES.iter().find(|(signature, _)| beginning.starts_with(signature)).map(|(_, what)| *what);
    signature.or_else(|| (beginning.len() >= 64 && beginning.iter().all(text)).then_some("it is plain text"))
}

/// Finds the key, authenticates.
fn decrypt(mut object: Box<dyn ObjectReader>, options: &ArchiveOptions) -> Result<Box<dyn ObjectReader>> {
    if options.keys.is_empty() {
        return Err(if options.expected.fingerprint.is_some() { no_key() } else { not_a_backup_or_no_key() });
    }
    let mut candidates: Vec<&Key> = options.keys.iter().collect();
    if let Some(fingerprint) = &options.expected.fingerprint {
        candidates.retain(|key| key.fingerprint() == *fingerprint);
        if candidates.is_empty() {
            return Err(wrong_key(fingerprint, &options.keys));
        }
    }
    // The key under which the beginning makes sense is the right one, whatever is wrong with the rest.
    for key in &candidates {
        if Envelope::opens_with(&mut object, key, is_archive)? {
            return Ok(Box::new(Envelope::authenticate(object, key, is_archive)?));
        }
    }
    let right_key_known = options.expected.fingerprint.is_some();
    if !right_key_known && let Some(what) = something_else(&peek(&mut *object)?) {
        return Err(not_a_backup(what));
    }
    let [key] = candidates[..] else { return Err(envelope::wrong_key_or_damaged()) };
    match Envelope::authenticate(object, key, is_archive) {
        Ok(_) => Err(not_a_backup("it was encrypted with your key, but holds no archive")),
        Err(error) if right_key_known && error.kind() == ErrorKind::WrongKeyOrDamaged => Err(envelope::damaged()),
        Err(error) => Err(error),
    }
}

fn read(mut object: Box<dyn ObjectReader>, threads: usize, limit: ExpansionLimit) -> Result<Box<dyn EntryReader>> {
    let format = CompressionFormat::of(&peek(&mut *object)?);
    let source = Source::new(object, format, threads, limit);
    let beginning = content_beginning(source.read()?)?;
    if is_tar_header(&beginning) || beginning.starts_with(&[0; PEEK_BYTES]) {
        Ok(Box::new(TarReader::new(source)))
    } else if is_json(&beginning) || beginning.trim_ascii_start().starts_with(b"{") {
        Ok(Box::new(JsonReader::new(source)))
    } else {
        Err(not_a_backup("it holds neither a tar archive nor a JSON document"))
    }
}

fn content_beginning(content: DecompressionReader) -> Result<Vec<u8>> {
    let mut beginning = Vec::with_capacity(PEEK_BYTES);
    content
        .take(PEEK_BYTES as u64)
        .read_to_end(&mut beginning)
        .map_err(|cause| from_io("reading the beginning of the archive", cause))?;
    Ok(beginning)
}

fn wrong_key(fingerprint: &str, keys: &[Key]) -> Error {
    let known: Vec<String> = keys.iter().map(Key::fingerprint).collect();
    Error::new(
        ErrorKind::WrongKey,
        format!("the backup was encrypted with the key {fingerprint}; the keys here are {}", known.join(", ")),
        "Give the key that was in use when the backup was made (BACKUP_ENCRYPTION_KEY, or list it as a previous key).",
    )
}

fn no_key() -> Error {
    Error::new(
        ErrorKind::NoKey,
        "the backup is encrypted and there is no key",
        "Give the key that was in use when it was made (BACKUP_ENCRYPTION_KEY); the recovery kit has it.",
    )
}

fn not_a_backup_or_no_key() -> Error {
    Error::new(
        ErrorKind::NotABackup,
        "the file is no unencrypted backup, and without a key an encrypted one cannot be recognised",
        "If it is an encrypted backup, give its key (BACKUP_ENCRYPTION_KEY); else check that it is the right file.",
    )
}

fn not_a_backup(what: &str) -> Error {
    Error::new(
        ErrorKind::NotABackup,
        format!("the file is not a backup: {what}"),
        "Check that it is the right file: backups are tar archives or JSON documents, compressed and encrypted.",
    )
}
