//! The figures of a SQLite file that nobody writes: the same code for the view that is backed up and for what a restore made.
//!
//! Two threads share the work (`prelude`); the parts of a table's hash add up. Rows are read from their
//! pages where that can be done (see `pages`), and through SQLite where not: what they come to is the same. Indexes are set
//! against the rows in the same pass where that can be done (see `indexes`), and checked by SQLite where not.

use super::collations;
use super::indexes::{Balance, PlainIndex, Weigher};
use super::integrity::{self, Findings, Reach};
use super::open::open_immutable;
use super::pages::{self, PageFile, Places};
use super::prelude::{Prelude, Table, Work};
use super::rows::{Encoding, Rows};
use super::rules::Rule;
use super::schema::{self, Facts, Object};
use super::view::View;
use crate::export::ValueRef;
use crate::hash::{Frame, HashKey, SetHasher};
use crate::manifest::{DatabaseFigures, TableFigures};
use crate::{Error, Result};
use foldhash::quality::RandomState;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vault::Progress;

/// Connections that read at the same time.
const THREADS: usize = 2;

/// Rows between two looks at whether to stop.
const ROWS_PER_LOOK: u64 = 8192;

/// What a look at a whole file brings.
pub(crate) struct Measured {
    pub(crate) figures: DatabaseFigures,
    pub(crate) findings: Findings,
    /// The tables that SQLite was asked about; an empty name stands for the file as a whole.
    pub(crate) asked: Vec<String>,
}

/// Checks the file and counts and hashes everything in it. What is wrong with it is said of `original`: a copy is damaged
/// when its original is.
pub(crate) fn measure(path: &Path, original: &Path, hash_key: HashKey, progress: &dyn Progress) -> Result<Measured> {
    let prelude = Prelude::read(&open_immutable(path)?, original, schema::journal_mode(path)?)?;
    measure_subject(Subject::File(path), &prelude, original, hash_key, progress)
}

/// The same for a view.
pub(super) fn measure_view(
    view: &View,
    prelude: &Prelude,
    original: &Path,
    hash_key: HashKey,
    progress: &dyn Progress,
) -> Result<Measured> {
    measure_subject(Subject::View(view), prelude, original, hash_key, progress)
}

/// What is measured.
#[derive(Clone, Copy)]
enum Subject<'a> {
    File(&'a Path),
    View(&'a View),
}

impl<'a> Subject<'a> {
    fn pages(self) -> Option<PageFile> {
        match self {
            Self::File(path) => PageFile::open(path),
            Self::View(view) => view.pages(),
        }
    }

    /// A file that SQLite may open, which may have to be made first.
    fn path(self) -> Result<&'a Path> {
        match self {
            Self::File(path) => Ok(path),
            Self::View(view) => view.copied(),
        }
    }
}

fn measure_subject(
    subject: Subject<'_>,
    prelude: &Prelude,
    original: &Path,
    hash_key: HashKey,
    progress: &dyn Progress,
) -> Result<Measured> {
    let shared = Shared {
        subject,
        prelude,
        original,
        encoding: Encoding::from_pragma(&prelude.facts.encoding),
        progress,
        hash_key,
        index_key: RandomState::default(),
        places: subject.pages().and_then(|file| Places::new(&file)),
        is_structure_known: AtomicBool::new(false),
        queue: Mutex::new(prelude.work.clone()),
        tallies: prelude.tables.iter().map(|table| Mutex::new(Tally::new(table, hash_key))).collect(),
        findings: Mutex::new(Findings::default()),
        asked: Mutex::new(Vec::new()),
    };
    std::thread::scope(|scope| {
        let workers = (0..THREADS).map(|_| scope.spawn(|| Worker::new(&shared).work())).collect::<Vec<_>>();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::internal("measuring a database ended abruptly")))
        })
    })?;
    Worker::new(&shared).settle()?;
    Ok(shared.into_measured())
}

/// What a table came to so far.
struct Tally {
    hasher: SetHasher,
    /// Of each index.
    balances: Vec<Balance>,
    /// SQLite was asked for everything: the balances no longer matter.
    is_asked: bool,
}

