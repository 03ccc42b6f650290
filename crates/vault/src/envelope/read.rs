//! Opening.

use super::gcm::Gcm;
use super::{CONTENT_BYTES_MAX, HEAD_BYTES};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::key::Key;
use crossbeam_channel::bounded;
use std::io::{self, Read, Seek, SeekFrom};

const BUFFER_BYTES: usize = 256 * 1024;
/// Buffers on their way between the thread that reads and the one that hashes.
const PIECES_MAX: usize = 4;
/// How much of the beginning is enough to recognise what was encrypted (a tar header).
const PEEK_BYTES: usize = 512;

/// An authenticated envelope: reads as its content, and seeks in it.
///
/// A pass from the start to the end checks the tag once more: a file that changed since it was authenticated is
/// [`ErrorKind::Damaged`].
pub struct Envelope<R> {
    inner: R,
    gcm: Gcm,
    tag: [u8; 16],
    content_bytes: u64,
    position: u64,
    /// Everything before `position` went through the tag.
    rechecking: bool,
    key: Key,
    iv: [u8; 16],
}

impl<R> std::fmt::Debug for Envelope<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({} bytes)", self.content_bytes)
    }
}

impl<R: Read + Seek> Envelope<R> {
    /// Authenticates `inner` from its start to its end under `key`, releasing nothing.
    ///
    /// A tag that does not match is [`ErrorKind::Damaged`] where `recognise` knows the first decrypted bytes (so the key
    /// is right), else [`ErrorKind::WrongKeyOrDamaged`].
    pub fn authenticate(mut inner: R, key: &Key, recognise: fn(&[u8]) -> bool) -> Result<Self> {
        let head = read_head(&mut inner)?;
        let mut beginning = Vec::new();
        let (gcm, content_bytes) = hash_all(&mut inner, Gcm::new(key, &head.iv), &mut beginning)?;
        if !gcm.tag_is(&head.tag) {
            Gcm::new(key, &head.iv).decrypt_unhashed(&mut beginning);
            return Err(if recognise(&beginning) { damaged() } else { wrong_key_or_damaged() });
        }
        let envelope = Self {
            inner,
            gcm: Gcm::new(key, &head.iv),
            tag: head.tag,
            content_bytes,
            position: content_bytes,
            rechecking: false,
            key: key.clone(),
            iv: head.iv,
        };
        Ok(envelope)
    }

    /// Whether the first bytes, decrypted with `key`, are what `recognise` knows. For choosing among several keys; says
    /// nothing about the rest.
    pub fn opens_with(inner: &mut R, key: &Key, recognise: fn(&[u8]) -> bool) -> Result<bool> {
        let head = read_head(inner)?;
        let mut beginning = Vec::new();
        inner.take(PEEK_BYTES as u64).read_to_end(&mut beginning).map_err(|cause| from_io("reading", cause))?;
        Gcm::new(key, &head.iv).decrypt_unhashed(&mut beginning);
        Ok(recognise(&beginning))
    }

    /// Bytes of content.
    pub const fn content_bytes(&self) -> u64 {
        self.content_bytes
    }
}

/// Takes everything that is left of `inner` into the tag, and the first of it into `beginning`. One thread reads, one hashes:
/// each takes about as long, and whoever restores waits for it.
fn hash_all(inner: &mut impl Read, mut gcm: Gcm, beginning: &mut Vec<u8>) -> Result<(Gcm, u64)> {
    let (to_hasher, pieces) = bounded::<Vec<u8>>(PIECES_MAX);
    let (to_reader, used) = bounded(PIECES_MAX);
    std::thread::scope(|scope| {
        let hasher = scope.spawn(move || {
            for piece in pieces {
                gcm.hash(&piece);
                // The reader may have come to its end.
                let _ = to_reader.try_send(piece);
            }
            gcm
        });
        let mut content_bytes = 0;
        loop {
            let mut piece: Vec<u8> = used.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES));
            piece.clear();
            let read = inner.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut piece);
            if read.map_err(|cause| from_io("reading the encrypted archive", cause))? == 0 {
                break;
            }
            if content_bytes == 0 {
                beginning.extend_from_slice(&piece[..piece.len().min(PEEK_BYTES)]);
            }
            content_bytes += piece.len() as u64;
            if content_bytes > CONTENT_BYTES_MAX {
                return Err(too_long());
            }
            let died = |_| Error::internal("the thread that authenticates died");
            to_hasher.send(piece).map_err(died)?;
        }
        drop(to_hasher);
        let gcm = hasher.join().map_err(|_| Error::internal("the thread that authenticates died"))?;
        Ok((gcm, content_bytes))
    })
}

