//! Rows go in through several connections at once, and each table is read back once it is in.
//!
//! A backup is one stream, so only one table is at hand at a time. A table goes whole to a connection that is free, in one
//! transaction that empties and fills it: its rows are frozen, and no vacuum will ever have to write them again. A large table
//! is cut into pieces that all connections take from one queue, each with a `COPY` of its own, where the others had nothing to
//! do or it is a large part of everything: more than one core works at it, but they wait for each other where the file grows,
//! and nothing can be frozen.
//!
//! Rows go first. A connection that has none to take builds indexes and reads back what is in, whoever brought it; so the
//! stream never waits for a table to be read back, and there is work left while the last large table comes. Indexes come
//! before reading back: the server waits for the disk after each, and then the other connections have something to do.

use super::copy_binary::Encoder;
use super::indexes::Index;
use super::rows_in::{Destination, next_piece};
use super::statistics;
use crate::manifest::TableFigures;
use crate::source::postgres::address::Address;
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::{Layout, Table};
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::rows::{self, Reading, Taking};
use crate::source::postgres::sql::identifier;
use crate::{Error, Result};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, never, select_biased, unbounded};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A smaller table is never cut.
const CUT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What came of loading.
#[derive(Default)]
pub struct Loaded {
    /// The connections, for other work.
    pub clients: Vec<Client>,
    /// The figures of tables that were read back, by their numbers.
    pub measured: Vec<(usize, TableFigures)>,
    /// Numbers of the statements that built an index.
    pub built: HashSet<usize>,
}

/// Connections that take rows.
pub struct Loaders {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<Client>>,
    found: Arc<Found>,
    bytes: u64,
}

/// What the connections share.
struct Found {
    reading: Reading,
    own_path: OwnPath,
    failure: Mutex<Option<Error>>,
    /// Nothing is begun any more: a connection failed, or the stream of rows did.
    given_up: AtomicBool,
    measured: Mutex<Vec<(usize, TableFigures)>>,
    built: Mutex<HashSet<usize>>,
    to_read_back: Arc<ToReadBack>,
    /// Connections that are at something.
    working: AtomicUsize,
}

/// A table, or a share in it.
struct Job {
    loading: Arc<Loading>,
    pieces: Receiver<Bytes>,
}

/// A table on its way in.
struct Loading {
    what: String,
    number: usize,
    table: Table,
    encoder: Option<Encoder>,
    /// One connection takes it all, and nobody else had put rows there.
    frozen: bool,
    /// To be built when it is in.
    indexes: Vec<Index>,
    /// Those who still bring rows; the last one says that it is in. None ends before the pieces do, and then all have begun.
    busy: AtomicUsize,
}

/// Indexes to build.
enum Build {
    /// A table's constraints, which shut everybody else out of it, one after the other. What can be done beside others
    /// comes after them, and goes there.
    Constraints(Arc<Loading>, Rest),
    Index(Index),
}

/// Where the rest of the work goes, for connections that have no rows to take.
#[derive(Clone)]
struct Rest {
    builds: Sender<Build>,
    read_backs: Sender<ReadBack>,
    to_read_back: Arc<ToReadBack>,
}

/// One of those that are [to be read back](ToReadBack).
struct ReadBack;

/// Tables to be read back, by their size and number: the largest first, so that what is left for the last is small.
type ToReadBack = Mutex<BTreeMap<(u64, usize), Arc<Loading>>>;

impl Rest {
    /// A table is in.
    fn begin(&self, loading: &Arc<Loading>) {
        if loading.indexes.iter().all(Index::is_built_beside_readers) {
            return self.go_on(loading);
        }
        // As long as somebody may bring rows, or builds constraints, there is a sender, and so somebody who receives.
        drop(self.builds.send(Build::Constraints(Arc::clone(loading), self.clone())));
    }

    /// A table's constraints are built.
    fn go_on(&self, loading: &Arc<Loading>) {
        for index in loading.indexes.iter().filter(|index| index.is_built_beside_readers()) {
            drop(self.builds.send(Build::Index(index.clone())));
        }
        lock(&self.to_read_back).insert((loading.table.bytes, loading.number), Arc::clone(loading));
        drop(self.read_backs.send(ReadBack));
    }
}

