//! Documents that lie in files of their own (index, snapshot, lock): JSON, in version 2 compressed behind one byte.

use super::malformed;
use crate::error::{Error, Result};

/// No document expands beyond this; restic's own index files stay below 8 MiB compressed.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// No more is reserved because a document claims to need it.
const EXPECTED_BYTES_MAX: usize = 32 << 20;
/// zstd's level: documents are mostly hexadecimal digits of hashes, which higher levels make longer, not shorter.
const LEVEL: i32 = 1;
/// What comes first in a compressed document.
const ZSTD_ENCODING: u8 = 2;

/// The plaintext of a document's file.
pub fn encode(json: &[u8], compress: bool) -> Result<Vec<u8>> {
    if !compress {
        return Ok(json.to_vec());
    }
    let mut plain = vec![ZSTD_ENCODING];
    plain.extend(
        zstd::bulk::compress(json, LEVEL)
            .map_err(|cause| Error::internal(format!("zstd refuses a document: {cause}")))?,
    );
    Ok(plain)
}

/// The JSON of a document's file.
pub fn decode(plain: &[u8], what: &str) -> Result<Vec<u8>> {
    match plain.first() {
        Some(b'[' | b'{') => Ok(plain.to_vec()),
        Some(&ZSTD_ENCODING) => expand(&plain[1..], DOCUMENT_BYTES_MAX).map_err(|why| malformed(what, why)),
        Some(other) => Err(malformed(what, format!("encoding {other} is unknown"))),
        None => Err(malformed(what, "it is empty")),
    }
}

/// Expands a zstd stream of at most `size_bytes_max`, whether or not it tells its size, allocating as it grows.
fn expand(compressed: &[u8], size_bytes_max: usize) -> std::result::Result<Vec<u8>, String> {
    use std::io::Read;
    // What it claims to need, within reason: growing would copy it several times.
    let claimed = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten().unwrap_or(0);
    let mut json = Vec::with_capacity((claimed as usize).min(EXPECTED_BYTES_MAX.min(size_bytes_max)));
    zstd::stream::read::Decoder::with_buffer(compressed)
        .and_then(|decoder| decoder.take(size_bytes_max as u64 + 1).read_to_end(&mut json))
        .map_err(|cause| cause.to_string())?;
    if json.len() > size_bytes_max {
        return Err(format!("it expands beyond {size_bytes_max} bytes"));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_come_back() {
        for compress in [false, true] {
            assert_eq!(decode(&encode(b"{\"a\":1}", compress).unwrap(), "x").unwrap(), b"{\"a\":1}");
        }
    }

    #[test]
    fn bombs_and_nonsense_are_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; 1 << 20], 1).unwrap();
        assert!(expand(&bomb, 1 << 19).is_err());
        for bad in [&b""[..], b"\x03abc", b"\x02abc", b"\x02"] {
            assert!(decode(bad, "x").is_err(), "{bad:?}");
        }
    }
}
