//! Sealing.

use super::gcm::Gcm;
use super::{CONTENT_BYTES_MAX, HEAD_BYTES};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::key::Key;
use crate::store::ObjectWriter;
use std::io::{self, Write};

/// Encrypted before it is handed on; fits the second-level cache.
const BUFFER_BYTES: usize = 128 * 1024;

/// Encrypts what is written to it into an object.
pub struct EnvelopeWriter {
    object: Box<dyn ObjectWriter>,
    gcm: Gcm,
    iv: [u8; 16],
    content_bytes: u64,
    buffer: Vec<u8>,
}

impl EnvelopeWriter {
    /// Writes the IV and leaves room for the tag.
    pub fn create(mut object: Box<dyn ObjectWriter>, key: &Key) -> Result<Self> {
        let iv = fresh_iv()?;
        let mut head = [0; HEAD_BYTES];
        head[..16].copy_from_slice(&iv);
        object.write_all(&head).doing(|| "writing the head of the archive")?;
        Ok(Self { object, gcm: Gcm::new(key, &iv), iv, content_bytes: 0, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Puts the tag into its place and hands the object back, complete.
    pub fn seal(mut self) -> Result<Box<dyn ObjectWriter>> {
        let mut head = [0; HEAD_BYTES];
        head[..16].copy_from_slice(&self.iv);
        head[16..].copy_from_slice(&self.gcm.tag());
        self.object.rewrite_head(&head)?;
        Ok(self.object)
    }
}

impl Write for EnvelopeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BUFFER_BYTES);
        check_fits(self.content_bytes + taken as u64)?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.gcm.encrypt(&mut self.buffer);
        self.object.write_all(&self.buffer)?;
        self.content_bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.object.flush()
    }
}

/// Refuses content beyond what one IV may encrypt; for asking beforehand with the expected (compressed) size.
pub fn check_fits(content_bytes: u64) -> Result<()> {
    if content_bytes <= CONTENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "the encrypted archive would exceed 64 GiB, the most that AES-GCM may encrypt under one IV",
        "Back up into a repository (`format = \"repository\"`), which has no such limit, or split the plan's components.",
    ))
}

/// Encrypts a small blob: `IV ‖ tag ‖ ciphertext`.
pub fn seal(key: &Key, content: &[u8]) -> Result<Vec<u8>> {
    check_fits(content.len() as u64)?;
    let iv = fresh_iv()?;
    let mut gcm = Gcm::new(key, &iv);
    let mut sealed = vec![0; HEAD_BYTES];
    sealed.extend_from_slice(content);
    gcm.encrypt(&mut sealed[HEAD_BYTES..]);
    sealed[..16].copy_from_slice(&iv);
    sealed[16..HEAD_BYTES].copy_from_slice(&gcm.tag());
    Ok(sealed)
}

/// A random IV that cannot be taken for the beginning of an unencrypted archive: an envelope has no magic number.
fn fresh_iv() -> Result<[u8; 16]> {
    loop {
        let mut iv = [0; 16];
        getrandom::fill(&mut iv)
            .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
        if !(iv.starts_with(&[0x1f, 0x8b]) || iv.starts_with(&[0x28, 0xb5]) || iv[0] == b'{') {
            return Ok(iv);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectInfo;

    struct Nowhere;
    impl Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl ObjectWriter for Nowhere {
        fn rewrite_head(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn finish(self: Box<Self>) -> Result<ObjectInfo> {
            Err(Error::internal("never finished"))
        }
    }

    #[test]
    fn one_byte_more_than_gcm_allows_is_refused_with_advice() {
        let mut writer = EnvelopeWriter::create(Box::new(Nowhere), &Key::from_bytes([1; 32])).unwrap();
        writer.content_bytes = CONTENT_BYTES_MAX - 10;
        writer.gcm.seek(CONTENT_BYTES_MAX - 10);
        writer.write_all(&[0; 10]).unwrap();
        let error = crate::error::from_io("writing", writer.write_all(&[0]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().contains("repository"), "{error:?}");
    }
}
