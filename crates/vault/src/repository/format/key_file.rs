//! Key files: a master key sealed under a password, with what scrypt needs. The only files in plain JSON.

use super::malformed;
use super::time;
use crate::entry::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::crypto::{MasterKey, fill_random};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// No key file is larger.
pub const SIZE_BYTES_MAX: u64 = 1 << 16;
/// scrypt memory that a foreign key file may ask for; restic's own ask for 64 MiB, rustic's for 128 MiB.
const SCRYPT_BYTES_MAX: u64 = 512 << 20;
/// scrypt's N for our own keys. The password is 256 random bits: there is nothing to guess, so nothing to slow down.
const OWN_LOG_N: u8 = 10;
const OWN_R: u32 = 8;
const OWN_P: u32 = 1;
/// restic takes salts of exactly this length.
const SALT_BYTES: usize = 64;

/// The JSON of a key file.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyFile {
    /// When it was made.
    #[serde(default)]
    pub created: String,
    /// By whom; informational.
    #[serde(default)]
    pub username: String,
    /// Where; informational.
    #[serde(default)]
    pub hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// Who makes a key file, and when.
pub struct Maker<'a> {
    /// Host name.
    pub hostname: &'a str,
    /// User name.
    pub username: &'a str,
    /// Time.
    pub time: Timestamp,
}

impl KeyFile {
    /// Seals `master` under a password of 256 bits of entropy.
    pub fn seal(master: &MasterKey, password: &[u8], maker: &Maker<'_>) -> Result<Vec<u8>> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt)?;
        let file = Self {
            created: time::format(maker.time),
            username: maker.username.to_owned(),
            hostname: maker.hostname.to_owned(),
            kdf: "scrypt".to_owned(),
            n: 1 << OWN_LOG_N,
            r: OWN_R,
            p: OWN_P,
            salt: STANDARD.encode(salt),
            data: STANDARD
                .encode(MasterKey::derive(password, &salt, OWN_LOG_N, OWN_R, OWN_P)?.seal(&master.to_document()?)?),
        };
        serde_json::to_vec(&file).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// Reads a key file and checks that its scrypt parameters are within bounds.
    pub fn decode(json: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(json).map_err(|cause| malformed("a key file", cause))?;
        let bytes = file.n.checked_mul(128 * u64::from(file.r));
        let plausible = file.n.is_power_of_two()
            && file.n > 1
            && (1..=64).contains(&file.r)
            && (1..=16).contains(&file.p)
            && bytes.is_some_and(|bytes| bytes <= SCRYPT_BYTES_MAX);
        if file.kdf != "scrypt" || !plausible {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("a key file wants {} with N={}, r={}, p={}", file.kdf, file.n, file.r, file.p),
                "scrypt with up to 512 MiB of memory is known here. Was the key file tampered with?",
            ));
        }
        Ok(file)
    }

    /// Opens the master key; `None` when the password is not this file's (or the file is damaged, which looks alike).
    pub fn open(&self, password: &[u8]) -> Result<Option<MasterKey>> {
        let salt = STANDARD.decode(&self.salt).map_err(|cause| malformed("a key file's salt", cause))?;
        let mut data = STANDARD.decode(&self.data).map_err(|cause| malformed("a key file's data", cause))?;
        let wrapping = MasterKey::derive(password, &salt, self.n.trailing_zeros() as u8, self.r, self.p)?;
        wrapping.open(&mut data).map(|document| MasterKey::from_document(document)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_opens_with_its_password_only() {
        let master = MasterKey::generate().unwrap();
        let maker = Maker { hostname: "h", username: "u", time: Timestamp::default() };
        let json = KeyFile::seal(&master, b"right", &maker).unwrap();
        let file = KeyFile::decode(&json).unwrap();
        let mut sealed = master.seal(b"x").unwrap();
        assert_eq!(file.open(b"right").unwrap().unwrap().open(&mut sealed).unwrap(), b"x");
        assert!(file.open(b"wrong").unwrap().is_none());
    }

    #[test]
    fn a_key_file_cannot_ask_for_a_mountain_of_memory() {
        let parameters = |n: u64, r: u32, p: u32| {
            format!(r#"{{"kdf":"scrypt","N":{n},"r":{r},"p":{p},"salt":"","data":""}}"#).into_bytes()
        };
        assert!(KeyFile::decode(&parameters(1 << 15, 8, 1)).is_ok());
        for (n, r, p) in
            [(1 << 40, 8, 1), (1 << 20, 8, 1), (1000, 8, 1), (0, 8, 1), (1, 8, 1), (1 << 15, 0, 1), (1 << 15, 8, 99)]
        {
            assert!(KeyFile::decode(&parameters(n, r, p)).is_err(), "{n} {r} {p}");
        }
    }
}