impl Loaders {
    /// Connects `connections` times.
    pub fn start(
        address: &Address,
        connections: usize,
        layout: &Layout,
        reading: Reading,
        own_path: OwnPath,
    ) -> Result<Self> {
        let (jobs, queue) = bounded::<Job>(connections);
        let found = Arc::new(Found {
            reading,
            own_path,
            failure: Mutex::default(),
            given_up: AtomicBool::new(false),
            measured: Mutex::default(),
            built: Mutex::default(),
            to_read_back: Arc::default(),
            working: AtomicUsize::new(0),
        });
        let ((builds_in, builds), (read_backs_in, read_backs)) = (unbounded(), unbounded());
        let rest = Rest { builds: builds_in, read_backs: read_backs_in, to_read_back: Arc::clone(&found.to_read_back) };
        let mut threads = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut client = connect(address)?;
            // What is beside the live data need not survive a crash; the last commit of the restore waits for the disk again.
            client
                .batch_execute("SET synchronous_commit = off; SET max_parallel_maintenance_workers = 0")
                .map_err(|error| database("preparing a connection", error))?;
            let vacuum_follows = statistics::prepare(&mut client)?;
            compress_fast(&mut client, layout)?;
            let (queue, found, rest) = (queue.clone(), Arc::clone(&found), Some(rest.clone()));
            let (read_backs, builds) = (read_backs.clone(), builds.clone());
            threads.push(std::thread::spawn(move || {
                let loader = Loader { client: &mut client, found: &found, vacuum_follows, rest };
                loader.work(queue, builds, &read_backs);
                client
            }));
        }
        let bytes = layout.tables.iter().map(|table| table.bytes).fold(0, u64::saturating_add);
        Ok(Self { jobs, threads, found, bytes })
    }

    /// Takes a whole table's COPY text. The indexes are built when the table is in.
    pub fn load(
        &self,
        what: &str,
        number: usize,
        table: &Table,
        with: (Option<Encoder>, Vec<Index>),
        content: &mut dyn Read,
    ) -> Result<()> {
        let handed_over = self.hand_over(what, number, table, with, content);
        handed_over.inspect_err(|_| self.found.given_up.store(true, Ordering::Release))
    }

    fn hand_over(
        &self,
        what: &str,
        number: usize,
        table: &Table,
        (encoder, indexes): (Option<Encoder>, Vec<Index>),
        content: &mut dyn Read,
    ) -> Result<()> {
        let others_idle = self.found.working.load(Ordering::Acquire) == 0;
        let cut = self.threads.len() > 1 && is_cut(table.bytes, self.bytes, others_idle);
        let shares_max = if cut { self.threads.len() } else { 1 };
        let loading = Arc::new(Loading {
            what: what.to_owned(),
            number,
            table: table.clone(),
            encoder,
            // Rows of an extension's own table stand beside those that the extension brought.
            frozen: !cut && table.condition.is_none(),
            indexes,
            busy: AtomicUsize::new(0),
        });
        let (sender, pieces) = bounded(2 * self.threads.len());
        let mut pieces = Some(pieces);
        let mut rest = Vec::new();
        let mut piece = next_piece(what, content, &mut rest)?;
        let mut shares = 0;
        while !piece.is_empty() {
            if let Some(share) = &pieces {
                loading.busy.fetch_add(1, Ordering::AcqRel);
                self.send(&loading, share)?;
                shares += 1;
                if shares == shares_max {
                    // From here on only those who bring rows hold the other end: when all have failed, sending fails too.
                    pieces = None;
                }
            }
            sender.send(piece).map_err(|_| self.why())?;
            if let Some(failed) = lock(&self.found.failure).take() {
                return Err(failed);
            }
            piece = next_piece(what, content, &mut rest)?;
        }
        Ok(())
    }

    fn send(&self, loading: &Arc<Loading>, pieces: &Receiver<Bytes>) -> Result<()> {
        let job = Job { loading: Arc::clone(loading), pieces: pieces.clone() };
        self.jobs.send(job).map_err(|_| self.why())
    }

    /// Waits until everything is in and gives the connections back, with what they found.
    pub fn finish(self) -> Result<Loaded> {
        let Self { jobs, threads, found, .. } = self;
        drop(jobs);
        let clients = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Error::internal("a loader of rows panicked")))
            .collect::<Result<Vec<_>>>()?;
        if let Some(failed) = lock(&found.failure).take() {
            return Err(failed);
        }
        let (measured, built) = (std::mem::take(&mut *lock(&found.measured)), std::mem::take(&mut *lock(&found.built)));
        Ok(Loaded { clients, measured, built })
    }

    fn why(&self) -> Error {
        lock(&self.found.failure).take().unwrap_or_else(|| Error::internal("the loaders of rows are gone"))
    }
}

/// Whether all connections take a table in pieces: where one alone would keep the others waiting, as nothing is left for them
/// to read back, or not enough.
const fn is_cut(table_bytes: u64, all_bytes: u64, others_idle: bool) -> bool {
    table_bytes >= CUT_BYTES_MIN && (others_idle || table_bytes > all_bytes / 2)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Large values are compressed by LZ4, where the server has it and nobody chose: `pglz`, which is only there for being older,
/// takes half of all the time that rows of long texts need.
fn compress_fast(client: &mut Client, layout: &Layout) -> Result<()> {
    const SETTING: &str = "default_toast_compression";
    if layout.database.settings.iter().any(|setting| setting.name == SETTING) {
        return Ok(());
    }
    let statement = format!(
        "SELECT pg_catalog.set_config(name, 'lz4', false) FROM pg_catalog.pg_settings
          WHERE name = '{SETTING}' AND source = 'default' AND 'lz4' = ANY (enumvals)"
    );
    client.batch_execute(&statement).map_err(|error| database("preparing a connection", error))
}

/// One connection at work.
struct Loader<'a> {
    client: &'a mut Client,
    found: &'a Found,
    vacuum_follows: bool,
    /// `None` when no more rows come.
    rest: Option<Rest>,
}

