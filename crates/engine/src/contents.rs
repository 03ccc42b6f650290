//! What a backup holds, and single files out of it.

use crate::below::{Counted, take_apart};
use crate::config::ComponentConfig;
use crate::hash::HashKey;
use crate::id::Id;
use crate::locate::{self, Backup};
use crate::manifest::{ComponentKind, Manifest};
use crate::room::Room;
use crate::target::{Context, Place, Target};
use crate::{Error, ErrorKind, Result, component};
use serde::Serialize;
use std::collections::{BTreeMap, btree_map};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use vault::{Entry, EntryKind, EntryPath, Progress, Selection};

/// An entry as lists show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Path, component first; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The path as it is.
    #[serde(skip)]
    pub raw_path: EntryPath,
    /// `file`, `folder`, `symlink`, `hardlink`, `fifo` or `device`.
    pub kind: &'static str,
    /// Bytes of content.
    pub bytes: u64,
    /// Permission bits, octal.
    pub mode: String,
    /// Time of last modification.
    pub modified: Option<jiff::Timestamp>,
    /// Where a link leads.
    pub target: Option<String>,
}

/// Calls `found` for each entry at or below `prefix` (everything when empty), in the backup's order.
pub fn list(room: &Room, backup: &Backup, prefix: &str, found: &mut dyn FnMut(Listed) -> Result<()>) -> Result<u64> {
    let mut reader = backup.open(room)?;
    let prefix = prefix.trim_matches('/');
    let selection = if prefix.is_empty() { Selection::all() } else { Selection::below([prefix.as_bytes()]) };
    let mut count = 0;
    reader.visit(&selection, &mut |entry: &Entry, content: &mut dyn Read| {
        count += 1;
        found(listed(entry, content)?)
    })?;
    if count == 0 && !prefix.is_empty() {
        return Err(nothing_at(backup, prefix));
    }
    Ok(count)
}

fn listed(entry: &Entry, content: &mut dyn Read) -> Result<Listed> {
    let (kind, bytes, target) = match &entry.kind {
        EntryKind::File { size_bytes: Some(bytes) } => ("file", *bytes, None),
        EntryKind::File { size_bytes: None } => {
            let bytes = std::io::copy(content, &mut std::io::sink())
                .map_err(|cause| vault::error::from_io(format!("reading {}", entry.path), cause))?;
            ("file", bytes, None)
        }
        EntryKind::Directory => ("folder", 0, None),
        EntryKind::HardLink { target } => ("hardlink", 0, Some(target.to_string())),
        EntryKind::Symlink { target } => ("symlink", 0, Some(String::from_utf8_lossy(target).into_owned())),
        EntryKind::Fifo => ("fifo", 0, None),
        EntryKind::Device { .. } => ("device", 0, None),
    };
    let metadata = &entry.metadata;
    let modified = jiff::Timestamp::new(metadata.modified.seconds, metadata.modified.nanoseconds as i32).ok();
    Ok(Listed {
        path: entry.path.to_string(),
        raw_path: entry.path.clone(),
        kind,
        bytes,
        mode: format!("{:04o}", metadata.mode),
        modified,
        target,
    })
}

fn nothing_at(backup: &Backup, path: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("the backup {} holds nothing at {path}", backup.label()),
        "`strongroom files ID` lists what it holds; paths begin with the component's name.",
    )
}

/// What was fetched.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// Files, folders and so on.
    pub entries: u64,
    /// Whether the backup says what belongs to it; a snapshot that `restic` took does not.
    pub has_manifest: bool,
}

/// Fetches the entries at or below `paths` (everything when there are none) into `folder`, which must be new or empty, below
/// their components' names. A path inside a database fetches the database.
pub fn fetch(
    room: &Room,
    backup: &Backup,
    paths: &[String],
    folder: &Path,
    progress: &Arc<dyn Progress>,
) -> Result<Fetched> {
    let mut reader = backup.open(room)?;
    let manifest = match backup.manifest_of(&mut *reader) {
        Err(error) if error.kind() == ErrorKind::NotABackup && backup.may_be_foreign() => None,
        other => Some(other?),
    };
    let prefixes: Vec<_> = paths.iter().map(|path| path.trim_matches('/').as_bytes().to_vec()).collect();
    let mut missing = prefixes.clone();
    let selection = if prefixes.is_empty() { Selection::all() } else { Selection::below(prefixes) };
    let context = Context { progress: &**progress, hash_key: HashKey::default(), disconnect_clients: false };
    let mut targets: BTreeMap<String, Box<dyn Target>> = BTreeMap::new();
    let mut entries = 0;
    reader.visit(&selection, &mut |entry: &Entry, content: &mut dyn Read| {
        missing.retain(|prefix| !entry.path.starts_with(prefix));
        let Some(manifest) = &manifest else {
            let target = match targets.entry(String::new()) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(foreign_target(room, folder)?),
            };
            entries += 1;
            return target.entry(&context, entry, &mut Counted { content, progress: &**progress });
        };
        let (name, Some(inner)) = take_apart(entry)? else { return Ok(()) };
        let target = match targets.entry(name) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => {
                let target = target_below(room, folder, manifest, new.key())?;
                new.insert(target)
            }
        };
        entries += 1;
        target.entry(&context, &inner, &mut Counted { content, progress: &**progress })
    })?;
    for target in targets.values_mut() {
        target.finish(&context)?;
    }
    match missing.first() {
        None => Ok(Fetched { entries, has_manifest: manifest.is_some() }),
        Some(path) => Err(nothing_at(backup, &String::from_utf8_lossy(path))),
    }
}

