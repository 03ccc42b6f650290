//! Names of things in a repository: SHA-256 hashes of what they hold.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// A SHA-256 hash: the name of a file in a repository, or of a blob inside a pack (then over its plaintext).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 32]);

impl Id {
    /// The name of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(digits: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        if digits.bytes().any(|digit| digit.is_ascii_uppercase()) || hex::decode_to_slice(digits, &mut bytes).is_err() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{digits:?} is not an id: 64 lower-case hexadecimal digits are wanted"),
                "Copy the id as `restic snapshots --json` or the listing shows it.",
            ));
        }
        Ok(Self(bytes))
    }

    /// Reads 64 hexadecimal digits of either case, as repositories may hold them.
    pub(crate) fn from_digits(digits: &[u8]) -> Option<Self> {
        decode(digits).map(Self)
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The first 8 digits, for messages.
    pub fn short(self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&digits).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }
            fn visit_str<E: serde::de::Error>(self, digits: &str) -> std::result::Result<Id, E> {
                Id::from_digits(digits.as_bytes()).ok_or_else(|| E::custom("not 64 hexadecimal digits"))
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// Values of hexadecimal digits; 255 for other bytes. Trees and index files are mostly ids: this is where reading them spends
/// its time.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

fn decode(digits: &[u8]) -> Option<[u8; 32]> {
    let pairs: &[[u8; 2]; 32] = digits.as_chunks::<2>().0.try_into().ok().filter(|_| digits.len() == 64)?;
    let (mut bytes, mut wrong) = ([0; 32], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        // Only the value of a byte that is no digit has these bits.
        wrong |= (high | low) & 0xf0;
        *byte = high << 4 | low & 0x0f;
    }
    (wrong == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_digits_and_nothing_else_is_taken() {
        let id = Id::of(b"x");
        assert_eq!(decode(id.to_hex().as_bytes()), Some(id.0));
        assert_eq!(decode(id.to_hex().to_uppercase().as_bytes()), Some(id.0));
        for bad in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("{}\u{e9}", "0".repeat(62))] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
