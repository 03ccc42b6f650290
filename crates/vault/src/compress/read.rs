//! The decompressing half: a thread reads (and so decrypts) whole pieces, others decompress them, the caller takes the
//! content in order. Files made by other programs are decompressed as one stream in the first of these threads.

use super::{CompressionFormat, THREADS_MAX, gzip, ordered, zstandard};
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::store::ObjectReader;
use std::io::{self, BufReader, Cursor, Read, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// How content that is not compressed in pieces travels.
const STREAM_PIECE_BYTES: usize = 256 * 1024;
/// A ratio says nothing about less than this.
const RATIO_FROM_BYTES: u64 = 64 << 20;

/// What compressed data may become; more is [`ErrorKind::TooLarge`]: a decompression bomb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpansionLimit {
    /// Bytes of content, where something trustworthy (a manifest) tells them.
    pub bytes_max: Option<u64>,
    /// Bytes of content for each compressed byte, beyond the first 64 MiB of content.
    pub ratio_max: Option<u64>,
}

impl ExpansionLimit {
    fn check(self, content_bytes: u64, compressed_bytes: u64) -> Result<()> {
        let over_bytes = self.bytes_max.is_some_and(|max| content_bytes > max);
        let over_ratio = self
            .ratio_max
            .is_some_and(|max| content_bytes > RATIO_FROM_BYTES.max(compressed_bytes.saturating_mul(max)));
        if !(over_bytes || over_ratio) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "the data expands beyond every reason: {compressed_bytes} compressed bytes have become more than {content_bytes}"
            ),
            "It looks like a decompression bomb. If you trust the file, unpack it with `gzip -d` or `zstd -d` first.",
        ))
    }
}

/// A compressed object that is read by one pass at a time. A pass that was given up ends before the next begins.
pub(crate) type SharedObject = Arc<Mutex<Box<dyn ObjectReader>>>;

enum Job {
    Gzip(Vec<u8>),
    Zstd { frame: Vec<u8>, content_bytes: usize },
    Plain(Vec<u8>),
    Failed(Error),
}

/// Reads the content of a compressed object.
pub struct DecompressionReader {
    output: ordered::Output<Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    content_bytes: u64,
    compressed_bytes: Arc<AtomicU64>,
    limit: ExpansionLimit,
    /// What went wrong, for every further read: an error must not be followed by an orderly end.
    failure: Option<(ErrorKind, String, String)>,
}

impl DecompressionReader {
    /// Reads `source`, which was recognised as `format`, from its start.
    pub fn new(
        source: impl ObjectReader + 'static,
        format: CompressionFormat,
        threads: usize,
        limit: ExpansionLimit,
    ) -> Result<Self> {
        Self::from_offset(Arc::new(Mutex::new(Box::new(source))), 0, format, threads, limit)
    }

    /// Reads from `offset` in the compressed bytes, where a piece must begin.
    pub(crate) fn from_offset(
        source: SharedObject,
        offset: u64,
        format: CompressionFormat,
        threads: usize,
        limit: ExpansionLimit,
    ) -> Result<Self> {
        let starting = |cause| Error::io("starting a thread", cause);
        let threads = threads.clamp(1, THREADS_MAX);
        let depth = match format {
            CompressionFormat::Zstd => threads + 1,
            CompressionFormat::Gzip | CompressionFormat::None => 2 * threads,
        };
        let (input, output) = ordered::pipe(threads, depth, || {
            let mut gzip = libdeflater::Decompressor::new();
            let mut zstd = None;
            move |job| decompress(job, &mut gzip, &mut zstd)
        })
        .map_err(starting)?;
        let compressed_bytes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&compressed_bytes);
        thread::Builder::new()
            .name("archive reader".to_owned())
            .spawn(move || {
                let mut object = source.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = feed(&mut **object, offset, &counter, format, &input) {
                    // Nobody waits for it any more when the reader was dropped.
                    let _ = input.push(Job::Failed(error));
                }
            })
            .map_err(starting)?;
        let piece = Cursor::new(Vec::new());
        Ok(Self { output, piece, content_bytes: 0, compressed_bytes, limit, failure: None })
    }

    /// Where the writer's [`mark`](super::CompressionWriter::mark) begins, if the object ends with one.
    pub(crate) fn marked(source: &mut dyn ObjectReader, format: CompressionFormat) -> Result<Option<u64>> {
        let tail_bytes = match format {
            CompressionFormat::Gzip => gzip::MARK_BYTES,
            CompressionFormat::Zstd => zstandard::MARK_BYTES,
            CompressionFormat::None => return Ok(None),
        };
        let reading = |cause| from_io("reading the end of the archive", cause);
        let end = source.seek(SeekFrom::End(0)).map_err(reading)?;
        let Some(start) = end.checked_sub(tail_bytes as u64) else { return Ok(None) };
        source.seek(SeekFrom::Start(start)).map_err(reading)?;
        let mut tail = Vec::with_capacity(tail_bytes);
        source.take(tail_bytes as u64).read_to_end(&mut tail).map_err(reading)?;
        let offset =
            if format == CompressionFormat::Gzip { gzip::parse_mark(&tail) } else { zstandard::parse_mark(&tail) };
        Ok(offset.filter(|offset| *offset < start))
    }

    fn next_piece(&mut self) -> Result<bool> {
        let next = self.output.next().map_err(|_| Error::internal("a decompression thread died"))?;
        let Some(piece) = next.transpose()? else { return Ok(false) };
        self.content_bytes += piece.len() as u64;
        self.limit.check(self.content_bytes, self.compressed_bytes.load(Ordering::Relaxed))?;
        self.piece = Cursor::new(piece);
        Ok(true)
    }
}