struct Head {
    iv: [u8; 16],
    tag: [u8; 16],
}

fn read_head(inner: &mut (impl Read + Seek)) -> Result<Head> {
    inner.rewind().map_err(|cause| from_io("reading", cause))?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    inner.take(HEAD_BYTES as u64).read_to_end(&mut bytes).map_err(|cause| from_io("reading", cause))?;
    split_head(&bytes)
}

fn split_head(bytes: &[u8]) -> Result<Head> {
    let (Some(iv), Some(tag)) = (bytes.first_chunk(), bytes.get(16..).and_then(<[u8]>::first_chunk)) else {
        let what = match bytes.len() {
            0 => "the file is empty".to_owned(),
            len => format!("the file ends after {len} bytes, within the head of its encryption"),
        };
        return Err(Error::new(ErrorKind::Truncated, what, "Use another copy of it or an older backup."));
    };
    Ok(Head { iv: *iv, tag: *tag })
}

impl<R: Read + Seek> Read for Envelope<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content_bytes - self.position;
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(changed().into());
        }
        self.position += read as u64;
        if !self.rechecking {
            self.gcm.decrypt_unhashed(&mut buffer[..read]);
            return Ok(read);
        }
        self.gcm.decrypt(&mut buffer[..read]);
        if self.position == self.content_bytes && !self.gcm.tag_is(&self.tag) {
            return Err(changed().into());
        }
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Envelope<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.content_bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let target = target.filter(|target| *target <= self.content_bytes).ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.seek(SeekFrom::Start(HEAD_BYTES as u64 + target))?;
        if target == 0 {
            self.gcm = Gcm::new(&self.key, &self.iv);
        } else {
            self.gcm.seek(target);
        }
        self.rechecking = target == 0;
        self.position = target;
        Ok(target)
    }
}

/// Opens what [`seal`](super::seal) made.
pub fn unseal(key: &Key, sealed: &[u8]) -> Result<Vec<u8>> {
    let head = split_head(sealed)?;
    let mut content = sealed[HEAD_BYTES..].to_vec();
    if content.len() as u64 > CONTENT_BYTES_MAX {
        return Err(too_long());
    }
    let mut gcm = Gcm::new(key, &head.iv);
    gcm.hash(&content);
    if !gcm.tag_is(&head.tag) {
        return Err(wrong_key_or_damaged());
    }
    gcm.decrypt_unhashed(&mut content);
    Ok(content)
}

pub(crate) fn damaged() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the key is right, but the encrypted data is not what was written: its authentication tag does not match",
        "The file was cut off, altered or rotted: use another copy of it or an older backup. Nothing was restored.",
    )
}

pub(crate) fn wrong_key_or_damaged() -> Error {
    Error::new(
        ErrorKind::WrongKeyOrDamaged,
        "the data cannot be authenticated: the key is wrong, the data is damaged, or it is no backup at all",
        "Try the key that was in use when the backup was made; if it is that one, use another copy or an older backup.",
    )
}

fn changed() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the encrypted data changed while it was being read",
        "Something else writes to this file, or the disk fails: use another copy.",
    )
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::NotABackup,
        "the file is longer than 64 GiB, which no encrypted archive is",
        "Check that it is the right file.",
    )
}