/// Of a snapshot without a manifest all is files, whatever a program made of them.
fn foreign_target(room: &Room, folder: &Path) -> Result<Box<dyn Target>> {
    let config = ComponentConfig::elsewhere("snapshot", ComponentKind::Files, folder)?;
    component::target(&config, Place::Folder { path: folder.to_owned() }, &room.surroundings)
}

fn target_below(room: &Room, folder: &Path, manifest: &Manifest, name: &str) -> Result<Box<dyn Target>> {
    let part = manifest.components.iter().find(|part| part.name == name).ok_or_else(|| {
        Error::new(
            ErrorKind::Mismatch,
            format!("the backup holds entries of {name:?}, which its manifest does not know"),
            "Use another copy of it or an older backup.",
        )
    })?;
    let config = ComponentConfig::elsewhere(name, part.kind, folder)?;
    component::target(&config, Place::Folder { path: folder.join(name) }, &room.surroundings)
}

/// One regular file of a backup, as it comes.
pub struct Stream {
    /// Its size.
    pub size_bytes: Option<u64>,
    /// Its content. A failure under way is an error of this reader, never a short file.
    pub reader: ChunkReader,
}

enum Message {
    Begin(Option<u64>),
    Chunk(Vec<u8>),
    End,
    Failed(Error),
}

const CHUNK_BYTES: usize = 256 << 10;

/// Opens one regular file of a backup. The backup is authenticated, and the file found, before this returns; the content is
/// read on a thread of its own that holds the backup's reading lock, a few chunks ahead of the reader.
pub fn stream(room: Arc<Room>, id: Id, wanted: EntryPath) -> Result<Stream> {
    let (sender, receiver) = crossbeam_channel::bounded(4);
    std::thread::spawn(move || {
        let result = send(&room, &id, &wanted, &sender);
        // Nobody hears this when the reader has gone: then nobody needs to.
        let _ = sender.send(result.map_or_else(Message::Failed, |()| Message::End));
    });
    match receiver.recv() {
        Ok(Message::Begin(size_bytes)) => {
            Ok(Stream { size_bytes, reader: ChunkReader { receiver, chunk: Vec::new(), at: 0, over: false } })
        }
        Ok(Message::Failed(error)) => Err(error),
        _ => Err(Error::internal("the thread that reads a backup ended without a word")),
    }
}

fn send(room: &Room, id: &Id, wanted: &EntryPath, sender: &crossbeam_channel::Sender<Message>) -> Result<()> {
    let _reading = room.locks.reading(id)?;
    let backup = locate::cataloged(room, room.catalog.backup(id.as_str())?)?;
    let gone = |_| Error::new(ErrorKind::Cancelled, "the reader has gone", "");
    let mut found = false;
    backup.open(room)?.visit(
        &Selection::below([wanted.as_bytes()]),
        &mut |entry: &Entry, content: &mut dyn Read| {
            let EntryKind::File { size_bytes } = entry.kind else { return Ok(()) };
            if entry.path != *wanted {
                return Ok(());
            }
            found = true;
            sender.send(Message::Begin(size_bytes)).map_err(gone)?;
            loop {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                content
                    .take(CHUNK_BYTES as u64)
                    .read_to_end(&mut chunk)
                    .map_err(|cause| vault::error::from_io(format!("reading {wanted}"), cause))?;
                if chunk.is_empty() {
                    return Ok(());
                }
                sender.send(Message::Chunk(chunk)).map_err(gone)?;
            }
        },
    )?;
    if found { Ok(()) } else { Err(nothing_at(&backup, &wanted.to_string())) }
}

/// Reads what another thread sends.
pub struct ChunkReader {
    receiver: crossbeam_channel::Receiver<Message>,
    chunk: Vec<u8>,
    at: usize,
    over: bool,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.over {
                return Ok(0);
            }
            match self.receiver.recv() {
                Ok(Message::Chunk(chunk)) => (self.chunk, self.at) = (chunk, 0),
                Ok(Message::End) => self.over = true,
                Ok(Message::Failed(error)) => return Err(error.into()),
                Ok(Message::Begin(_)) | Err(_) => {
                    return Err(Error::internal("the thread that reads a backup ended without a word").into());
                }
            }
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
