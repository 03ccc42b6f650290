//! restic's authenticated encryption: AES-256 in counter mode, then Poly1305-AES over the ciphertext.
//!
//! Everything sealed is `IV (16) ‖ ciphertext ‖ tag (16)`; the IV is also Poly1305-AES's nonce. Source: restic's
//! `doc/design.rst`, section "Keys, Encryption and MAC", and Bernstein's "The Poly1305-AES message-authentication code".
//!
//! Invariant: [`MasterKey::open`] returns no byte before the tag was verified. Uncomfortable consequence of the format: all
//! snapshots of a repository share one master key for ever; a password can be withdrawn, the key behind it cannot.

use crate::error::{Error, ErrorKind, Result};
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128, Aes256};
use base64::Engine;
use ctr::{CtrCore, flavors::Ctr128BE};
use poly1305::Poly1305;
use poly1305::universal_hash::UniversalHash;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that sealing adds.
pub const OVERHEAD_BYTES: usize = IV_BYTES + TAG_BYTES;
const IV_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// The keys that everything in a repository is sealed with, ready for use.
#[derive(Clone)]
pub struct MasterKey {
    raw: Zeroizing<[u8; 64]>,
    cipher: Aes256,
    nonce_cipher: Aes128,
}

/// A master key as it lies, sealed, in a key file.
#[derive(Serialize, Deserialize)]
struct KeyDocument {
    mac: MacDocument,
    encrypt: String,
}

#[derive(Serialize, Deserialize)]
struct MacDocument {
    k: String,
    r: String,
}

impl MasterKey {
    /// A new random key.
    pub fn generate() -> Result<Self> {
        let mut raw = Zeroizing::new([0; 64]);
        fill_random(raw.as_mut())?;
        Ok(Self::from_raw(raw))
    }

    /// Takes 32 bytes for AES-256, 16 for the nonce's AES-128 and 16 for Poly1305's `r`.
    pub fn from_raw(raw: Zeroizing<[u8; 64]>) -> Self {
        let mut encrypt = Zeroizing::new([0; 32]);
        encrypt.copy_from_slice(&raw[..32]);
        let mut nonce = Zeroizing::new([0; 16]);
        nonce.copy_from_slice(&raw[32..48]);
        let cipher = Aes256::new((&*encrypt).into());
        let nonce_cipher = Aes128::new((&*nonce).into());
        Self { raw, cipher, nonce_cipher }
    }

    /// Derives the key that seals a key file from a password. `log_n` is scrypt's N as a power of two.
    pub fn derive(password: &[u8], salt: &[u8], log_n: u8, r: u32, p: u32) -> Result<Self> {
        let parameters = scrypt::Params::new(log_n, r, p)
            .map_err(|cause| Error::internal(format!("scrypt refuses its parameters: {cause}")))?;
        let mut raw = Zeroizing::new([0; 64]);
        scrypt::scrypt(password, salt, &parameters, raw.as_mut())
            .map_err(|cause| Error::internal(format!("scrypt: {cause}")))?;
        Ok(Self::from_raw(raw))
    }

    /// The JSON document that a key file seals.
    pub fn to_document(&self) -> Result<Zeroizing<Vec<u8>>> {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let document = KeyDocument {
            mac: MacDocument { k: encode(&self.raw[32..48]), r: encode(&self.raw[48..]) },
            encrypt: encode(&self.raw[..32]),
        };
        serde_json::to_vec(&document).map(Zeroizing::new).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// Reads the document of [`to_document`](Self::to_document).
    pub fn from_document(json: &[u8]) -> Result<Self> {
        let document: KeyDocument = serde_json::from_slice(json).map_err(|cause| damaged_key(cause.to_string()))?;
        let mut raw = Zeroizing::new([0; 64]);
        for (text, place) in [(&document.encrypt, 0..32), (&document.mac.k, 32..48), (&document.mac.r, 48..64)] {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(Zeroizing::new)
                .map_err(|cause| damaged_key(cause.to_string()))?;
            if bytes.len() != place.len() || bytes.iter().all(|&byte| byte == 0) {
                return Err(damaged_key("a part has the wrong length or is zero".to_owned()));
            }
            raw[place].copy_from_slice(&bytes);
        }
        Ok(Self::from_raw(raw))
    }

    /// Appends `IV ‖ ciphertext ‖ tag` of `plain` to `out`.
    pub fn seal_into(&self, nonces: &mut Nonces, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let iv = nonces.next()?;
        out.reserve(plain.len() + OVERHEAD_BYTES);
        out.extend_from_slice(&iv);
        let start = out.len();
        out.extend_from_slice(plain);
        self.apply_keystream(&iv, &mut out[start..]);
        let tag = self.tag(&iv, &out[start..]);
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Seals a small document.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.seal_into(&mut Nonces::default(), plain, &mut out)?;
        Ok(out)
    }

    /// Verifies and decrypts in place; returns the plaintext's slice. `None` means that the tag does not match: another key
    /// or other bytes than were sealed.
    pub fn open<'a>(&self, sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let body_end = sealed.len().checked_sub(TAG_BYTES).filter(|&end| end >= IV_BYTES)?;
        let (head, tag) = sealed.split_at_mut(body_end);
        let (iv, body) = head.split_at_mut(IV_BYTES);
        let iv: [u8; IV_BYTES] = (*iv).try_into().ok()?;
        if !bool::from(self.tag(&iv, body).ct_eq(&*tag)) {
            return None;
        }
        self.apply_keystream(&iv, body);
        Some(body)
    }

