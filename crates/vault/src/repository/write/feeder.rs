//! Reading content and cutting it into batches of blobs.

use super::pipeline::Batch;
use crate::error::{Result, from_io};
use crate::repository::chunk::{Cutter, Gear};
use crate::transfer::Structure;
use std::io::Read;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// A batch is handed over when it is at least so long. One blob more may be in it.
const BATCH_BYTES: usize = 1 << 20;

/// What was taken of a content.
#[derive(Debug, Default)]
pub struct Taken {
    /// Bytes, padding included.
    pub bytes: u64,
    /// Zeros put in place of what was missing.
    pub padded_bytes: u64,
    /// Number of blobs.
    pub blobs: u64,
}

/// Fills batches.
#[derive(Default)]
pub struct Feeder {
    /// What lies in its bytes beyond `filled` means nothing: clearing it for each read would cost as much as reading.
    batch: Batch,
    filled: usize,
    /// Number of the blob after the last one cut.
    next: u64,
}

/// Where full batches go: takes one, gives a buffer to fill.
pub type Submit<'s> = &'s mut dyn FnMut(Batch) -> Result<Vec<u8>>;

impl Feeder {
    /// Reads `content` to its end, or exactly `size_bytes` of it if that is known: what has been added since it was looked at
    /// is left out, what is missing is padded with zeros, as is what cannot be read.
    pub fn take(
        &mut self,
        content: &mut dyn Read,
        size_bytes: Option<u64>,
        gear: &Gear,
        structure: Structure,
        submit: Submit<'_>,
    ) -> Result<Taken> {
        let mut cutter = Cutter::new(gear, structure, size_bytes);
        let mut taken = Taken::default();
        let first = self.next;
        let mut start = self.filled;
        loop {
            let left = size_bytes.map_or(u64::MAX, |size| size - taken.bytes);
            let want = left.min(READ_BYTES as u64) as usize;
            let mut got = if taken.padded_bytes == 0 { self.read(content, want, size_bytes.is_some())? } else { 0 };
            if got == 0 && size_bytes.is_some() {
                got = want;
                self.room(want).fill(0);
                self.filled += want;
                taken.padded_bytes += want as u64;
            }
            taken.bytes += got as u64;
            let ended = got == 0 || size_bytes == Some(taken.bytes);
            while let Some(length) = cutter.next_cut(&self.batch.bytes[start..self.filled], ended) {
                start += length;
                self.batch.ends.push(start);
                self.next += 1;
                if start >= BATCH_BYTES {
                    self.flush(submit)?;
                    start = 0;
                }
            }
            if ended {
                taken.blobs = self.next - first;
                return Ok(taken);
            }
        }
    }

    /// Reads up to `want` bytes to the batch's end. A failure counts as the end if what is missing can be padded.
    fn read(&mut self, content: &mut dyn Read, want: usize, padded: bool) -> Result<usize> {
        let room = self.room(want);
        let result = loop {
            match content.read(room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let got = match result {
            Ok(got) => got.min(want),
            Err(_) if padded => 0,
            Err(error) => return Err(from_io("reading content", error)),
        };
        self.filled += got;
        Ok(got)
    }

    /// The next `length` bytes of the batch.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.batch.bytes.len() < end {
            self.batch.bytes.resize(end, 0);
        }
        &mut self.batch.bytes[self.filled..end]
    }

    /// Hands over the blobs that are complete; the begun one stays.
    pub fn flush(&mut self, submit: Submit<'_>) -> Result<()> {
        let Some(&end) = self.batch.ends.last() else { return Ok(()) };
        let rest = self.batch.bytes[end..self.filled].to_vec();
        let first = self.next - self.batch.ends.len() as u64;
        let mut batch = Batch { first, ..std::mem::take(&mut self.batch) };
        batch.bytes.truncate(end);
        self.filled = 0;
        self.batch.bytes = submit(batch)?;
        self.room(rest.len()).copy_from_slice(&rest);
        self.filled = rest.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::chunk::Sizes;

    fn take(content: &mut dyn Read, size_bytes: Option<u64>) -> (Result<Taken>, Vec<u8>, usize) {
        let gear = Gear::new(b"s", Sizes { min: 1000, average: 4000, max: 16_000 });
        let mut feeder = Feeder::default();
        let (mut joined, mut blobs) = (Vec::new(), 0);
        let mut submit = |batch: Batch| {
            assert_eq!(batch.first, blobs as u64);
            assert_eq!(batch.ends.last(), Some(&batch.bytes.len()));
            blobs += batch.ends.len();
            joined.extend_from_slice(&batch.bytes);
            Ok(Vec::new())
        };
        let taken = feeder.take(content, size_bytes, &gear, Structure::Unknown, &mut submit);
        feeder.flush(&mut submit).unwrap();
        (taken, joined, blobs)
    }

    #[test]
    fn content_comes_through_whole_whatever_its_size() {
        for size in [0, 1, 999, 100_000, 3_000_000] {
            let mut content = vec![0; size];
            blake3::Hasher::new().finalize_xof().fill(&mut content);
            for known in [None, Some(size as u64)] {
                let (taken, joined, blobs) = take(&mut content.as_slice(), known);
                let taken = taken.unwrap();
                assert_eq!((taken.bytes, taken.padded_bytes, taken.blobs), (size as u64, 0, blobs as u64));
                assert!(joined == content);
            }
        }
    }

    #[test]
    fn a_file_that_shrank_is_padded_and_one_that_grew_is_cut() {
        let (taken, joined, _) = take(&mut &b"abc"[..], Some(10));
        assert_eq!(taken.unwrap().padded_bytes, 7);
        assert_eq!(joined, b"abc\0\0\0\0\0\0\0");
        let (taken, joined, _) = take(&mut &b"abcdef"[..], Some(2));
        assert_eq!((taken.unwrap().bytes, joined), (2, b"ab".to_vec()));
    }

    #[test]
    fn a_stream_that_fails_fails_and_a_file_that_fails_is_padded() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("bad sector"))
            }
        }
        assert!(take(&mut Failing, None).0.is_err());
        assert_eq!(take(&mut Failing, Some(5)).0.unwrap().padded_bytes, 5);
    }
}
