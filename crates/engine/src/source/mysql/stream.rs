//! Tables read in parallel, handed over one after the other.
//!
//! Each connection of the snapshot takes the next table, reads, hashes and formats its rows, and puts them into that table's
//! bounded queue; the consumer empties the queues in order. Memory is bounded by queues × blocks plus the largest row on each
//! connection, whatever the size of the tables.
//!
//! The uncomfortable consequence: a result that is not read to its end can only be got rid of by ending the statement on the
//! server, from another connection.

use super::address::Address;
use super::rows::{self, Inserts};
use super::schema::Table;
use super::session::Session;
use super::snapshot::Snapshot;
use crate::hash::{HashKey, SetHasher};
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use vault::Progress;
use vault::error::IoContext;

const BLOCK_BYTES: usize = 256 * 1024;
const BLOCKS_QUEUED: usize = 8;

/// What the queues carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// INSERT statements.
    Inserts,
    /// Encoded rows, whole ones in a block, each with its length (4 bytes, little-endian) before it.
    Encoded,
    /// Nothing but the figures.
    Figures,
}

/// A part of a table's stream.
pub(crate) enum Block {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// That was all.
    End(TableEnd),
    /// It went wrong.
    Failed(Error),
}

/// A table's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableEnd {
    pub rows: u64,
    pub hash: Option<String>,
    /// Size of the largest row, encoded.
    pub row_bytes_max: u64,
}

/// How tables are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub hash_key: HashKey,
    pub form: Form,
    /// In key order also where that costs a sort.
    pub in_key_order: bool,
}

/// Reads all tables of the snapshot; `consume` gets a queue for each, in the order of the schema.
pub(crate) fn run<R>(
    snapshot: &mut Snapshot,
    reading: Reading,
    consume: impl FnOnce(&[Table], Vec<Receiver<Block>>) -> Result<R>,
) -> Result<R> {
    let Snapshot { sessions, schema, spooled, address, .. } = snapshot;
    let (senders, receivers): (Vec<_>, Vec<_>) = schema.tables.iter().map(|_| bounded(BLOCKS_QUEUED)).unzip();
    let next = AtomicUsize::new(0);
    let (tables, senders, spooled, address) = (&schema.tables, &senders, &*spooled, &*address);
    std::thread::scope(|scope| {
        for session in sessions.iter_mut() {
            let next = &next;
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(table), Some(queue)) = (tables.get(at), senders.get(at)) else { return };
                    let result = read_table(session, table, reading, spooled.get(&table.name), queue, address);
                    let end = match result {
                        Ok(Some(end)) => Block::End(end),
                        Ok(None) => return,
                        Err(error) => Block::Failed(error.within(format_args!("table {}", table.name))),
                    };
                    if queue.send(end).is_err() {
                        return;
                    }
                }
            });
        }
        // Dropped when `consume` returns: whoever still reads notices and stops.
        consume(tables, receivers)
    })
}

/// Reads one table; `None` when nobody listens any more.
fn read_table(
    session: &mut Session,
    table: &Table,
    reading: Reading,
    spooled: Option<&PathBuf>,
    queue: &Sender<Block>,
    address: &Address,
) -> Result<Option<TableEnd>> {
    let mut sink = Sink::new(table, reading, queue);
    if table.without_rows {
        return Ok(Some(sink.figures()));
    }
    if let Some(path) = spooled {
        each_spooled(path, &mut |row| sink.take(row))?;
    } else {
        let connection_id = session.connection_id;
        let mut row = Vec::with_capacity(4096);
        session.each(&rows::select(table, reading.in_key_order), &mut |values| {
            rows::encode(&mut row, &values)?;
            let goes_on = sink.take(&row)?;
            if !goes_on {
                stop(address, connection_id);
            }
            Ok(goes_on)
        })?;
    }
    Ok(sink.finish())
}

/// Ends the statement of another connection of ours. When that fails the result is read to its end: slow, but right.
fn stop(address: &Address, connection_id: u32) {
    if let Ok(mut session) = Session::connect(address) {
        let _ = session.try_execute(&format!("KILL QUERY {connection_id}"));
    }
}

/// Hashes, formats and hands over rows.
struct Sink<'a> {
    hasher: Option<SetHasher>,
    rows: u64,
    row_bytes_max: u64,
    form: Form,
    inserts: Inserts,
    block: Vec<u8>,
    queue: &'a Sender<Block>,
    heard: bool,
}

