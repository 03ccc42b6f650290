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

/// Sums the hashes of a set's members.
#[derive(Debug, Clone)]
pub struct SetHasher {
    keyed: Keyed,
    sum: Sum,
    count: u64,
}

#[derive(Debug, Clone)]
enum Keyed {
    Blake3([u8; 32]),
    PolyvalAes(Box<PolyvalAes>),
}

impl SetHasher {
    /// An empty set under the backup's hash key.
    pub fn new(key: HashKey) -> Self {
        let keyed = match key.method {
            Method::Blake3 => Keyed::Blake3(key.bytes),
            Method::PolyvalAes => Keyed::PolyvalAes(Box::new(PolyvalAes::new(&key.bytes))),
        };
        Self { keyed, sum: Sum::default(), count: 0 }
    }

    /// Adds one member in its canonical encoding.
    pub fn add(&mut self, member: &[u8]) {
        match &mut self.keyed {
            Keyed::Blake3(key) => self.sum.add(Sum::of(blake3::keyed_hash(key, member).as_bytes())),
            Keyed::PolyvalAes(keyed) => {
                if let Some(full) = keyed.wait(keyed.polyval(member)) {
                    self.sum.add(full);
                }
            }
        }
        self.count += 1;
    }

    /// Adds one that was put together in its frame.
    pub fn add_framed(&mut self, frame: &mut Frame) {
        match &mut self.keyed {
            Keyed::PolyvalAes(keyed) => {
                if let Some(full) = keyed.wait(keyed.polyval_framed(frame)) {
                    self.sum.add(full);
                }
                self.count += 1;
            }
            Keyed::Blake3(_) => self.add(&frame.bytes[FRAME_BYTES..]),
        }
    }

    /// Joins the sum of another part of the same set (from another thread).
    pub fn join(&mut self, other: &Self) {
        self.sum.add(other.total());
        self.count += other.count;
    }

    /// Members so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum, 64 hexadecimal digits, least significant byte first.
    pub fn finish(&self) -> String {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.total().0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        hex::encode(bytes)
    }

    fn total(&self) -> Sum {
        let mut total = self.sum;
        if let Keyed::PolyvalAes(keyed) = &self.keyed {
            total.add(keyed.waiting());
        }
        total
    }
}

/// A number modulo 2^256, least significant word first.
#[derive(Debug, Clone, Copy, Default)]
struct Sum([u64; 4]);

impl Sum {
    /// Little-endian; what is not there is zero.
    fn of(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self(words)
    }

    fn add(&mut self, other: Self) {
        let mut carry = false;
        for (sum, word) in self.0.iter_mut().zip(other.0) {
            let (partial, over) = sum.overflowing_add(word);
            let (total, over_again) = partial.overflowing_add(u64::from(carry));
            *sum = total;
            carry = over || over_again;
        }
    }
}

/// Zeros before a framed member: the most that a whole number of groups can lack.
const FRAME_BYTES: usize = GROUP_BYTES - BLOCK_BYTES;

/// Where a member is put together to be hashed as it lies there: POLYVAL wants zeros before it and its length behind.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// An empty member.
    pub fn new() -> Self {
        Self { bytes: vec![0; FRAME_BYTES] }
    }

    /// Begins another: what is appended is its canonical encoding.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(FRAME_BYTES);
        &mut self.bytes
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

/// Hashes that wait for their block cipher: it takes many blocks at once for little more than one.
const WAITING_MAX: usize = 64;

/// Blocks that POLYVAL takes at once.
const GROUP_BLOCKS: usize = 4;
const BLOCK_BYTES: usize = 16;
const GROUP_BYTES: usize = GROUP_BLOCKS * BLOCK_BYTES;

#[derive(Debug, Clone)]
struct PolyvalAes {
    hash: Polyval,
    cipher: Aes256,
    waiting: [aes::Block; WAITING_MAX],
    waiting_count: usize,
}

impl PolyvalAes {
    fn new(key: &[u8; 32]) -> Self {
        let derived = |purpose| blake3::derive_key(purpose, key);
        let hashing = derived("strongroom 2026-11 content hash: POLYVAL");
        let [hashing, _] = hashing.as_chunks::<BLOCK_BYTES>().0 else { unreachable!("32 bytes are two times 16") };
        Self {
            hash: Polyval::new(hashing.into()),
            cipher: Aes256::new(&derived("strongroom 2026-11 content hash: AES-256").into()),
            waiting: [aes::Block::default(); WAITING_MAX],
            waiting_count: 0,
        }
    }

