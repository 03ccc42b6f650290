//! A seal over a database file as it is, byte by byte, and the figures that were measured on it: made by the source in
//! passing, and made again from what a target wrote. Where it is the same, file and figures belong together, and nothing
//! need be measured again. Where either was changed, everything is.

use crate::hash::HashKey;
use crate::manifest::DatabaseFigures;
use std::io::{self, Read};

const BUFFER_BYTES: usize = 256 * 1024;

/// Hashes what is read through it.
pub(crate) struct ImageReader<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> ImageReader<R> {
    /// Reads `inner`, which stands at its start.
    pub(crate) fn new(inner: R, hash_key: HashKey) -> Self {
        Self { inner, hasher: blake3::Hasher::new_keyed(hash_key.bytes()) }
    }

    /// What everything that was read comes to.
    pub(crate) fn image(self) -> Image {
        Image(self.hasher)
    }
}

impl<R: Read> Read for ImageReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// A file's bytes, hashed.
pub(crate) struct Image(blake3::Hasher);

impl Image {
    /// Reads `content` to its end.
    pub(crate) fn of(content: impl Read, hash_key: HashKey) -> io::Result<Self> {
        let mut reader = ImageReader::new(content, hash_key);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(reader.image()),
                Err(cause) if cause.kind() != io::ErrorKind::Interrupted => return Err(cause),
                _ => {}
            }
        }
    }

    /// Seals the file and its figures together, 64 hexadecimal digits.
    pub(crate) fn seal(mut self, figures: &DatabaseFigures) -> serde_json::Result<String> {
        let figures = serde_json::to_vec(&DatabaseFigures { image_seal: None, ..figures.clone() })?;
        self.0.update(&figures);
        self.0.update(&(figures.len() as u64).to_le_bytes());
        Ok(self.0.finalize().to_hex().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_one_file_with_its_figures_under_one_key() {
        let figures = DatabaseFigures { engine: "sqlite".to_owned(), ..DatabaseFigures::default() };
        let seal = |content: &[u8], figures: &DatabaseFigures, key: u8| {
            Image::of(content, HashKey::new([key; 32])).unwrap().seal(figures).unwrap()
        };
        let good = seal(b"pages", &figures, 1);
        assert_eq!(good, seal(b"pages", &DatabaseFigures { image_seal: Some(good.clone()), ..figures.clone() }, 1));
        assert_ne!(good, seal(b"pagez", &figures, 1));
        assert_ne!(good, seal(b"pages", &figures, 2));
        assert_ne!(good, seal(b"pages", &DatabaseFigures { schema_hash: "other".to_owned(), ..figures }, 1));
    }
}
