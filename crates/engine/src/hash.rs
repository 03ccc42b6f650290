//! Order-independent content hashes: what a table's rows, or a tree's entries, come to, in whatever order they are read.
//!
//! The hash of a set is the sum modulo 2^256 of the keyed BLAKE3 hashes of its members in a canonical encoding. A sum, not
//! XOR: two equal rows must not cancel out. Keyed with a random key per backup: nobody can prepare rows that collide.
//! The count is always kept beside it.

/// Sums the hashes of a set's members.
#[derive(Debug, Clone)]
pub struct SetHasher {
    key: [u8; 32],
    sum: [u64; 4],
    count: u64,
}

impl SetHasher {
    /// An empty set under the backup's hash key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, sum: [0; 4], count: 0 }
    }

    /// Adds one member in its canonical encoding.
    pub fn add(&mut self, member: &[u8]) {
        self.add_hash(blake3::keyed_hash(&self.key, member).as_bytes());
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

    fn add_hash(&mut self, hash: &[u8; 32]) {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(hash.chunks_exact(8)) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            *word = u64::from_le_bytes(bytes);
        }
        self.add_words(words);
        self.count += 1;
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

    #[test]
    fn order_does_not_matter_but_repetition_does() {
        let sum = |members: &[&[u8]]| {
            let mut hasher = SetHasher::new([7; 32]);
            members.iter().for_each(|member| hasher.add(member));
            hasher.finish()
        };
        assert_eq!(sum(&[b"a", b"b", b"c"]), sum(&[b"c", b"a", b"b"]));
        assert_ne!(sum(&[b"a", b"a"]), sum(&[b"b", b"b"]));
        assert_ne!(sum(&[b"a", b"a", b"b"]), sum(&[b"b"]));
    }

    #[test]
    fn parts_join_to_the_whole() {
        let mut whole = SetHasher::new([1; 32]);
        let (mut left, mut right) = (whole.clone(), whole.clone());
        for n in 0..1000_u32 {
            whole.add(&n.to_le_bytes());
            if n % 3 == 0 { left.add(&n.to_le_bytes()) } else { right.add(&n.to_le_bytes()) }
        }
        left.join(&right);
        assert_eq!((left.finish(), left.count()), (whole.finish(), 1000));
    }
}