impl<'a> Sink<'a> {
    fn new(table: &Table, reading: Reading, queue: &'a Sender<Block>) -> Self {
        let mut block = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
        if reading.form == Form::Inserts {
            block.extend_from_slice(Inserts::preamble(table).as_bytes());
        }
        Self {
            hasher: (!table.without_hash).then(|| SetHasher::new(reading.hash_key)),
            rows: 0,
            row_bytes_max: 0,
            form: reading.form,
            inserts: Inserts::new(table),
            block,
            queue,
            heard: true,
        }
    }

    fn take(&mut self, row: &[u8]) -> Result<bool> {
        self.rows += 1;
        self.row_bytes_max = self.row_bytes_max.max(row.len() as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.add(row);
        }
        match self.form {
            Form::Inserts => self.inserts.push(&mut self.block, row)?,
            Form::Encoded => {
                let length = u32::try_from(row.len()).map_err(|_| Error::internal("a row of 4 GiB or more"))?;
                self.block.extend_from_slice(&length.to_le_bytes());
                self.block.extend_from_slice(row);
            }
            Form::Figures => {}
        }
        if self.block.len() >= BLOCK_BYTES {
            self.hand_over();
        }
        Ok(self.heard)
    }

    fn hand_over(&mut self) {
        let empty = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
        self.heard &= self.queue.send(Block::Bytes(std::mem::replace(&mut self.block, empty))).is_ok();
    }

    fn figures(&self) -> TableEnd {
        TableEnd {
            rows: self.rows,
            hash: self.hasher.as_ref().map(SetHasher::finish),
            row_bytes_max: self.row_bytes_max,
        }
    }

    fn finish(mut self) -> Option<TableEnd> {
        self.inserts.finish(&mut self.block);
        if !self.block.is_empty() {
            self.hand_over();
        }
        self.heard.then(|| self.figures())
    }
}

/// Writes the encoded rows of a query to a file, each with its length before it.
pub(crate) fn spool(session: &mut Session, sql: &str, path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let what = || format!("writing {}", path.display());
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).doing(what)?;
    let mut out = BufWriter::with_capacity(BLOCK_BYTES, file);
    let mut row = Vec::new();
    session.each(sql, &mut |values| {
        rows::encode(&mut row, &values)?;
        let length = u32::try_from(row.len()).map_err(|_| Error::internal("a row of 4 GiB or more"))?;
        out.write_all(&length.to_le_bytes()).and_then(|()| out.write_all(&row)).doing(what)?;
        Ok(true)
    })?;
    out.flush().doing(what)
}

fn each_spooled(path: &Path, take: &mut dyn FnMut(&[u8]) -> Result<bool>) -> Result<()> {
    let what = || format!("reading {}", path.display());
    let mut file = BufReader::with_capacity(BLOCK_BYTES, File::open(path).doing(what)?);
    let size_bytes = file.get_ref().metadata().doing(what)?.len();
    let (mut at, mut row) = (0, Vec::new());
    while at < size_bytes {
        let mut length = [0; 4];
        file.read_exact(&mut length).doing(what)?;
        row.resize(u32::from_le_bytes(length) as usize, 0);
        file.read_exact(&mut row).doing(what)?;
        at += 4 + row.len() as u64;
        if !take(&row)? {
            break;
        }
    }
    Ok(())
}

/// A table's queue as content of an entry; its figures are there at the end.
pub(crate) struct QueueReader<'a> {
    queue: &'a Receiver<Block>,
    progress: &'a dyn Progress,
    block: Vec<u8>,
    at: usize,
    /// What the end brought; an error is handed on once as `io::Error` and kept here for the source.
    pub end: Option<Result<TableEnd>>,
}

impl<'a> QueueReader<'a> {
    /// Reads from its start.
    pub fn new(queue: &'a Receiver<Block>, progress: &'a dyn Progress) -> Self {
        Self { queue, progress, block: Vec::new(), at: 0, end: None }
    }
}

impl Read for QueueReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.block.len() {
            match &self.end {
                Some(Ok(_)) => return Ok(0),
                Some(Err(_)) => return Err(std::io::Error::other("the table could not be read")),
                None => {}
            }
            if let Err(cancelled) = self.progress.check_cancelled() {
                self.end = Some(Err(cancelled));
                continue;
            }
            match self.queue.recv() {
                Ok(Block::Bytes(block)) => {
                    (self.block, self.at) = (block, 0);
                }
                Ok(Block::End(end)) => self.end = Some(Ok(end)),
                Ok(Block::Failed(error)) => self.end = Some(Err(error)),
                Err(_) => self.end = Some(Err(Error::internal("a table's reader ended without a word"))),
            }
        }
        let length = buffer.len().min(self.block.len() - self.at);
        buffer[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
