//! The last thread of compression: writes what the others made, in order.
//!
//! Invariant: what is held back lies in the spool alone until its head is known; nothing of it is in the sink before.

use super::pool::Pool;
use super::{Compression, gzip, ordered, zstandard};
use crate::error::{Error, Result, from_io};
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};

/// How much of what was held back is copied at once: `io::copy` takes eight kibibytes where the reader has no buffer.
const COPY_BYTES: usize = 128 * 1024;

/// What stands between pieces.
pub(super) enum Note {
    /// The next piece is to be found again.
    Mark,
    /// The next pieces go into this file.
    Hold(File),
    /// The next pieces belong before those that were held.
    Head,
    /// The held pieces come here.
    Release,
    /// The held pieces are not wanted.
    Discard,
}

/// What a compression thread made of a job.
pub(super) enum Made {
    Piece(Vec<u8>),
    Note(Note),
}

/// Writes into `sink` until there is no more, and hands it back.
pub(super) fn write_in_order<S: Write>(
    output: &ordered::Output<Result<Made>>,
    mut sink: S,
    compression: Compression,
    pool: &Pool,
) -> Result<S> {
    let mut written_bytes = 0;
    let mut mark = None;
    let mut spool = None;
    let mut holding = false;
    let writing = |cause| from_io("writing the archive", cause);
    let spooling = |cause| from_io("keeping a stream in the temporary folder", cause);
    while let Some(made) = output.next().map_err(|_| Error::internal("a compression thread died"))? {
        match made? {
            Made::Piece(bytes) => {
                match &mut spool {
                    Some(spool) if holding => File::write_all(spool, &bytes).map_err(spooling)?,
                    _ => {
                        sink.write_all(&bytes).map_err(writing)?;
                        written_bytes += bytes.len() as u64;
                    }
                }
                pool.give(bytes);
            }
            Made::Note(Note::Mark) => mark = Some(written_bytes),
            Made::Note(Note::Hold(file)) => (spool, holding) = (Some(file), true),
            Made::Note(Note::Head) => holding = false,
            Made::Note(Note::Release) => {
                let mut held = spool.take().ok_or_else(|| Error::internal("nothing was held back"))?;
                held.rewind().map_err(spooling)?;
                written_bytes +=
                    io::copy(&mut BufReader::with_capacity(COPY_BYTES, held), &mut sink).map_err(writing)?;
            }
            Made::Note(Note::Discard) => (spool, holding) = (None, false),
        }
    }
    if let Some(offset) = mark {
        match compression {
            Compression::Gzip { .. } => sink.write_all(&gzip::mark(offset)),
            Compression::Zstd { .. } => sink.write_all(&zstandard::mark(offset)),
            Compression::None => Ok(()),
        }
        .map_err(writing)?;
    }
    Ok(sink)
}
