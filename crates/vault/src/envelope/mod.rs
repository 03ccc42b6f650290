//! The AES-256-GCM envelope: `IV (16 bytes) ‖ tag (16 bytes) ‖ ciphertext`.
//!
//! Invariant: no decrypted byte leaves this module before the whole ciphertext was authenticated. Reading therefore takes
//! two passes over the file: [`Envelope::authenticate`] hashes the ciphertext (gigabytes a second, no plaintext anywhere),
//! then [`Envelope`] decrypts and checks the tag again.
//!
//! Uncomfortable: the tag stands before what it covers, so a writer must be able to rewrite its first bytes; and one IV
//! is good for some 64 GiB only ([`CONTENT_BYTES_MAX`]), beyond which the writer refuses.

mod gcm;
mod read;
mod write;

pub use read::{Envelope, unseal};
pub(crate) use read::{damaged, wrong_key_or_damaged};
pub use write::{EnvelopeWriter, check_fits, seal};

/// Bytes before the ciphertext: IV and tag.
pub const HEAD_BYTES: usize = 32;

/// What one IV can encrypt: 2^32 - 2 blocks of 16 bytes (NIST SP 800-38D, 5.2.1.1).
pub const CONTENT_BYTES_MAX: u64 = ((1 << 32) - 2) * 16;

#[cfg(test)]
mod tests;
