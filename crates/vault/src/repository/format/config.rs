//! The repository's `config`: its version, its id and the seed of its chunker.

use super::malformed;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::crypto::fill_random;
use crate::repository::id::Id;
use serde::{Deserialize, Serialize};

/// The file's name.
pub const OBJECT_NAME: &str = "config";
/// No config is larger.
pub const SIZE_BYTES_MAX: u64 = 1 << 16;

/// The content of `config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// 1 (no compression) or 2.
    pub version: u32,
    /// The repository's random name.
    pub id: Id,
    /// restic's Rabin polynomial, 53 bits in hex, irreducible. Together with `id` it seeds our gear table.
    pub chunker_polynomial: String,
}

impl Config {
    /// A new repository of version 2.
    pub fn generate() -> Result<Self> {
        let mut id = Id::default();
        fill_random(&mut id.0)?;
        Ok(Self { version: 2, id, chunker_polynomial: format!("{:x}", random_irreducible_polynomial()?) })
    }

    /// Whether blobs and documents may be compressed.
    pub const fn compresses(&self) -> bool {
        self.version >= 2
    }

    /// As JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// From JSON. A version above 2 is [`ErrorKind::Unsupported`].
    pub fn decode(json: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(json).map_err(|cause| malformed("the repository's config", cause))?;
        if !(1..=2).contains(&config.version) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the repository has format version {}; 1 and 2 are known here", config.version),
                "Use a newer Strongroom, or restic.",
            ));
        }
        Ok(config)
    }
}

/// Degree of restic's polynomials.
const DEGREE: u32 = 53;

/// A polynomial over GF(2) as restic draws it: random, of degree 53, irreducible (Rabin's test). We do not cut with it, but
/// stock restic does when it backs up into our repository.
fn random_irreducible_polynomial() -> Result<u64> {
    loop {
        let mut bytes = [0; 8];
        fill_random(&mut bytes)?;
        let candidate = (u64::from_le_bytes(bytes) & ((1 << DEGREE) - 1)) | (1 << DEGREE) | 1;
        if is_irreducible(candidate) {
            return Ok(candidate);
        }
    }
}

/// Rabin's test for degree 53, which is prime: x^(2^53) = x modulo f, and x^2 - x has no common factor with f.
fn is_irreducible(f: u64) -> bool {
    let mut power = 2;
    for _ in 0..DEGREE {
        power = multiply_modulo(power, power, f);
    }
    power == 2 && greatest_common_divisor(f, 0b110) == 1
}

const fn degree(f: u64) -> u32 {
    f.ilog2()
}

fn multiply_modulo(a: u64, mut b: u64, f: u64) -> u64 {
    let (mut shifted, mut product) = (a, 0);
    while b != 0 {
        if b & 1 == 1 {
            product ^= shifted;
        }
        b >>= 1;
        shifted <<= 1;
        if shifted >> DEGREE & 1 == 1 {
            shifted ^= f;
        }
    }
    product
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        while a != 0 && degree(a) >= degree(b) {
            a ^= b << (degree(a) - degree(b));
        }
        (a, b) = (b, a);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restics_own_polynomials_are_irreducible_and_products_are_not() {
        // From restic's documentation and its chunker's tests.
        for known in [0x0025_b468_838d_cb75, 0x003D_A335_8B4D_C173] {
            assert!(is_irreducible(known), "{known:x}");
        }
        // (x + 1)(x^52 + 1), and an even one.
        assert!(!is_irreducible((1 << 53) ^ (1 << 52) ^ 0b11));
        assert!(!is_irreducible((1 << 53) | 2));
    }

    #[test]
    fn a_config_of_the_future_is_refused() {
        let mut config = Config::generate().unwrap();
        assert_eq!(Config::decode(&config.encode().unwrap()).unwrap(), config);
        config.version = 3;
        assert_eq!(Config::decode(&config.encode().unwrap()).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
