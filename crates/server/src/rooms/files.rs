//! What a backup holds, page by page, and bytes out of it.

use crate::work::{FileEntry, FilePage, FilesQuery, OpenArchive, OpenFile};
use engine::contents::{self, Listed};
use engine::id::Id;
use engine::room::Room;
use engine::storage::Location;
use engine::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use vault::EntryPath;

/// Entries that a listing may have to be kept; larger ones are read anew for each page.
const CACHED_ENTRIES_MAX: usize = 200_000;

/// The listing that somebody browses now: an archive has to be read to its end to be listed, and a person goes from folder
/// to folder.
#[derive(Default)]
pub(super) struct ListingCache {
    last: Mutex<Option<(Id, Arc<Vec<Listed>>)>>,
}

impl ListingCache {
    pub(super) fn page(&self, room: &Room, id: &Id, query: &FilesQuery) -> Result<FilePage> {
        let listing = self.listing(room, id)?;
        let mut found = match &query.search {
            Some(search) => below(&listing, &query.path, &search.to_lowercase()),
            None => children(&listing, &query.path),
        };
        if found.is_empty() && !query.path.is_empty() && query.search.is_none() {
            let itself = query.path.trim_matches('/');
            if !listing.iter().any(|entry| entry.path == itself && entry.kind == "folder") {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("the backup {id} has no folder {itself}"),
                    "Paths begin with the component's name; the empty path lists the components.",
                ));
            }
        }
        found.sort_by(|left, right| {
            (left.kind != "directory", &left.path).cmp(&(right.kind != "directory", &right.path))
        });
        let total = found.len() as u64;
        let files = found.into_iter().skip(query.offset as usize).take(query.limit as usize).collect();
        Ok(FilePage { files, total })
    }

    fn listing(&self, room: &Room, id: &Id) -> Result<Arc<Vec<Listed>>> {
        if let Some((cached, listing)) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && cached == id
        {
            return Ok(listing.clone());
        }
        let mut listing = Vec::new();
        let _reading = room.locks.reading(id)?;
        contents::list(room, &super::find(room, id)?, "", &mut |entry| {
            listing.push(Listed { path: escaped(entry.raw_path.as_bytes()), ..entry });
            Ok(())
        })?;
        let listing = Arc::new(listing);
        if listing.len() <= CACHED_ENTRIES_MAX {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((id.clone(), listing.clone()));
        }
        Ok(listing)
    }
}

/// What lies directly in a folder. Folders that only show in longer paths count too.
fn children(listing: &[Listed], folder: &str) -> Vec<FileEntry> {
    let folder = folder.trim_matches('/');
    let mut found: BTreeMap<&str, FileEntry> = BTreeMap::new();
    for entry in listing {
        let rest = if folder.is_empty() {
            entry.path.as_str()
        } else {
            match entry.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) => rest,
                None => continue,
            }
        };
        match rest.split_once('/') {
            None => {
                found.insert(rest, described(entry));
            }
            Some((child, _)) => {
                found.entry(child).or_insert_with(|| implied_folder(folder, child));
            }
        }
    }
    found.into_values().collect()
}

fn below(listing: &[Listed], folder: &str, search: &str) -> Vec<FileEntry> {
    let folder = folder.trim_matches('/');
    let inside = |entry: &&Listed| {
        folder.is_empty() || entry.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let named = |entry: &&Listed| name(&entry.path).to_lowercase().contains(search);
    listing.iter().filter(inside).filter(named).map(described).collect()
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The last part for people: escapes undone, bytes that are not UTF-8 replaced.
fn name(path: &str) -> String {
    String::from_utf8_lossy(&unescaped(last_part(path))).into_owned()
}

/// A path as the API writes it: bytes that are not UTF-8 stand as `%XX`, `%` as `%25`.
fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

/// The other way round. A `%` without two hexadecimal digits stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let mut byte = [0];
        let escape = after.get(..2).filter(|digits| first == b'%' && hex::decode_to_slice(digits, &mut byte).is_ok());
        (byte[0], rest) = if escape.is_some() { (byte[0], &after[2..]) } else { (first, after) };
        bytes.push(byte[0]);
    }
    bytes
}

fn described(entry: &Listed) -> FileEntry {
    FileEntry {
        path: entry.path.clone(),
        name: name(&entry.path),
        kind: if entry.kind == "folder" { "directory" } else { entry.kind }.to_owned(),
        size_bytes: (entry.kind == "file").then_some(entry.bytes),
        mode: entry.mode.clone(),
        modified_at: entry.modified,
        target: entry.target.clone(),
    }
}

fn implied_folder(folder: &str, child: &str) -> FileEntry {
    let path = if folder.is_empty() { child.to_owned() } else { format!("{folder}/{child}") };
    FileEntry {
        path,
        name: name(child),
        kind: "directory".to_owned(),
        size_bytes: None,
        mode: "0700".to_owned(),
        modified_at: None,
        target: None,
    }
}

/// One file out of a backup; the archive is authenticated before this returns.
pub(super) fn open_file(room: Arc<Room>, id: &Id, path: &str) -> Result<OpenFile> {
    let stream = contents::stream(room, id.clone(), EntryPath::new(unescaped(path.trim_matches('/')))?)?;
    Ok(OpenFile { name: name(path), size_bytes: stream.size_bytes, reader: Box::new(stream.reader) })
}

/// A backup's archive as it lies in its store. It cannot be deleted while somebody reads it.
pub(super) fn open_archive(room: &Room, id: &Id) -> Result<OpenArchive> {
    use vault::Store;
    let reading = room.locks.reading(id)?;
    let backup = super::find(room, id)?;
    let Location::Archive { store, name } = &backup.location else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the backup {id} is a snapshot in a repository: there is no one file to download"),
            "Download single files of it, or restore it elsewhere.",
        ));
    };
    let record = room.catalog.backup(id.as_str())?;
    let reader = Held { inner: store.open(name)?, _reading: reading };
    let size_bytes = store.stat(name)?.map_or(0, |info| info.size_bytes);
    Ok(OpenArchive {
        file_name: last_part(name).to_owned(),
        size_bytes,
        sha256: record.sha256,
        modified_at: record.started_at,
        reader: Box::new(reader),
    })
}

/// Reads while it holds a lock.
struct Held<R, L> {
    inner: R,
    _reading: L,
}

impl<R: Read, L> Read for Held<R, L> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: Seek, L> Seek for Held<R, L> {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_bytes_is_a_text_and_comes_back() {
        assert_eq!(escaped(b"uploads/latin1-\xe9t\xe9 100%.txt"), "uploads/latin1-%E9t%E9 100%25.txt");
        assert_eq!(escaped("Müller".as_bytes()), "Müller");
        for path in [&b"a%41"[..], b"%", b"%%2", b"\xff\xfe/\x80", "ü %25 \u{1f4f7}".as_bytes(), b""] {
            assert_eq!(unescaped(&escaped(path)), path);
        }
        assert_eq!(unescaped("100% sure %4"), b"100% sure %4");
        assert_eq!(name("uploads/100%25 \u{fc}-%E9"), "100% \u{fc}-\u{fffd}");
    }
}
