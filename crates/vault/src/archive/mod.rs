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
use crate::store::{ObjectReader, Store};
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::sync::mpsc::sync_channel;
use std::thread;

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

/// One thread reads ahead of the one that hashes: nothing else is left to do while an archive is read back.
fn hash(object: &mut dyn ObjectReader) -> Result<[u8; 32]> {
    let (filled, to_hash) = sync_channel::<Vec<u8>>(1);
    let (hashed, to_fill) = sync_channel(2);
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            loop {
                let mut buffer: Vec<u8> = to_fill.try_recv().unwrap_or_default();
                buffer.resize(256 * 1024, 0);
                match object.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(read) => {
                        buffer.truncate(read);
                        // Nobody takes it only when the hashing thread panics, which the scope hands on.
                        let _ = filled.send(buffer);
                    }
                    Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                    Err(cause) => return Err(from_io("reading back the archive", cause)),
                }
            }
        });
        let mut hasher = Sha256::new();
        for buffer in to_hash {
            hasher.update(&buffer);
            // The reader may have ended.
            let _ = hashed.try_send(buffer);
        }
        reading.join().unwrap_or_else(|_| Err(crate::Error::internal("reading back ended abruptly")))?;
        Ok(hasher.finalize().into())
    })
}

fn manifest_too_large() -> crate::Error {
    crate::Error::new(
        crate::ErrorKind::TooLarge,
        "the manifest is larger than 64 MiB, which none of ours is",
        "The archive was not made by Strongroom or was tampered with; nothing was restored from it.",
    )
}
