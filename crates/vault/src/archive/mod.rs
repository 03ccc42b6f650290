//! Backups as one file: [`create`] writes one, [`open`] reads one.
//!
//! An archive is a tar stream or a JSON document, compressed ([`compress`](crate::compress)), sealed where there is a key
//! ([`envelope`](crate::envelope)). `docs/formats.md` has every byte.
//!
//! Invariant: an encrypted archive is authenticated as a whole before [`open`] returns; nothing in it is looked at before.
//! Uncomfortable: opening reads the whole file once. And a failed [`hash_stored`] at the end of a commit leaves the finished
//! object in the store: it is complete, only its hash is unknown.

mod create;
mod guard;
pub mod json;
mod open;
pub mod sidecar;
mod sink;
mod source;
pub mod tar;

pub use create::{ArchiveFormat, ArchiveSettings, create};
pub use open::{ArchiveOptions, Expected, open, open_object};

use crate::error::{Result, from_io};
use crate::store::Store;
use sha2::{Digest, Sha256};

/// Largest manifest that is read.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// SHA-256 over an object, as the store gives it back.
///
/// An envelope's tag stands before the ciphertext and is known last, while SHA-256 wants the bytes in order: the file is
/// read back after it was finished. That costs a second per gigabyte and makes the hash a statement about what the store
/// holds, not about what was meant to be written.
pub fn hash_stored(store: &dyn Store, name: &str) -> Result<[u8; 32]> {
    hash(&mut *store.open(name)?).map_err(|error| error.within(name))
}

fn hash(object: &mut dyn crate::store::ObjectReader) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match object.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(from_io("reading back the archive", cause)),
        }
    }
}

fn manifest_too_large() -> crate::Error {
    crate::Error::new(
        crate::ErrorKind::TooLarge,
        "the manifest is larger than 64 MiB, which none of ours is",
        "The archive was not made by Strongroom or was tampered with; nothing was restored from it.",
    )
}
