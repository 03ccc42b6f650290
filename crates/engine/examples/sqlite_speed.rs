//! How fast a SQLite database is read: `cargo run --release -p engine --example sqlite_speed -- FILE SCRATCH`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use engine::config::component::SqliteSettings;
use engine::source::sqlite::{SqliteSource, write_document};
use engine::source::{Context, Source};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;
use vault::{Committed, Content, Entry, EntryWriter, Outcome, Silent};

/// Counts and forgets.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads nothing: what remains is the check and the figures.
struct Nothing;

impl EntryWriter for Nothing {
    fn write(&mut self, entry: &Entry, _content: Option<&mut dyn Content>) -> engine::Result<Outcome> {
        let vault::EntryKind::File { size_bytes: Some(bytes) } = entry.kind else { unreachable!() };
        Ok(Outcome::Stored { bytes, padded_bytes: 0 })
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> engine::Result<Committed> {
        unreachable!()
    }
}

fn main() {
    let arguments = std::env::args().collect::<Vec<_>>();
    let (path, scratch) = (Path::new(&arguments[1]), Path::new(&arguments[2]));
    let started = Instant::now();
    let bytes = write_document(path, "database", Counter::default()).unwrap().0;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "JSON, one core: {} MiB in {seconds:.2} s, {:.0} MiB/s",
        bytes >> 20,
        bytes as f64 / f64::from(1 << 20) / seconds
    );

    let context = Context {
        progress: &Silent,
        scratch,
        hash_key: engine::hash::HashKey::new([1; 32]),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        deduplicating: false,
    };
    let settings = SqliteSettings { path: path.to_owned(), export: None, busy_timeout_ms: None };
    let mut source = SqliteSource::new("database", settings);
    let started = Instant::now();
    source.capture(&context).unwrap();
    println!("consistent copy: {:.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let manifest = source.read(&context, &mut Nothing).unwrap();
    println!(
        "integrity check and figures, two threads: {:.2} s, {} bytes",
        started.elapsed().as_secs_f64(),
        manifest.bytes
    );
}