    fn apply_keystream(&self, iv: &[u8; IV_BYTES], bytes: &mut [u8]) {
        let core = CtrCore::<Aes256, Ctr128BE>::inner_iv_init(self.cipher.clone(), iv.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
    }

    fn tag(&self, iv: &[u8; IV_BYTES], ciphertext: &[u8]) -> [u8; TAG_BYTES] {
        let mut nonce = (*iv).into();
        self.nonce_cipher.encrypt_block(&mut nonce);
        let mut key = Zeroizing::new([0; 32]);
        key[..16].copy_from_slice(&self.raw[48..]);
        key[16..].copy_from_slice(&nonce);
        let mut mac = Poly1305::new((&*key).into());
        // Whole groups of four blocks first: they take the vectorised way.
        let (groups, rest) = ciphertext.split_at(ciphertext.len() / 64 * 64);
        let (blocks, _) = poly1305::Block::slice_as_chunks(groups);
        mac.update(blocks);
        mac.compute_unpadded(rest).into()
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

fn damaged_key(why: String) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the key file opens, but what it holds is no key: {why}"),
        "Use another key of this repository.",
    )
}

/// Random IVs, drawn from the operating system a page at a time.
#[derive(Default)]
pub struct Nonces {
    pool: Vec<u8>,
}

impl Nonces {
    const POOL_BYTES: usize = 4096;

    fn next(&mut self) -> Result<[u8; IV_BYTES]> {
        if self.pool.len() < IV_BYTES {
            self.pool.resize(Self::POOL_BYTES, 0);
            fill_random(&mut self.pool)?;
        }
        let mut iv = [0; IV_BYTES];
        iv.copy_from_slice(&self.pool[self.pool.len() - IV_BYTES..]);
        self.pool.truncate(self.pool.len() - IV_BYTES);
        Ok(iv)
    }
}

/// Random bytes of the operating system.
pub fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn poly1305_aes_matches_the_papers_example() {
        // Bernstein, "The Poly1305-AES message-authentication code", appendix B, second example (an empty message).
        let mut raw = Zeroizing::new([0; 64]);
        raw[32..48].copy_from_slice(&hex::decode("75deaa25c09f208e1dc4ce6b5cad3fbf").unwrap());
        raw[48..].copy_from_slice(&hex::decode("a0f3080000f46400d0c7e9076c834403").unwrap());
        let iv = hex::decode("61ee09218d29b0aaed7e154a2c5509cc").unwrap().try_into().unwrap();
        assert_eq!(hex::encode(MasterKey::from_raw(raw).tag(&iv, b"")), "dd3fab2251f11ac759f0887129cc2ee7");
    }

    #[test]
    fn a_key_survives_its_document() {
        let key = MasterKey::generate().unwrap();
        let again = MasterKey::from_document(&key.to_document().unwrap()).unwrap();
        let mut sealed = key.seal(b"attack at dawn").unwrap();
        assert_eq!(again.open(&mut sealed).unwrap(), b"attack at dawn");
        assert!(MasterKey::from_document(b"{\"mac\":{\"k\":\"\",\"r\":\"\"},\"encrypt\":\"\"}").is_err());
    }

    proptest! {
        #[test]
        fn sealed_bytes_open_and_a_flipped_bit_does_not(plain in proptest::collection::vec(any::<u8>(), 0..700), at: usize) {
            let key = MasterKey::generate().unwrap();
            let mut sealed = key.seal(&plain).unwrap();
            let mut flipped = sealed.clone();
            let bit = at % (flipped.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key.open(&mut sealed).unwrap(), &plain[..]);
            prop_assert!(key.open(&mut flipped).is_none());
        }
    }
}
