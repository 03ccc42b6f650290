//! Several connections read tables ahead of a writer that takes them one after the other.
//!
//! Invariant: pieces wait in memory up to [`WAITING_BYTES_MAX`] in all. The table that the writer is at may always add a few
//! more, whatever the others hold: otherwise readers of later tables could fill the room and all would wait for ever.

use super::client::Client;
use super::layout::Table;
use super::rows::{self, Reading};
use crate::manifest::TableFigures;
use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// All pieces that wait for the writer.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the table that is being written may add to that.
const CURRENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tables on their way from the readers to the writer.
pub struct Prefetch<'a> {
    tables: &'a [Table],
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The table that the writer is at.
    current: usize,
    /// The next table for a reader.
    next: usize,
    waiting_bytes: usize,
    queues: HashMap<usize, Queue>,
    /// The writer has gone.
    stopped: bool,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    end: Option<Result<TableFigures>>,
}

impl<'a> Prefetch<'a> {
    /// Nothing read yet.
    pub fn new(tables: &'a [Table]) -> Self {
        Self { tables, state: Mutex::new(State::default()), changed: Condvar::new() }
    }

    /// Reads tables until none is left. For each worker in a thread of its own.
    pub fn work(&self, client: &mut Client, reading: &Reading) {
        loop {
            let number = {
                let mut state = self.lock();
                if state.stopped || state.next == self.tables.len() {
                    return;
                }
                state.next += 1;
                state.next - 1
            };
            let result = rows::read(client, &self.tables[number], reading, &mut |piece| self.put(number, piece));
            // After a failure the others fail as well, each by itself: the writer must never wait for a table that nobody reads.
            self.lock().queues.entry(number).or_default().end = Some(result);
            self.changed.notify_all();
        }
    }

    /// The writer takes no more.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The rows of a table, in order of the tables.
    pub fn reader(&self, number: usize) -> TableReader<'_, 'a> {
        self.lock().current = number;
        self.changed.notify_all();
        TableReader { prefetch: self, number, piece: Vec::new(), at: 0, figures: None }
    }

    fn put(&self, number: usize, piece: Vec<u8>) -> bool {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return false;
            }
            let own = state.queues.get(&number).map_or(0, |queue| queue.bytes);
            let room = state.waiting_bytes < WAITING_BYTES_MAX || (state.current == number && own < CURRENT_BYTES_MAX);
            if room {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting_bytes += piece.len();
        let queue = state.queues.entry(number).or_default();
        queue.bytes += piece.len();
        queue.pieces.push_back(piece);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// The next piece, or the table's end.
    fn take(&self, number: usize) -> Piece {
        let mut state = self.lock();
        loop {
            let queue = state.queues.entry(number).or_default();
            if let Some(piece) = queue.pieces.pop_front() {
                queue.bytes -= piece.len();
                state.waiting_bytes -= piece.len();
                drop(state);
                self.changed.notify_all();
                return Piece::Rows(piece);
            }
            if let Some(end) = queue.end.take() {
                state.queues.remove(&number);
                return Piece::End(end);
            }
            if state.stopped {
                return Piece::End(Err(Error::new(ErrorKind::Cancelled, "reading tables was stopped", "")));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Piece {
    Rows(Vec<u8>),
    End(Result<TableFigures>),
}

/// The rows of one table as a stream.
pub struct TableReader<'p, 'a> {
    prefetch: &'p Prefetch<'a>,
    number: usize,
    piece: Vec<u8>,
    at: usize,
    figures: Option<Result<TableFigures>>,
}

impl TableReader<'_, '_> {
    /// The next piece of whole lines, or `None` at the end, which may be a failure: see [`Self::finish`].
    pub fn next_piece(&mut self) -> Option<Vec<u8>> {
        if self.figures.is_some() {
            return None;
        }
        match self.prefetch.take(self.number) {
            Piece::Rows(piece) => Some(piece),
            Piece::End(end) => {
                self.figures = Some(end);
                None
            }
        }
    }

    /// The database's error, if it is one that ended the stream.
    pub fn failure(self) -> Option<Error> {
        self.figures.and_then(Result::err)
    }

    /// Passes over what was not read, and tells what the table came to.
    pub fn finish(mut self) -> Result<TableFigures> {
        while self.next_piece().is_some() {}
        self.figures.take().unwrap_or_else(|| Err(Error::internal("a table ended twice")))
    }
}

impl Read for TableReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.next_piece() {
                Some(piece) => (self.piece, self.at) = (piece, 0),
                None if matches!(self.figures, Some(Err(_))) => {
                    // The error itself comes out of `finish`.
                    return Err(Error::new(ErrorKind::Database, "the table could not be read to its end", "").into());
                }
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Counts and hashes of all tables, read by all the clients at once; nothing is kept.
pub fn figures(clients: &mut [Client], tables: &[Table], reading: &Reading) -> Result<Vec<TableFigures>> {
    // The largest first: the last table to be read should be a small one.
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(tables[number].bytes));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(tables.len()));
    std::thread::scope(|scope| {
        let workers: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(|| {
                    while let Some(&number) = order.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        let figures = rows::measure(client, &tables[number], reading)?;
                        found.lock().unwrap_or_else(PoisonError::into_inner).push((number, figures));
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::internal("a reader of tables panicked")))
        })
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, figures)| figures).collect())
}
