//! The compressing half: pieces on all cores, written in order by a thread of their own.

use super::in_order::{Made, Note, write_in_order};
use super::pool::Pool;
use super::{Compression, THREADS_MAX, gzip, ordered, piece_bytes, sample, zstandard};
use crate::error::{Error, Result};
use crate::transfer::Structure;
use std::fs::File;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

enum Job {
    Piece { content: Vec<u8>, structure: Structure },
    Note(Note),
}

/// Compresses what is written to it, on `threads` threads (8 at most), into `S`, which lives in a further thread until
/// [`finish`](Self::finish).
///
/// Dropped unfinished it stops its threads and drops the sink before it returns.
pub struct CompressionWriter<S: Write + Send + 'static> {
    compression: Compression,
    piece: Vec<u8>,
    structure: Structure,
    pool: Pool,
    input: Option<ordered::Input<Job, Result<Made>>>,
    sink: Option<JoinHandle<Result<S>>>,
}

impl<S: Write + Send + 'static> CompressionWriter<S> {
    /// Starts the threads.
    pub fn new(sink: S, compression: Compression, threads: usize) -> Result<Self> {
        let starting = |cause| Error::io("starting a thread", cause);
        let threads = threads.clamp(1, THREADS_MAX);
        // Fail here rather than in a worker when zstd refuses its parameters.
        Worker::new(compression).map_err(starting)?;
        let depth = threads + 1;
        let pool = Pool::new(2 * depth);
        let workers_pool = pool.clone();
        let (input, output) = ordered::pipe(threads, depth, move || {
            let mut worker = Worker::new(compression);
            let pool = workers_pool.clone();
            move |job| match &mut worker {
                Ok(worker) => worker.run(job, &pool),
                Err(cause) => Err(Error::internal(format!("starting a compressor failed: {cause}"))),
            }
        })
        .map_err(starting)?;
        let sinks_pool = pool.clone();
        let sink = thread::Builder::new()
            .name("archive writer".to_owned())
            .spawn(move || write_in_order(&output, sink, compression, &sinks_pool))
            .map_err(starting)?;
        Ok(Self {
            compression,
            piece: Vec::new(),
            structure: Structure::Unknown,
            pool,
            input: Some(input),
            sink: Some(sink),
        })
    }

    /// How what follows is put together: zstd has parameters of their own for the pages and the rows of a database.
    pub fn structure(&mut self, structure: Structure) -> Result<()> {
        if structure != self.structure {
            self.end_piece()?;
            self.structure = structure;
        }
        Ok(())
    }

    /// Begins a new piece, to be found again by [`DecompressionReader::marked`](super::DecompressionReader::marked).
    pub fn mark(&mut self) -> Result<()> {
        self.note(Note::Mark)
    }

    /// From now on what is written is compressed and kept back in `spool`, an empty file, until [`release`](Self::release)
    /// or [`discard`](Self::discard): something has to come before it that is not known yet.
    pub fn hold(&mut self, spool: File) -> Result<()> {
        self.note(Note::Hold(spool))
    }

    /// Puts `head` before what was kept back since [`hold`](Self::hold), and both into the sink.
    pub fn release(&mut self, head: &[u8]) -> Result<()> {
        self.note(Note::Head)?;
        self.write_all(head).map_err(|cause| crate::error::from_io("writing the archive", cause))?;
        self.note(Note::Release)
    }

    /// Forgets what was kept back since [`hold`](Self::hold).
    pub fn discard(&mut self) -> Result<()> {
        self.note(Note::Discard)
    }

    /// Compresses what remains and hands the sink back.
    pub fn finish(mut self) -> Result<S> {
        self.end_piece()?;
        self.join()
    }

    fn note(&mut self, note: Note) -> Result<()> {
        self.end_piece()?;
        self.push(Job::Note(note))
    }

    fn end_piece(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let content = std::mem::take(&mut self.piece);
        self.push(Job::Piece { content, structure: self.structure })
    }

    fn push(&mut self, job: Job) -> Result<()> {
        let closed = match &self.input {
            Some(input) => input.push(job).is_err(),
            None => true,
        };
        if closed {
            // The sink's thread ended early: it knows why.
            return match self.join() {
                Err(error) => Err(error),
                Ok(_) => Err(Error::internal("the archive's writer ended early")),
            };
        }
        Ok(())
    }

    fn join(&mut self) -> Result<S> {
        self.input = None;
        let sink = self.sink.take().ok_or_else(|| Error::internal("the archive was written on after a failure"))?;
        sink.join().map_err(|_| Error::internal("the archive's writer panicked"))?
    }
}

impl<S: Write + Send + 'static> Write for CompressionWriter<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = piece_bytes(self.compression) - self.piece.len();
        if self.piece.is_empty() {
            self.piece = self.pool.take();
            self.piece.reserve_exact(room);
        }
        let taken = bytes.len().min(room);
        self.piece.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.end_piece()?;
        }
        Ok(taken)
    }

    /// Does nothing: a piece ends when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Write + Send + 'static> Drop for CompressionWriter<S> {
    fn drop(&mut self) {
        if self.sink.is_some() {
            // Whatever went wrong, the caller has given up on the result.
            let _ = self.join();
        }
    }
}

/// What a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not worth compressing.
    Incompressible,
    /// Pages of a database.
    Pages,
    /// Rows of a database, as text.
    Rows,
    Other,
}

impl Kind {
    const fn of(structure: Structure, compressible: bool) -> Self {
        match structure {
            _ if !compressible => Self::Incompressible,
            Structure::Pages { .. } => Self::Pages,
            Structure::Rows { .. } => Self::Rows,
            Structure::Unknown => Self::Other,
        }
    }
}

enum Worker {
    Gzip(gzip::MemberWriter),
    Zstd(zstandard::FrameWriter),
    None,
}

impl Worker {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip { level } => Self::Gzip(gzip::MemberWriter::new(level)),
            Compression::Zstd { level } => Self::Zstd(zstandard::FrameWriter::new(level)?),
            Compression::None => Self::None,
        })
    }

    fn run(&mut self, job: Job, pool: &Pool) -> Result<Made> {
        let (content, structure) = match job {
            Job::Piece { content, structure } => (content, structure),
            Job::Note(note) => return Ok(Made::Note(note)),
        };
        Ok(Made::Piece(match self {
            Self::None => content,
            _ => {
                let mut made = pool.take();
                for run in sample::runs(&content) {
                    let kind = Kind::of(structure, run.compressible);
                    self.compress(&content[run.bytes], kind, &mut made)?;
                }
                pool.give(content);
                made
            }
        }))
    }

    /// Appends a run as a member or frame of its own.
    fn compress(&mut self, run: &[u8], kind: Kind, made: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Gzip(writer) => writer.member(run, kind != Kind::Incompressible, made),
            Self::Zstd(writer) => writer.frame(run, kind, made),
            Self::None => Ok(()),
        }
    }
}