    /// Answers the sum of those that waited when there are enough of them.
    fn wait(&mut self, hash: aes::Block) -> Option<Sum> {
        self.waiting[self.waiting_count] = hash;
        self.waiting_count += 1;
        (self.waiting_count == WAITING_MAX).then(|| {
            let sum = self.waiting();
            self.waiting_count = 0;
            sum
        })
    }

    fn waiting(&self) -> Sum {
        let mut blocks = self.waiting;
        let blocks = &mut blocks[..self.waiting_count];
        self.cipher.encrypt_blocks(blocks);
        let mut sum = Sum::default();
        blocks.iter().for_each(|block| sum.add(Sum::of(block)));
        sum
    }

    /// POLYVAL of the member, padded with zeros to whole blocks, and of a block with its length: padding must not make two
    /// members one. Blocks of zeros at the beginning change nothing, so it is hashed in whole groups, which costs half as
    /// much as block after block.
    fn polyval(&self, member: &[u8]) -> aes::Block {
        let blocks = member.len().div_ceil(BLOCK_BYTES) + 1;
        let before_last = blocks.saturating_sub(GROUP_BLOCKS);
        let (first, rest) = member.split_at(before_last % GROUP_BLOCKS * BLOCK_BYTES);
        let (middle, last) = rest.split_at(before_last / GROUP_BLOCKS * GROUP_BYTES);
        let mut hash = self.hash.clone();
        if !first.is_empty() {
            let mut group = [0; GROUP_BYTES];
            group[GROUP_BYTES - first.len()..].copy_from_slice(first);
            hash.update(blocks_of(&group));
        }
        hash.update(blocks_of(middle));
        let mut group = [0; GROUP_BYTES];
        let start = GROUP_BLOCKS.saturating_sub(blocks) * BLOCK_BYTES;
        group[start..start + last.len()].copy_from_slice(last);
        let length = u128::from(member.len() as u64).to_le_bytes();
        group[GROUP_BYTES - BLOCK_BYTES..].copy_from_slice(&length);
        hash.update(blocks_of(&group));
        hash.finalize()
    }

    /// The same, of a member in its frame.
    fn polyval_framed(&self, Frame { bytes }: &mut Frame) -> aes::Block {
        let length = u128::from((bytes.len() - FRAME_BYTES) as u64);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        bytes.extend_from_slice(&length.to_le_bytes());
        let mut hash = self.hash.clone();
        hash.update(blocks_of(&bytes[bytes.len() % GROUP_BYTES..]));
        hash.finalize()
    }
}

fn blocks_of(bytes: &[u8]) -> &[polyval::Block] {
    polyval::Block::slice_as_chunks(bytes).0
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
            let (mut left, mut right, mut frame) = (whole.clone(), whole.clone(), Frame::new());
            for n in 0..1000_u32 {
                whole.add(&n.to_le_bytes());
                if n % 3 == 0 {
                    left.add(&n.to_le_bytes());
                } else {
                    frame.begin().extend_from_slice(&n.to_le_bytes());
                    right.add_framed(&mut frame);
                }
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

    /// Whatever is done at once, a member's hash is the AES-256 of the POLYVAL of its padded blocks and its length.
    #[test]
    fn members_of_every_length_are_hashed_as_defined_and_differ() {
        let keyed = PolyvalAes::new(&[7; 32]);
        let as_defined = |member: &[u8]| {
            let mut hash = keyed.hash.clone();
            hash.update_padded(member);
            hash.update(&[u128::from(member.len() as u64).to_le_bytes().into()]);
            let mut block = hash.finalize();
            keyed.cipher.encrypt_block(&mut block);
            Sum::of(&block)
        };
        let mut hasher = SetHasher::new(HashKey::new([7; 32]));
        let (mut framed, mut frame) = (hasher.clone(), Frame::new());
        let (mut sum, mut seen) = (Sum::default(), HashSet::new());
        for length in 0..300 {
            for member in [vec![0; length], (0..length).map(|at| at as u8).collect()] {
                let hash = as_defined(&member);
                sum.add(hash);
                hasher.add(&member);
                assert_eq!(hasher.total().0, sum.0, "{length} bytes");
                frame.begin().extend_from_slice(&member);
                framed.add_framed(&mut frame);
                assert_eq!(framed.total().0, sum.0, "{length} bytes in a frame");
                assert!(seen.insert(hash.0) || length == 0 || member == [0], "{length} bytes");
            }
        }
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