impl Read for DecompressionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, message, hint)) = &self.failure {
            return Err(Error::new(*kind, message, hint).into());
        }
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.next_piece() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    self.failure = Some((error.kind(), error.message().to_owned(), error.hint().to_owned()));
                    return Err(error.into());
                }
            }
        }
    }
}

fn decompress(
    job: Job,
    gzip: &mut libdeflater::Decompressor,
    zstd: &mut Option<zstd::bulk::Decompressor<'static>>,
) -> Result<Vec<u8>> {
    match job {
        Job::Gzip(member) => gzip::inflate(gzip, &member),
        Job::Zstd { frame, content_bytes } => {
            let decompressor = match zstd {
                Some(decompressor) => decompressor,
                None => zstd.insert(
                    zstd::bulk::Decompressor::new().map_err(|cause| Error::io("starting a decompressor", cause))?,
                ),
            };
            zstandard::decompress(decompressor, &frame, content_bytes)
        }
        Job::Plain(content) => Ok(content),
        Job::Failed(error) => Err(error),
    }
}

type Input = ordered::Input<Job, Result<Vec<u8>>>;

/// Reads the object to its end and hands its pieces in. Returns early and in silence when the reader was dropped.
fn feed(
    object: &mut dyn ObjectReader,
    offset: u64,
    compressed_bytes: &AtomicU64,
    format: CompressionFormat,
    input: &Input,
) -> Result<()> {
    object.seek(SeekFrom::Start(offset)).map_err(|cause| from_io("reading the archive", cause))?;
    let counted = Counted { inner: object, bytes: compressed_bytes };
    let mut source = BufReader::with_capacity(STREAM_PIECE_BYTES, counted);
    match format {
        CompressionFormat::Gzip => feed_gzip(&mut source, input),
        CompressionFormat::Zstd => feed_zstd(&mut source, input),
        CompressionFormat::None => feed_stream(&mut source, input),
    }
}

fn feed_gzip(source: &mut impl Read, input: &Input) -> Result<()> {
    loop {
        let mut member = Vec::new();
        take(source, gzip::HEADER_BYTES, &mut member)?;
        if member.is_empty() {
            return Ok(());
        }
        let Some(size_bytes) = gzip::member_bytes(&member) else {
            return feed_stream(&mut flate2::read::MultiGzDecoder::new(Cursor::new(member).chain(source)), input);
        };
        take(source, size_bytes - gzip::HEADER_BYTES, &mut member)?;
        if member.len() < size_bytes {
            return Err(truncated("within a gzip member"));
        }
        if input.push(Job::Gzip(member)).is_err() {
            return Ok(());
        }
    }
}

fn take(source: &mut impl Read, count: usize, bytes: &mut Vec<u8>) -> Result<()> {
    bytes.reserve_exact(count);
    source.take(count as u64).read_to_end(bytes).map_err(|cause| from_io("reading the archive", cause))?;
    Ok(())
}

fn feed_zstd(source: &mut impl Read, input: &Input) -> Result<()> {
    loop {
        match zstandard::next_frame(source)? {
            zstandard::Next::Frame { bytes, content_bytes } => {
                if input.push(Job::Zstd { frame: bytes, content_bytes }).is_err() {
                    return Ok(());
                }
            }
            zstandard::Next::Skipped => {}
            zstandard::Next::End => return Ok(()),
            zstandard::Next::Stream(start) => {
                let mut decoder = zstd::Decoder::new(Cursor::new(start).chain(source))
                    .map_err(|cause| Error::io("starting a decompressor", cause))?;
                return feed_stream(&mut decoder, input);
            }
        }
    }
}

fn feed_stream(stream: &mut impl Read, input: &Input) -> Result<()> {
    loop {
        let mut piece = Vec::with_capacity(STREAM_PIECE_BYTES);
        stream.take(STREAM_PIECE_BYTES as u64).read_to_end(&mut piece).map_err(classify)?;
        if piece.is_empty() || input.push(Job::Plain(piece)).is_err() {
            return Ok(());
        }
    }
}

/// Errors of the source are ours already ([`Counted`] sees to it): all others are the decompressor's.
fn classify(cause: io::Error) -> Error {
    if cause.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>) {
        return from_io("reading the archive", cause);
    }
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => truncated("within compressed data").because(cause),
        _ => damaged("it does not decompress").because(cause),
    }
}

/// Counts what passes, and makes the source's errors ours.
struct Counted<'a> {
    inner: &'a mut dyn ObjectReader,
    bytes: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.bytes.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => Err(cause),
            Err(cause) => Err(from_io("reading the archive", cause).into()),
        }
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the archive is damaged: {what}"),
        "It was altered or rotted: use another copy of it or an older backup.",
    )
}

pub(super) fn truncated(place: &str) -> Error {
    Error::new(
        ErrorKind::Truncated,
        format!("the archive ends too early, {place}"),
        "It was cut off or not copied to its end: use another copy of it or an older backup.",
    )
}