impl Tally {
    fn new(table: &Table, hash_key: HashKey) -> Self {
        let indexes = table.indexes.as_ref().map_or(0, Vec::len);
        Self {
            hasher: SetHasher::new(hash_key),
            balances: vec![Balance::default(); indexes],
            is_asked: table.asks == Some(Reach::Everything),
        }
    }
}

/// What the threads share.
struct Shared<'a> {
    subject: Subject<'a>,
    prelude: &'a Prelude,
    original: &'a Path,
    encoding: Encoding,
    progress: &'a dyn Progress,
    hash_key: HashKey,
    /// Of this run alone: what entries come to is not kept.
    index_key: RandomState,
    places: Option<Places>,
    /// Otherwise the rows' pages tell what is left to be found out about the structure.
    is_structure_known: AtomicBool,
    queue: Mutex<VecDeque<Work>>,
    tallies: Vec<Mutex<Tally>>,
    findings: Mutex<Findings>,
    asked: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the threads.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    pages: Option<PageFile>,
    connection: OnceCell<Connection>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self { shared, pages: shared.subject.pages(), connection: OnceCell::new() }
    }

    /// Opened when it is needed: a view may have to become a copy for it.
    fn connection(&self) -> Result<&Connection> {
        if self.connection.get().is_none() {
            // Set once, by this thread.
            let _ = self.connection.set(open_immutable(self.shared.subject.path()?)?);
        }
        self.connection.get().ok_or_else(|| Error::internal("a connection is gone"))
    }

    /// Where the database lies, if nobody waits for it.
    fn ask_sqlite<T>(&self, question: impl Fn(&Connection) -> Result<T>) -> Result<T> {
        let in_place = match self.shared.subject {
            Subject::View(view) => view.in_place(&question),
            Subject::File(_) => None,
        };
        in_place.unwrap_or_else(|| question(self.connection()?))
    }

    fn work(&self) -> Result<()> {
        loop {
            let work = lock(&self.shared.queue).pop_front();
            let done = match work {
                None => return Ok(()),
                Some(Work::Structure) => self.check_structure(),
                Some(Work::CheckTable { table, reach }) => self.check_table(table, reach),
                Some(Work::ForeignKeys) => self.check_foreign_keys(),
                Some(Work::Rows { table, between }) => self.hash_rows(table, between),
                Some(Work::Entries { table, index }) => self.weigh_entries(table, index),
            };
            if done.is_err() {
                lock(&self.shared.queue).clear();
                return done;
            }
        }
    }

    fn check_structure(&self) -> Result<()> {
        let is_sound = match (&self.pages, &self.shared.prelude.trees, &self.shared.places) {
            (Some(pages), Some(trees), Some(places)) => pages::is_sound(pages, trees, places),
            _ => false,
        };
        self.shared.is_structure_known.store(!is_sound, Ordering::Relaxed);
        if is_sound { Ok(()) } else { self.check_all() }
    }

    fn check_all(&self) -> Result<()> {
        lock(&self.shared.asked).push(String::new());
        let shapes = self.shared.prelude.tables.iter().map(|table| &table.shape);
        let (found, reach) =
            self.ask_sqlite(|connection| integrity::check(connection, self.shared.original, shapes.clone()))?;
        lock(&self.shared.findings).join(found);
        if reach == Reach::Everything {
            self.shared.tallies.iter().for_each(|tally| lock(tally).is_asked = true);
        }
        Ok(())
    }

    fn check_table(&self, table: usize, reach: Reach) -> Result<()> {
        let name = &self.shared.prelude.tables[table].shape.name;
        lock(&self.shared.asked).push(name.clone());
        let original = self.shared.original;
        let found = self.ask_sqlite(|connection| integrity::check_table(connection, original, name, reach))?;
        lock(&self.shared.findings).join(found);
        Ok(())
    }

    fn check_foreign_keys(&self) -> Result<()> {
        let warnings = self.ask_sqlite(|connection| Ok(integrity::foreign_keys(connection)))?;
        lock(&self.shared.findings).warnings.extend(warnings);
        Ok(())
    }

    /// Leaves a table to SQLite after all: something in it was not known, or broke a rule.
    fn ask(&self, table: usize, tally: &mut Tally) {
        if !std::mem::replace(&mut tally.is_asked, true) {
            lock(&self.shared.queue).push_front(Work::CheckTable { table, reach: Reach::Everything });
        }
    }

    /// What was found out of place or balance, SQLite has the last word on.
    fn settle(&self) -> Result<()> {
        let is_structure_known = self.shared.is_structure_known.load(Ordering::Relaxed);
        if !is_structure_known && !self.shared.places.as_ref().is_some_and(Places::are_all_taken) {
            self.check_all()?;
        }
        for (at, tally) in self.shared.tallies.iter().enumerate() {
            let tally = lock(tally);
            if !tally.is_asked && !tally.balances.iter().all(|balance| balance.is_even()) {
                self.check_table(at, Reach::Everything)?;
            }
        }
        Ok(())
    }

    fn hash_rows(&self, table: usize, between: Option<(i64, i64)>) -> Result<()> {
        let shared = self.shared;
        let found = &shared.prelude.tables[table];
        let mut rows = RowHasher::new(shared, found.indexes.as_deref().unwrap_or_default(), &found.rules);
        let known = match (&self.pages, &shared.places, &found.plain) {
            (Some(pages), Some(places), Some(plain)) => {
                let all = between.unwrap_or((i64::MIN, i64::MAX));
                pages::rows(pages, plain, all, places, |values| rows.add(values))?
            }
            _ => false,
        };
        if !known {
            rows = RowHasher::new(shared, &[], &[]);
            let connection = self.connection()?;
            let scanner = collations::scanner(connection, shared.subject.path()?, &found.shape)?;
            Rows::new(shared.original, &found.shape, shared.encoding).for_each(
                scanner.as_ref().unwrap_or(connection),
                between,
                |values| rows.add(values),
            )?;
        }
        let mut tally = lock(&shared.tallies[table]);
        tally.hasher.join(&rows.hasher);
        tally.balances.iter_mut().zip(rows.balances).for_each(|(sum, part)| sum.join(part));
        if !known || rows.broke_rule {
            self.ask(table, &mut tally);
        }
        Ok(())
    }

    fn weigh_entries(&self, table: usize, index: usize) -> Result<()> {
        let shared = self.shared;
        let plain = shared.prelude.tables[table].indexes.as_ref().and_then(|indexes| indexes.get(index));
        let balance = match (&self.pages, plain) {
            (Some(pages), Some(plain)) => {
                Weigher::new(&shared.index_key).take_entries(pages, plain, shared.progress)?
            }
            _ => None,
        };
        let mut tally = lock(&shared.tallies[table]);
        match balance {
            Some(balance) => tally.balances[index].join(balance),
            None => self.ask(table, &mut tally),
        }
        Ok(())
    }
}