impl Loader<'_> {
    /// Takes rows while some come, and does the rest where none do.
    fn work(mut self, mut jobs: Receiver<Job>, mut builds: Receiver<Build>, read_backs: &Receiver<ReadBack>) {
        loop {
            select_biased! {
                recv(jobs) -> job => match job {
                    Ok(job) => self.at_work(|this| this.take(&job)),
                    Err(_) => {
                        jobs = never();
                        self.no_more_rows();
                    }
                },
                // The others may still add to what is left: it ends when all of them have no more rows and no constraints.
                recv(builds) -> build => match build {
                    Ok(build) => self.build(&build),
                    Err(_) => builds = never(),
                },
                recv(read_backs) -> one => match one {
                    Ok(ReadBack) => self.read_back(),
                    Err(_) => break,
                },
            }
        }
    }

    fn no_more_rows(&mut self) {
        self.rest = None;
        // There may be cores now for more than one process at an index.
        let _ = self.client.batch_execute("RESET max_parallel_maintenance_workers");
    }

    fn build(&mut self, build: &Build) {
        match build {
            Build::Index(index) => self.build_index(index),
            Build::Constraints(loading, rest) => {
                for constraint in loading.indexes.iter().filter(|index| !index.is_built_beside_readers()) {
                    self.build_index(constraint);
                }
                rest.go_on(loading);
            }
        }
    }

    fn build_index(&mut self, index: &Index) {
        self.at_work(|this| {
            if index.build(this.client, &this.found.own_path) {
                lock(&this.found.built).insert(index.number);
            }
            Ok(())
        });
    }

    /// Reads a table back, whoever brought it.
    fn read_back(&mut self) {
        let Some((_, loading)) = lock(&self.found.to_read_back).pop_last() else { return };
        self.at_work(|this| {
            let figures = rows::measure(this.client, &loading.table, &this.found.reading)?;
            lock(&this.found.measured).push((loading.number, figures));
            Ok(())
        });
    }

    /// Jobs that come after a failure are only taken away, so that nobody waits to hand them over.
    fn at_work(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) {
        if self.found.given_up.load(Ordering::Acquire) {
            return;
        }
        self.found.working.fetch_add(1, Ordering::AcqRel);
        let done = work(self);
        self.found.working.fetch_sub(1, Ordering::AcqRel);
        if let Err(error) = done {
            lock(&self.found.failure).get_or_insert(error);
            self.found.given_up.store(true, Ordering::Release);
        }
    }

    /// Brings a share of a table in, and leaves the rest to be done if nobody else is still at it.
    fn take(&mut self, job: &Job) -> Result<()> {
        let Loading { what, table, encoder, frozen, busy, .. } = &*job.loading;
        let client = &mut *self.client;
        if let Ok(first) = job.pieces.recv() {
            let taking = Taking { frozen: *frozen, raw_bytes: self.found.reading.raw_bytes, binary: false };
            let destination = Destination { what, table, taking, encoder: encoder.as_ref() };
            let copy = |client: &mut Client| destination.copy(client, &first, || Ok(job.pieces.recv().ok()));
            if *frozen {
                fill_emptied(client, &destination, copy, &self.found.own_path)?;
            } else {
                self.found.own_path.attempt(client, Some(&identifier(&table.schema)), copy)?;
            }
        }
        if busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Before its indexes: the server does not make both at once.
            statistics::gather_first(client, table, self.vacuum_follows)?;
            if let Some(rest) = &self.rest {
                rest.begin(&job.loading);
            }
        }
        Ok(())
    }
}

/// Empties a table and fills it, both in one transaction.
fn fill_emptied(
    client: &mut Client,
    destination: &Destination<'_>,
    copy: impl Fn(&mut Client) -> Result<Result<()>>,
    own_path: &OwnPath,
) -> Result<()> {
    let Destination { what, table, .. } = destination;
    let run =
        |client: &mut Client, statement: &str| client.batch_execute(statement).map_err(|error| database(*what, error));
    let begin = format!("BEGIN; TRUNCATE ONLY {}", table.qualified());
    own_path.attempt(client, Some(&identifier(&table.schema)), |client| {
        run(client, &begin)?;
        copy(client).inspect_err(|_| {
            // Where that fails too, the connection is lost, and the next attempt says so.
            let _ = run(client, "ROLLBACK");
        })
    })?;
    run(client, "COMMIT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_cut_where_others_would_wait() {
        assert!(!is_cut(CUT_BYTES_MIN - 1, CUT_BYTES_MIN, true), "small");
        assert!(is_cut(CUT_BYTES_MIN, 100 * CUT_BYTES_MIN, true), "the others have nothing to do");
        assert!(!is_cut(CUT_BYTES_MIN, 100 * CUT_BYTES_MIN, false), "the others read back");
        assert!(!is_cut(CUT_BYTES_MIN, 2 * CUT_BYTES_MIN, false), "half of everything: the others build indexes");
        assert!(is_cut(CUT_BYTES_MIN, CUT_BYTES_MIN + 1, false), "most of everything");
    }
}
