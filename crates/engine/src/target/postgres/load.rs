//! Rows go in through several connections at once.
//!
//! A backup is one stream, so only one table is at hand at a time. Its lines are therefore cut into pieces that all
//! connections take from one queue, each with a `COPY` of its own into the same table; small tables go whole to whoever is
//! free. Indexes come later: rows need not be in order.

use crate::source::postgres::address::Address;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::database;
use crate::source::postgres::rows::copy_failed;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use postgres::Client;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

const PIECE_BYTES: usize = 1024 * 1024;

/// Connections that take rows.
pub struct Loaders {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<Client>>,
    failure: Arc<Mutex<Option<Error>>>,
}

/// A table, or a share in it.
struct Job {
    what: String,
    statement: String,
    pieces: Receiver<Vec<u8>>,
}

impl Loaders {
    /// Connects `connections` times.
    pub fn start(address: &Address, connections: usize) -> Result<Self> {
        let (jobs, queue) = bounded::<Job>(connections);
        let failure = Arc::new(Mutex::new(None));
        let mut threads = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut client = connect(address)?;
            // What is beside the live data need not survive a crash; the last commit of the restore waits for the disk again.
            client
                .batch_execute("SET synchronous_commit = off")
                .map_err(|error| database("preparing a connection", error))?;
            let (queue, failure) = (queue.clone(), Arc::clone(&failure));
            threads.push(std::thread::spawn(move || {
                work(&mut client, &queue, &failure);
                client
            }));
        }
        Ok(Self { jobs, threads, failure })
    }

    /// Takes a whole table's COPY text.
    pub fn load(&self, what: &str, statement: &str, content: &mut dyn Read) -> Result<()> {
        let (sender, pieces) = bounded(2 * self.threads.len());
        let mut rest = Vec::new();
        let mut piece = next_piece(content, &mut rest).map_err(|error| vault::error::from_io(what, error))?;
        let mut shares = 0;
        while !piece.is_empty() {
            if shares < self.threads.len() {
                let job = Job { what: what.to_owned(), statement: statement.to_owned(), pieces: pieces.clone() };
                self.jobs.send(job).map_err(|_| self.why())?;
                shares += 1;
            }
            sender.send(piece).map_err(|_| self.why())?;
            if let Some(failed) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(failed);
            }
            piece = next_piece(content, &mut rest).map_err(|error| vault::error::from_io(what, error))?;
        }
        Ok(())
    }

    /// Waits until everything is in and gives the connections back.
    pub fn finish(self) -> Result<Vec<Client>> {
        let Self { jobs, threads, failure } = self;
        drop(jobs);
        let clients = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Error::internal("a loader of rows panicked")))
            .collect::<Result<Vec<_>>>()?;
        match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failed) => Err(failed),
            None => Ok(clients),
        }
    }

    fn why(&self) -> Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| Error::internal("the loaders of rows are gone"))
    }
}

/// About [`PIECE_BYTES`] of whole lines; what is left of the last line waits in `rest`. Empty at the end.
fn next_piece(content: &mut dyn Read, rest: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut piece = std::mem::take(rest);
    loop {
        let wanted = if piece.len() < PIECE_BYTES { PIECE_BYTES - piece.len() } else { PIECE_BYTES };
        let read = content.take(wanted as u64).read_to_end(&mut piece)?;
        if read < wanted {
            return Ok(piece);
        }
        if let Some(end) = piece.iter().rposition(|&byte| byte == b'\n') {
            *rest = piece.split_off(end + 1);
            return Ok(piece);
        }
    }
}

fn work(client: &mut Client, queue: &Receiver<Job>, failure: &Mutex<Option<Error>>) {
    let mut failed = false;
    while let Ok(job) = queue.recv() {
        // After a failure jobs are only taken away, so that nobody waits to hand them over.
        if failed {
            continue;
        }
        if let Err(error) = copy(client, &job) {
            failed = true;
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}

fn copy(client: &mut Client, job: &Job) -> Result<()> {
    let Ok(first) = job.pieces.recv() else { return Ok(()) };
    let mut writer = client.copy_in(&job.statement).map_err(|error| database(&job.what, error))?;
    let mut written = writer.write_all(&first);
    while written.is_ok() {
        match job.pieces.recv() {
            Ok(piece) => written = writer.write_all(&piece),
            Err(_) => break,
        }
    }
    // Where writing failed, the server's own reason comes out of `finish`.
    let finished = writer.finish();
    match (finished, written) {
        (Err(error), _) => Err(database(&job.what, error)),
        (Ok(_), Err(error)) => Err(copy_failed(&job.what, error)),
        (Ok(_), Ok(())) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_whole_lines_and_nothing_is_lost() {
        let long = "x".repeat(PIECE_BYTES + 5);
        let text: String =
            (0..300_000).map(|n| format!("{n}\tvalue\n")).chain([long, "\n".into(), "end\n".into()]).collect();
        let (mut content, mut rest, mut joined) = (text.as_bytes(), Vec::new(), Vec::new());
        loop {
            let piece = next_piece(&mut content, &mut rest).unwrap();
            if piece.is_empty() {
                break;
            }
            assert_eq!(piece.last(), Some(&b'\n'));
            joined.extend(piece);
        }
        assert!(joined == text.as_bytes());
    }
}
