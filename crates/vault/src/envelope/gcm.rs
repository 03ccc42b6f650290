//! AES-256-GCM with a 16-byte IV, as a stream (NIST SP 800-38D).
//!
//! The usual crates take 12-byte IVs and whole messages only, so the mode is composed here from AES in counter mode and
//! GHASH. Both run over the same L1-sized segment in turn, which makes one pass over memory of two.

use crate::key::Key;
use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;

/// AES and GHASH block.
pub(super) const BLOCK_BYTES: usize = 16;
/// What both passes work on before going on: fits the first-level cache beside the key schedules.
const SEGMENT_BYTES: usize = 16 * 1024;

type Block = [u8; BLOCK_BYTES];

/// One message under one key and IV.
///
/// The 32-bit counter allows 2^32 - 2 blocks; callers stay below ([`super::CONTENT_BYTES_MAX`]), or the keystream panics
/// rather than repeat itself.
pub(super) struct Gcm {
    keystream: ctr::Ctr32BE<Aes256>,
    ghash: GHash,
    tag_mask: Block,
    partial: Block,
    partial_bytes: usize,
    hashed_bytes: u64,
}

impl Gcm {
    pub(super) fn new(key: &Key, iv: &Block) -> Self {
        let mut hash_key = aes::Block::default();
        Aes256::new(key.expose_bytes().into()).encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);

        // An IV that is not 12 bytes long is hashed with its length into the first counter block J0.
        let mut derive = ghash.clone();
        derive.update_padded(iv);
        derive.update_padded(&lengths(0, BLOCK_BYTES as u64));
        let first_counter: Block = derive.finalize().into();

        let mut keystream = ctr::Ctr32BE::<Aes256>::new(key.expose_bytes().into(), &first_counter.into());
        let mut tag_mask = Block::default();
        keystream.apply_keystream(&mut tag_mask);
        Self { keystream, ghash, tag_mask, partial: Block::default(), partial_bytes: 0, hashed_bytes: 0 }
    }

    pub(super) fn encrypt(&mut self, bytes: &mut [u8]) {
        for segment in bytes.chunks_mut(SEGMENT_BYTES) {
            self.keystream.apply_keystream(segment);
            self.hash(segment);
        }
    }

    pub(super) fn decrypt(&mut self, bytes: &mut [u8]) {
        for segment in bytes.chunks_mut(SEGMENT_BYTES) {
            self.hash(segment);
            self.keystream.apply_keystream(segment);
        }
    }

    /// Decrypts without hashing, from wherever [`seek`](Self::seek) went.
    pub(super) fn decrypt_unhashed(&mut self, bytes: &mut [u8]) {
        self.keystream.apply_keystream(bytes);
    }

    /// Moves the keystream (not the hash) to a position in the content.
    pub(super) fn seek(&mut self, position: u64) {
        self.keystream.seek(position + BLOCK_BYTES as u64);
    }

    /// Takes ciphertext into the tag.
    pub(super) fn hash(&mut self, mut ciphertext: &[u8]) {
        self.hashed_bytes += ciphertext.len() as u64;
        if self.partial_bytes > 0 {
            let taken = ciphertext.len().min(BLOCK_BYTES - self.partial_bytes);
            self.partial[self.partial_bytes..self.partial_bytes + taken].copy_from_slice(&ciphertext[..taken]);
            self.partial_bytes += taken;
            ciphertext = &ciphertext[taken..];
            if self.partial_bytes < BLOCK_BYTES {
                return;
            }
            self.ghash.update_padded(&self.partial);
        }
        let (whole, rest) = ciphertext.split_at(ciphertext.len() / BLOCK_BYTES * BLOCK_BYTES);
        self.ghash.update_padded(whole);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.partial_bytes = rest.len();
    }

    /// The tag over everything hashed.
    pub(super) fn tag(&self) -> Block {
        let mut ghash = self.ghash.clone();
        ghash.update_padded(&self.partial[..self.partial_bytes]);
        ghash.update_padded(&lengths(0, self.hashed_bytes));
        let mut tag: Block = ghash.finalize().into();
        tag.iter_mut().zip(self.tag_mask).for_each(|(byte, mask)| *byte ^= mask);
        tag
    }

    pub(super) fn tag_is(&self, expected: &Block) -> bool {
        self.tag().ct_eq(expected).into()
    }
}

/// Bytes of associated data and of content as GCM hashes them: two 64-bit bit counts.
fn lengths(associated_bytes: u64, content_bytes: u64) -> Block {
    let mut block = Block::default();
    block[..8].copy_from_slice(&(associated_bytes * 8).to_be_bytes());
    block[8..].copy_from_slice(&(content_bytes * 8).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Node's `crypto` (OpenSSL).
    fn openssl(key: u8, iv: &str, content: &[u8], pieces: usize) -> String {
        let mut block = Block::default();
        hex::decode_to_slice(iv, &mut block).unwrap();
        let mut gcm = Gcm::new(&Key::from_bytes([key; 32]), &block);
        let mut bytes = content.to_vec();
        bytes.chunks_mut(pieces).for_each(|piece| gcm.encrypt(piece));
        let ciphertext = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
        let tag = hex::encode(gcm.tag());

        let mut back = Gcm::new(&Key::from_bytes([key; 32]), &block);
        bytes.chunks_mut(pieces + 1).for_each(|piece| back.decrypt(piece));
        assert_eq!(bytes, content);
        assert_eq!(hex::encode(back.tag()), tag);
        format!("{tag} {}", &ciphertext[..16])
    }

    #[test]
    fn ciphertext_and_tag_are_those_of_openssl_in_pieces_of_any_size() {
        let content: Vec<u8> = (0..100_003_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for pieces in [1, 15, 16, 17, 1000, 16_384, 100_003] {
            assert_eq!(
                openssl(7, "000102030405060708090a0b0c0d0e0f", &content, pieces),
                "96082e8cc6fc516d0115593828132ab0 fbebce76f7ec4d4b"
            );
        }
        assert_eq!(
            openssl(7, "000102030405060708090a0b0c0d0e0f", b"", 1),
            "747288fd7961d06af40d07b0beb10a93 e3b0c44298fc1c14"
        );
    }

    #[test]
    fn the_counter_wraps_within_its_32_bits() {
        let content = vec![0x5a; 1 << 20];
        assert_eq!(
            openssl(9, "06c73100000000000000000000000000", &content, 1 << 20),
            "c17a6f375be5d6676a2cf3d3a1715a1e 7769eee9eba9ee82"
        );
    }

    #[test]
    fn seeking_finds_the_same_content() {
        let mut gcm = Gcm::new(&Key::from_bytes([1; 32]), &[2; 16]);
        let content: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
        let mut bytes = content.clone();
        gcm.encrypt(&mut bytes);
        for position in [0, 1, 16, 1234, 4999] {
            gcm.seek(position as u64);
            let mut tail = bytes[position..].to_vec();
            gcm.decrypt_unhashed(&mut tail);
            assert_eq!(tail, content[position..]);
        }
    }
}
