//! The native export: `pg_dump`'s schema, a file of COPY text for each table, and scripts that restore it by hand.
//!
//! Entries come in the order in which a restore needs them, so that a target never has to wait or to keep rows. The schema's
//! second half comes before the rows, for a restore builds a table's indexes as soon as it is full.

use super::Captured;
use super::by_hand;
use super::client::Client;
use super::figures;
use super::large_objects;
use super::layout::Table;
use super::pipe::pipe;
use super::prefetch::Prefetch;
use super::rows::Reading;
use crate::manifest::{DatabaseFigures, TableFigures};
use crate::source::Context;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use vault::error::IoContext;
use vault::{Content, Entry, EntryPath, EntryWriter, Hinted, Outcome, Structure};

/// What was handed over so far.
#[derive(Debug, Default)]
pub struct Written {
    /// Entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Hands entries to the writer and counts them.
pub struct Out<'a> {
    /// Where they go.
    pub writer: &'a mut dyn EntryWriter,
    /// The run.
    pub context: &'a Context<'a>,
    /// What went.
    pub written: Written,
}

impl Out<'_> {
    /// Hands over one entry. Content that could not be read to its end is an error: half a table is no backup.
    pub fn put(&mut self, path: &str, size_bytes: Option<u64>, mode: u32, content: &mut dyn Content) -> Result<()> {
        self.context.progress.check_cancelled()?;
        let modified = vault::Timestamp {
            seconds: self.context.started_at.as_second(),
            nanoseconds: self.context.started_at.subsec_nanosecond().unsigned_abs(),
        };
        let mut entry = Entry::generated(EntryPath::new(path)?, size_bytes, modified);
        entry.metadata.mode = mode;
        let bytes = match self.writer.write(&entry, Some(content))? {
            Outcome::Stored { bytes, padded_bytes: 0 } | Outcome::Unchanged { bytes } => bytes,
            Outcome::Stored { padded_bytes, .. } => {
                return Err(Error::internal(format!("{path}: {padded_bytes} bytes were missing at its end")));
            }
            Outcome::Unreadable(cause) => return Err(vault::error::from_io(format!("reading {path}"), cause)),
        };
        self.written.entries += 1;
        self.written.bytes += bytes;
        self.context.progress.entries(1);
        Ok(())
    }

    fn text(&mut self, path: &str, text: &str) -> Result<()> {
        self.put(path, Some(text.len() as u64), 0o600, &mut text.as_bytes())
    }
}

/// Writes the whole export and returns the figures of exactly what was written.
pub fn write(captured: &mut Captured, reading: &Reading, out: &mut Out<'_>) -> Result<DatabaseFigures> {
    let layout = &captured.snapshot.layout;
    let definitions = out.context.scratch.join("large-objects.sql");
    let has_large_objects = spool_definitions(&mut captured.snapshot.exporter, &definitions)?;
    let json = serde_json::to_string_pretty(layout)
        .map_err(|cause| Error::internal("the layout cannot be written as JSON").because(cause))?;
    out.text("0-layout.json", &json)?;
    out.put("restore.sh", Some(by_hand::RESTORE_SH.len() as u64), 0o700, &mut by_hand::RESTORE_SH.as_bytes())?;
    out.text("restore.sql", &by_hand::restore_sql(layout, has_large_objects))?;
    out.text("globals.sql", &by_hand::globals_sql(&layout.database))?;
    out.text("1-post-data.sql", &captured.post_data)?;
    out.text("1-pre-data.sql", &captured.pre_data)?;
    let mut tables = write_tables(captured, reading, out)?;
    let layout = &captured.snapshot.layout;
    out.text("3-sequences.sql", &by_hand::sequences_sql(&layout.sequences))?;
    tables.push(write_large_objects(&mut captured.snapshot.exporter, &definitions, has_large_objects, reading, out)?);
    let mut figures = figures::of_catalog(&mut captured.snapshot.exporter, layout)?;
    figures::complete(&mut figures, tables, &[&captured.pre_data, &captured.post_data]);
    Ok(figures)
}

fn write_tables(captured: &mut Captured, reading: &Reading, out: &mut Out<'_>) -> Result<Vec<TableFigures>> {
    let tables = &captured.snapshot.layout.tables;
    let prefetch = Prefetch::new(tables);
    let workers = &mut captured.snapshot.workers;
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| prefetch.work(worker, reading));
        }
        let result = tables.iter().enumerate().map(|(number, table)| {
            let mut reader = prefetch.reader(number);
            let mut hinted = Hinted { content: &mut reader, structure: structure(table, reading) };
            let written = out.put(&table.file(number), None, 0o600, &mut hinted);
            // The database's own error says more than the writer's about a stream that broke off.
            let figures = match written {
                Ok(()) => reader.finish(),
                Err(failed) => Err(reader.failure().unwrap_or(failed)),
            }?;
            Ok(figures)
        });
        let result = result.collect();
        prefetch.stop();
        result
    })
}

fn structure(table: &Table, reading: &Reading) -> Structure {
    let key_in_front = !table.key.is_empty() && table.columns.starts_with(&table.key);
    Structure::Rows { by_key: reading.ordered && key_in_front }
}

fn spool_definitions(client: &mut Client, path: &std::path::Path) -> Result<bool> {
    let what = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(path).doing(what)?);
    let any = large_objects::definitions(client, &mut file)?;
    file.flush().doing(what)?;
    Ok(any)
}

/// Contents go through a bounded channel: they are read on the exporter's own thread while the writer takes them.
fn write_large_objects(
    client: &mut Client,
    definitions: &std::path::Path,
    any: bool,
    reading: &Reading,
    out: &mut Out<'_>,
) -> Result<TableFigures> {
    if !any {
        return large_objects::read(client, reading, &mut |_| Ok(()));
    }
    let file = File::open(definitions).doing(|| format!("reading {}", definitions.display()))?;
    let bytes = file.metadata().doing(|| format!("reading {}", definitions.display()))?.len();
    out.put("4-large-objects/1-definitions.sql", Some(bytes), 0o600, &mut { file })?;
    let (mut pipe, mut stream) = pipe(4);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            large_objects::read(client, reading, &mut |line| {
                pipe.write_all(line).map_err(|error| Error::io("handing over large objects", error))
            })
        });
        let written = out.put("4-large-objects/2-data.copy", None, 0o600, &mut stream);
        drop(stream);
        let read = reader.join().unwrap_or_else(|_| Err(Error::internal("the reader of large objects panicked")));
        match (written, read) {
            (Ok(()), read) => read,
            (Err(failed), _) => Err(failed),
        }
    })
}
