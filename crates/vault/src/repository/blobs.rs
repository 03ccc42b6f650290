//! Reading blobs: from the place that the index names, decrypted, expanded and compared with their name.
//!
//! Invariant: what is returned hashes to the id that was asked for. A damaged copy is passed over when there is another.

use super::crypto::MasterKey;
use super::files::Files;
use super::format::FileKind;
use super::format::pack::{BlobKind, PackedBlob};
use super::id::Id;
use super::index::Index;
use crate::error::{Error, ErrorKind, Result};
use std::cell::RefCell;

/// No blob expands beyond this: content is cut at 8 MiB, but the tree of a folder with millions of files is long.
const PLAIN_BYTES_MAX: u32 = 1 << 30;

const UNAUTHENTIC: &str = "its authentication tag does not match";
const ANOTHER: &str = "its content does not match its id";

/// A reusable zstd context.
pub struct Expander(zstd::bulk::Decompressor<'static>);

impl Expander {
    /// A new context.
    pub fn new() -> Result<Self> {
        zstd::bulk::Decompressor::new().map(Self).map_err(|cause| Error::internal(format!("zstd: {cause}")))
    }
}

thread_local! {
    /// For single blobs: trees are small, and making a context takes as long as expanding one.
    static EXPANDER: RefCell<Option<Expander>> = const { RefCell::new(None) };
}

/// Opens a sealed blob where it lies, or in `room` if it is compressed. The error says only what is wrong, not where.
pub fn open<'a>(
    key: &MasterKey,
    expander: &mut Expander,
    blob: &PackedBlob,
    sealed: &'a mut [u8],
    room: &'a mut Vec<u8>,
) -> std::result::Result<&'a [u8], &'static str> {
    if blob.uncompressed_length.is_some() {
        room.clear();
        open_into(key, expander, blob, sealed, room)?;
        return Ok(room);
    }
    let plain = key.open(sealed).ok_or(UNAUTHENTIC)?;
    if Id::of(plain) == blob.id { Ok(plain) } else { Err(ANOTHER) }
}

/// Opens a sealed blob and appends its plaintext to `out`.
pub fn open_into(
    key: &MasterKey,
    expander: &mut Expander,
    blob: &PackedBlob,
    sealed: &mut [u8],
    out: &mut Vec<u8>,
) -> std::result::Result<(), &'static str> {
    let plain = key.open(sealed).ok_or(UNAUTHENTIC)?;
    let start = out.len();
    match blob.uncompressed_length {
        None => out.extend_from_slice(plain),
        Some(length) if length > PLAIN_BYTES_MAX => return Err("it claims to expand beyond a gibibyte"),
        Some(length) => expand_into(expander, plain, length as usize, out)?,
    }
    if Id::of(&out[start..]) != blob.id {
        out.truncate(start);
        return Err(ANOTHER);
    }
    Ok(())
}

fn expand_into(
    expander: &mut Expander,
    plain: &[u8],
    length: usize,
    out: &mut Vec<u8>,
) -> std::result::Result<(), &'static str> {
    let start = out.len();
    out.reserve(length);
    // A cursor: what is going to be overwritten is not cleared before.
    let mut end = std::io::Cursor::new(std::mem::take(out));
    end.set_position(start as u64);
    let written = expander.0.decompress_to_buffer(plain, &mut end);
    *out = end.into_inner();
    if written.is_ok_and(|written| written == length) && out.len() == start + length {
        return Ok(());
    }
    out.truncate(start);
    Err("it does not expand to the length that the index says")
}

/// A pack and a blob in it.
pub type Copy = (Id, PackedBlob);

/// All copies of a blob.
pub fn copies(index: &Index, id: Id, kind: BlobKind) -> Vec<Copy> {
    index.find(id, kind).map(|location| (index.pack_id(location.pack), location.blob)).collect()
}

/// Loads one blob, trying every copy.
pub fn load(files: &Files, index: &Index, id: Id, kind: BlobKind) -> Result<Vec<u8>> {
    load_copy(files, &copies(index, id, kind), id, kind)
}

/// Loads one blob, trying these copies.
pub fn load_copy(files: &Files, copies: &[Copy], id: Id, kind: BlobKind) -> Result<Vec<u8>> {
    let mut expander = match EXPANDER.take() {
        Some(expander) => expander,
        None => Expander::new()?,
    };
    let loaded = load_with(files, copies, id, kind, &mut expander);
    EXPANDER.set(Some(expander));
    loaded
}

fn load_with(files: &Files, copies: &[Copy], id: Id, kind: BlobKind, expander: &mut Expander) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut last = None;
    for (pack, blob) in copies {
        let name = FileKind::Pack.object_name(*pack);
        let sealed = files.store.read_range(&name, u64::from(blob.offset), blob.length as usize);
        let result = sealed.and_then(|mut sealed| {
            open_into(&files.key, expander, blob, &mut sealed, &mut out)
                .map_err(|why| damaged_blob(id, kind, &name, why))
        });
        match result {
            Ok(()) => return Ok(out),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| missing_blob(id, kind)))
}

/// An error for a blob that is not what was written.
pub fn damaged_blob(id: Id, kind: BlobKind, pack: &str, why: &str) -> Error {
    let what = name_of(kind);
    Error::new(
        ErrorKind::Damaged,
        format!("the {what} blob {id} in {pack} is damaged: {why}"),
        "`strongroom repair` names every file that is affected and drops the blob, so that the next backup stores it anew.",
    )
}

/// An error for a blob that no index lists.
pub fn missing_blob(id: Id, kind: BlobKind) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the {} blob {id} is in no index of the repository", name_of(kind)),
        "Run `strongroom repair`: if its pack is still there the index is made anew, else it names the files that are lost.",
    )
}

const fn name_of(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Data => "data",
        BlobKind::Tree => "tree",
    }
}
