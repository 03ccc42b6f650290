//! The 256-bit key of archives and repositories.
//!
//! The key itself is never printed, logged or stored by us outside `.env`; what may be seen is its [`Fingerprint`].

use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 256-bit secret. Its memory is wiped when dropped; `Debug` shows the fingerprint only.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// Public name of a key: the first 8 bytes of SHA-256 over `"strongroom-key-fingerprint-v1\0" ‖ key`, in hex.
/// It says which key opens a backup without helping anyone to guess it.
pub type Fingerprint = String;

impl Key {
    /// Takes the raw 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Makes a new key from the operating system's random source.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
        Ok(Self(bytes))
    }

    /// Reads 64 hexadecimal digits. `origin` names the variable or file for the message.
    pub fn from_hex(digits: &str, origin: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits.trim(), &mut bytes).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!(
                    "{origin} is not a key: 64 hexadecimal digits are wanted, {} characters are there",
                    digits.trim().len()
                ),
                "Make one with `strongroom key generate`.",
            )
        })?;
        Ok(Self(bytes))
    }

    /// The raw bytes, for ciphers.
    pub const fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits, for `.env`, the recovery kit and as a repository's password.
    pub fn expose_hex(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(hex::encode(self.0))
    }

    /// The public name of this key.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(b"strongroom-key-fingerprint-v1\0");
        hash.update(self.0);
        hex::encode(&hash.finalize()[..8])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_only_its_fingerprint() {
        let key = Key::from_hex(&"ab".repeat(32), "TEST").unwrap();
        assert!(!format!("{key:?}").contains("abab"));
        assert_eq!(key.fingerprint().len(), 16);
    }

    #[test]
    fn a_malformed_key_names_where_it_came_from() {
        let error = Key::from_hex("xyz", "BACKUP_ENCRYPTION_KEY").unwrap_err();
        assert!(error.message().contains("BACKUP_ENCRYPTION_KEY"));
        assert!(!error.message().contains("xyz"));
    }
}
