//! Packs that an interrupted run left behind: in the store, but in no index. The next run lists them and so uses what is in
//! them instead of storing it again.

use crate::error::{ErrorKind, Result};
use crate::repository::files::Files;
use crate::repository::format::FileKind;
use crate::repository::format::index_file::PackContent;
use crate::repository::format::pack;
use crate::repository::id::Id;
use crate::repository::index::Index;
use std::collections::HashMap;

/// Bytes of a pack's end that are read first: enough for most headers.
const TAIL_BYTES: u64 = 64 << 10;

/// Packs in the store and their sizes.
pub type Packs = HashMap<Id, u64>;

/// Whether a pack is there with the size that it must have to hold these blobs.
pub fn is_intact(packs: &Packs, id: Id, blobs: &[pack::PackedBlob]) -> bool {
    packs.get(&id).is_some_and(|&size_bytes| size_bytes == pack::size_bytes(blobs))
}

/// Reads the headers of packs that no index lists. One that cannot be read is litter and left to `check` and `prune`.
pub fn find(files: &Files, index: &Index, packs: &Packs) -> Result<Vec<PackContent>> {
    let mut found = Vec::new();
    for (&id, &size_bytes) in packs {
        if !index.knows_pack(id)
            && let Some(blobs) = read_header(files, id, size_bytes)?
        {
            found.push((id, blobs));
        }
    }
    found.sort_unstable_by_key(|(id, _)| *id);
    Ok(found)
}

/// A pack's blobs from its own header; `None` if it is no intact pack.
pub fn read_header(files: &Files, id: Id, size_bytes: u64) -> Result<Option<Vec<pack::PackedBlob>>> {
    let name = FileKind::Pack.object_name(id);
    let read = |bytes: u64| files.store.read_range(&name, size_bytes - bytes, bytes as usize);
    let result = (|| {
        let mut tail = read(TAIL_BYTES.min(size_bytes))?;
        let Some(length) = tail.last_chunk::<4>() else { return Ok(None) };
        let length = pack::header_length(*length, size_bytes)?;
        if length + 4 > tail.len() {
            tail = read(length as u64 + 4)?;
        }
        let end = tail.len() - 4;
        pack::open_header(&files.key, &mut tail[end - length..end], size_bytes)
    })();
    match result {
        // Too short, malformed, or gone since it was listed.
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Truncated | ErrorKind::NotFound) => {
            Ok(None)
        }
        other => other,
    }
}
