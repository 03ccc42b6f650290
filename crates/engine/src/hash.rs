//! Order-independent content hashes: what a table's rows, or a tree's entries, come to, in whatever order they are read.
//!
//! The hash of a set is the sum modulo 2^256 of the keyed hashes of its members in a canonical encoding. A sum, not XOR: two
//! equal rows must not cancel out. Keyed with a random key per backup: nobody can prepare rows that collide. The count is
//! always kept beside it.
//!
//! A member's hash is AES-256 of its POLYVAL (RFC 8452), each under a key of its own: a pseudo-random function made of a
//! universal hash and a block cipher, 128 bits. It takes a third of BLAKE3's time for a row of ordinary length. Manifests
//! that name no method were made with keyed BLAKE3, 256 bits, and are measured with it for ever.

use crate::{Error, ErrorKind, Result};
use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash as _;
use std::fmt;
use std::str::FromStr;

/// Stands before the key in a manifest.
const POLYVAL_PREFIX: &str = "polyval-aes:";

/// The key of a backup's content hashes, and the method it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HashKey {
    method: Method,
    bytes: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Method {
    Blake3,
    #[default]
    PolyvalAes,
}

impl HashKey {
    /// For the method that new backups use.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self { method: Method::PolyvalAes, bytes }
    }

    /// For a new backup.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
        Ok(Self::new(bytes))
    }

    /// For what is hashed as a whole.
    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// As it stands in a manifest.
impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.method {
            Method::Blake3 => "",
            Method::PolyvalAes => POLYVAL_PREFIX,
        };
        write!(f, "{prefix}{}", hex::encode(self.bytes))
    }
}

impl FromStr for HashKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (method, digits) = match text.strip_prefix(POLYVAL_PREFIX) {
            Some(digits) => (Method::PolyvalAes, digits),
            None => (Method::Blake3, text),
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| {
            Error::new(
                ErrorKind::Damaged,
                "the manifest's hash key is no key, or for a method that this version does not know",
                "Use a newer Strongroom, another copy of the backup, or an older one.",
            )
        })?;
        Ok(Self { method, bytes })
    }
}

/// Hashes a member.
#[derive(Debug, Clone)]
enum Keyed {
    Blake3([u8; 32]),
    PolyvalAes(Box<(Polyval, Aes256)>),
}

impl Keyed {
    fn new(key: HashKey) -> Self {
        match key.method {
            Method::Blake3 => Self::Blake3(key.bytes),
            Method::PolyvalAes => {
                let derived = |purpose| blake3::derive_key(purpose, &key.bytes);
                let hashing = derived("strongroom 2026-11 content hash: POLYVAL");
                let [hashing, _] = hashing.as_chunks::<16>().0 else { unreachable!("32 bytes are two times 16") };
                let cipher = Aes256::new(&derived("strongroom 2026-11 content hash: AES-256").into());
                Self::PolyvalAes(Box::new((Polyval::new(hashing.into()), cipher)))
            }
        }
    }

    /// Least significant word first.
    fn hash(&self, member: &[u8]) -> [u64; 4] {
        match self {
            Self::Blake3(key) => words(blake3::keyed_hash(key, member).as_bytes()),
            Self::PolyvalAes(keys) => {
                let (hash, cipher) = &**keys;
                let mut hash = hash.clone();
                hash.update_padded(member);
                // Padding must not make two members one.
                hash.update(&[u128::from(member.len() as u64).to_le_bytes().into()]);
                let mut block = hash.finalize();
                cipher.encrypt_block(&mut block);
                words(&block)
            }
        }
    }
}

/// Little-endian; what is not there is zero.
fn words(bytes: &[u8]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

/// Sums the hashes of a set's members.
#[derive(Debug, Clone)]
pub struct SetHasher {
    keyed: Keyed,
    sum: [u64; 4],
    count: u64,
}

impl SetHasher {
    /// An empty set under the backup's hash key.
    pub fn new(key: HashKey) -> Self {
        Self { keyed: Keyed::new(key), sum: [0; 4], count: 0 }
    }

    /// Adds one member in its canonical encoding.
    pub fn add(&mut self, member: &[u8]) {
        self.add_words(self.keyed.hash(member));
        self.count += 1;
    }

    /// Joins the sum of another part of the same set (from another thread).
    pub fn join(&mut self, other: &Self) {
        self.add_words(other.sum);
        self.count += other.count;
    }

    /// Members so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum, 64 hexadecimal digits, least significant byte first.
    pub fn finish(&self) -> String {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.sum) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        hex::encode(bytes)
    }

    fn add_words(&mut self, words: [u64; 4]) {
        let mut carry = false;
        for (sum, word) in self.sum.iter_mut().zip(words) {
            let (partial, over) = sum.overflowing_add(word);
            let (total, over_again) = partial.overflowing_add(u64::from(carry));
            *sum = total;
            carry = over || over_again;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn keys() -> [HashKey; 2] {
        [Method::Blake3, Method::PolyvalAes].map(|method| HashKey { method, bytes: [7; 32] })
    }

    #[test]
    fn order_does_not_matter_but_repetition_does() {
        for key in keys() {
            let sum = |members: &[&[u8]]| {
                let mut hasher = SetHasher::new(key);
                members.iter().for_each(|member| hasher.add(member));
                hasher.finish()
            };
            assert_eq!(sum(&[b"a", b"b", b"c"]), sum(&[b"c", b"a", b"b"]));
            assert_ne!(sum(&[b"a", b"a"]), sum(&[b"b", b"b"]));
            assert_ne!(sum(&[b"a", b"a", b"b"]), sum(&[b"b"]));
        }
    }

    #[test]
    fn parts_join_to_the_whole() {
        for key in keys() {
            let mut whole = SetHasher::new(key);
            let (mut left, mut right) = (whole.clone(), whole.clone());
            for n in 0..1000_u32 {
                whole.add(&n.to_le_bytes());
                if n % 3 == 0 { left.add(&n.to_le_bytes()) } else { right.add(&n.to_le_bytes()) }
            }
            left.join(&right);
            assert_eq!((left.finish(), left.count()), (whole.finish(), 1000));
        }
    }

    /// What was measured once is measured so for ever.
    #[test]
    fn the_hashes_of_both_methods_are_fixed() {
        let sum = |key: &str| {
            let mut hasher = SetHasher::new(key.parse().unwrap());
            [&b"one"[..], b"", &[0xff; 100]].iter().for_each(|member| hasher.add(member));
            hasher.finish()
        };
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(sum(&digits), "897ec177c405e83aa2b9a708fdaa9eea689b20db16c43ebbefefd574a5d4a31c");
        assert_eq!(
            sum(&format!("{POLYVAL_PREFIX}{digits}")),
            "79a94195d3393b4663c67a1a606d9d3201000000000000000000000000000000"
        );
    }

    #[test]
    fn members_that_pad_to_the_same_blocks_differ() {
        let keyed = Keyed::new(HashKey::default());
        let hashes = (0..200).map(|zeros| keyed.hash(&vec![0; zeros])).collect::<HashSet<_>>();
        assert_eq!(hashes.len(), 200);
    }

    #[test]
    fn a_key_is_written_and_read() {
        for key in keys() {
            assert!(key.to_string().parse::<HashKey>().unwrap() == key);
        }
        for text in ["", "00", "sha3:0000", &format!("other:{}", "0".repeat(64))] {
            assert_eq!(text.parse::<HashKey>().err().unwrap().kind(), ErrorKind::Damaged, "{text}");
        }
    }
}