impl Shared<'_> {
    fn into_measured(self) -> Measured {
        let Prelude { objects, facts, tables, .. } = self.prelude;
        let tallies = self.tallies.into_iter().map(|tally| tally.into_inner().unwrap_or_else(PoisonError::into_inner));
        let tables = tables.iter().zip(tallies).map(|(table, tally)| TableFigures {
            schema: None,
            name: table.shape.name.clone(),
            rows: tally.hasher.count(),
            content_hash: Some(tally.hasher.finish()),
        });
        let mut tables = tables.collect::<Vec<_>>();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        let figures = DatabaseFigures {
            engine: "sqlite".to_owned(),
            engine_version: rusqlite::version().to_owned(),
            schema_hash: schema_hash(objects),
            tables,
            objects: count_objects(objects),
            values: values(facts),
            image_seal: None,
            partitioned: Vec::new(),
        };
        let mut findings = self.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        for lines in [&mut findings.warnings, &mut findings.json_obstacles] {
            // A table that was checked twice is warned of once.
            lines.sort();
            lines.dedup();
        }
        let asked = self.asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Measured { figures, findings, asked }
    }
}

/// Hashes rows, one way or the other, and weighs them.
struct RowHasher<'a> {
    hasher: SetHasher,
    frame: Frame,
    /// Where each value stands in the row's encoding.
    places: Vec<Range<usize>>,
    indexes: &'a [PlainIndex],
    rules: &'a [Rule],
    broke_rule: bool,
    balances: Vec<Balance>,
    weigher: Weigher<'a>,
    progress: &'a dyn Progress,
}

