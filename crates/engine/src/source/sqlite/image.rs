//! The hash of a database file as it is, byte by byte: taken in passing by the source, and again from what a target wrote.

use std::io::{self, Read};

const BUFFER_BYTES: usize = 256 * 1024;

/// Hashes what is read through it.
pub(crate) struct ImageReader<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> ImageReader<R> {
    /// Reads `inner`, which stands at its start.
    pub(crate) fn new(inner: R, hash_key: &[u8; 32]) -> Self {
        Self { inner, hasher: blake3::Hasher::new_keyed(hash_key) }
    }

    /// The hash of everything that was read, 64 hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<R: Read> Read for ImageReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// The hash of everything in `content`.
pub(crate) fn hash(content: impl Read, hash_key: &[u8; 32]) -> io::Result<String> {
    let mut reader = ImageReader::new(content, hash_key);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(reader.hash()),
            Err(cause) if cause.kind() != io::ErrorKind::Interrupted => return Err(cause),
            _ => {}
        }
    }
}