impl<'a> RowHasher<'a> {
    fn new(shared: &'a Shared<'_>, indexes: &'a [PlainIndex], rules: &'a [Rule]) -> Self {
        Self {
            hasher: SetHasher::new(shared.hash_key),
            frame: Frame::new(),
            places: Vec::new(),
            indexes,
            rules,
            broke_rule: false,
            balances: vec![Balance::default(); indexes.len()],
            weigher: Weigher::new(&shared.index_key),
            progress: shared.progress,
        }
    }

    fn add<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) -> Result<()> {
        let row = self.frame.begin();
        self.places.clear();
        for value in values {
            let start = row.len();
            self.broke_rule |= self.rules.get(self.places.len()).is_some_and(|rule| !rule.is_kept_by(&value));
            encode(row, value);
            self.places.push(start..row.len());
        }
        for (index, balance) in self.indexes.iter().zip(&mut self.balances) {
            self.weigher.add_row(balance, index, row, &self.places);
        }
        self.hasher.add_framed(&mut self.frame);
        if self.hasher.count().is_multiple_of(ROWS_PER_LOOK) { self.progress.check_cancelled() } else { Ok(()) }
    }
}

/// The canonical encoding of a value: its storage class, its length where it has one, its bytes.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, value: ValueRef<'_>) {
    // In one piece: there are many values, and most are short.
    let number = |tag: u8, number: u64| {
        let mut tagged = [tag; 9];
        tagged[1..].copy_from_slice(&number.to_le_bytes());
        tagged
    };
    let mut bytes = |tag: u8, bytes: &[u8]| {
        out.extend_from_slice(&number(tag, bytes.len() as u64));
        out.extend_from_slice(bytes);
    };
    match value {
        ValueRef::Null => out.push(b'N'),
        ValueRef::Text(text) => bytes(b'T', text.as_bytes()),
        ValueRef::RawText(raw) => bytes(b'T', raw),
        ValueRef::Blob(blob) => bytes(b'B', blob),
        ValueRef::Real(x) => out.extend_from_slice(&number(b'R', x.to_bits())),
        ValueRef::Integer(n) => out.extend_from_slice(&number(b'I', n.cast_unsigned())),
        // SQLite has none of these.
        ValueRef::Unsigned(_) | ValueRef::Decimal(_) | ValueRef::True | ValueRef::False => {}
    }
}

fn schema_hash(objects: &[Object]) -> String {
    let mut sorted = objects
        .iter()
        .map(|object| {
            [&object.kind, &object.name, &object.table, object.sql.as_deref().unwrap_or("")].map(str::to_owned)
        })
        .collect::<Vec<_>>();
    sorted.sort();
    let mut hash = Sha256::new();
    for field in sorted.iter().flatten() {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hex::encode(hash.finalize())
}

fn count_objects(objects: &[Object]) -> BTreeMap<String, u64> {
    let count = |wanted: &dyn Fn(&Object) -> bool| objects.iter().filter(|object| wanted(object)).count() as u64;
    BTreeMap::from([
        ("indexes".to_owned(), count(&|object| object.kind == "index")),
        ("triggers".to_owned(), count(&|object| object.kind == "trigger")),
        ("views".to_owned(), count(&|object| object.kind == "view")),
        ("virtual tables".to_owned(), count(&Object::is_virtual_table)),
    ])
}

fn values(facts: &Facts) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("user_version".to_owned(), facts.user_version.to_string()),
        ("application_id".to_owned(), facts.application_id.to_string()),
        ("encoding".to_owned(), facts.encoding.clone()),
        ("page_size".to_owned(), facts.page_size.to_string()),
        ("auto_vacuum".to_owned(), facts.auto_vacuum.to_string()),
        ("journal_mode".to_owned(), facts.journal_mode.to_owned()),
    ])
}
