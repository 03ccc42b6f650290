//! The figures of a SQLite file that nobody writes: the same code for the copy that is backed up and for what a restore made.
//!
//! Two threads share the work. Large tables are cut by row id; the parts of a table's hash add up. Rows are read from their
//! pages where that can be done (see `pages`), and through SQLite where not: what they come to is the same.

use super::integrity::{self, Findings};
use super::open::open_immutable;
use super::pages::{self, PageFile, PlainTable};
use super::rows::{Encoding, Rows};
use super::schema::{self, Facts, Object, TableShape};
use crate::export::ValueRef;
use crate::hash::SetHasher;
use crate::manifest::{DatabaseFigures, TableFigures};
use crate::{Error, Result};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vault::Progress;

/// Connections that read at the same time.
const THREADS: usize = 2;

/// Row ids below which a table is not cut.
const PIECE_ROWS_MIN: i128 = 65_536;

/// Pieces of a large table.
const PIECES_MAX: i128 = 16;

/// Rows between two looks at whether to stop.
const ROWS_PER_LOOK: u64 = 8192;

/// What a look at a whole file brings.
pub(crate) struct Measured {
    pub(crate) figures: DatabaseFigures,
    pub(crate) findings: Findings,
}

/// Checks the file and counts and hashes everything in it. What is wrong with it is said of `original`: a copy is damaged
/// when its original is.
pub(crate) fn measure(path: &Path, original: &Path, hash_key: [u8; 32], progress: &dyn Progress) -> Result<Measured> {
    let connection = open_immutable(path)?;
    let objects = schema::objects(&connection, original)?;
    let facts = schema::facts(&connection, original)?;
    let tables = objects.iter().filter(|object| object.is_table());
    let (tables, roots): (Vec<_>, Vec<_>) = tables
        .map(|object| Ok((schema::shape(&connection, original, &object.name)?, object.root)))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let encoding = Encoding::from_pragma(&facts.encoding);
    let plain = |(shape, root)| PlainTable::new(shape, root).filter(|_| encoding == Encoding::Utf8);
    let shared = Shared {
        path,
        original,
        encoding,
        plain: tables.iter().zip(roots).map(plain).collect(),
        progress,
        queue: Mutex::new(plan(&connection, &tables)),
        hashers: Mutex::new(vec![SetHasher::new(hash_key); tables.len()]),
        findings: Mutex::new(Findings::default()),
        hash_key,
        tables,
    };
    drop(connection);
    std::thread::scope(|scope| {
        let workers = (0..THREADS).map(|_| scope.spawn(|| shared.work())).collect::<Vec<_>>();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::internal("measuring a database ended abruptly")))
        })
    })?;
    Ok(shared.into_measured(&objects, &facts))
}

/// One thing to do.
enum Work {
    Integrity,
    ForeignKeys,
    Rows { table: usize, between: Option<(i64, i64)> },
}

/// The whole work, longest and indivisible first.
fn plan(connection: &Connection, tables: &[TableShape]) -> VecDeque<Work> {
    let mut queue = VecDeque::from([Work::Integrity]);
    for (at, table) in tables.iter().enumerate() {
        match rowid_range(connection, table) {
            Some((low, high)) => {
                queue.extend(pieces(low, high).map(|piece| Work::Rows { table: at, between: Some(piece) }));
            }
            None => queue.push_back(Work::Rows { table: at, between: None }),
        }
    }
    queue.push_back(Work::ForeignKeys);
    queue
}

/// The smallest and largest row id; `None` where the table is read as a whole anyway.
fn rowid_range(connection: &Connection, table: &TableShape) -> Option<(i64, i64)> {
    let rowid = table.rowid?;
    let sql = format!(
        "SELECT (SELECT min({rowid}) FROM {0}), (SELECT max({rowid}) FROM {0})",
        schema::qualified(&table.name)
    );
    connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

/// Cuts a range of row ids into pieces that cover it exactly.
fn pieces(low: i64, high: i64) -> impl Iterator<Item = (i64, i64)> {
    let span = i128::from(high) - i128::from(low) + 1;
    let count = (span / PIECE_ROWS_MIN).clamp(1, PIECES_MAX);
    // Both ends lie within the range of i64 that was given.
    (0..count).map(move |at| {
        let edge = |at: i128| i128::from(low) + span * at / count;
        (edge(at) as i64, (edge(at + 1) - 1) as i64)
    })
}

/// What the threads share.
struct Shared<'a> {
    path: &'a Path,
    original: &'a Path,
    encoding: Encoding,
    progress: &'a dyn Progress,
    hash_key: [u8; 32],
    tables: Vec<TableShape>,
    /// Those of the tables whose pages can be read.
    plain: Vec<Option<PlainTable>>,
    queue: Mutex<VecDeque<Work>>,
    hashers: Mutex<Vec<SetHasher>>,
    findings: Mutex<Findings>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn work(&self) -> Result<()> {
        let connection = open_immutable(self.path)?;
        let pages = PageFile::open(self.path);
        loop {
            let work = lock(&self.queue).pop_front();
            let done = match work {
                None => return Ok(()),
                Some(Work::Integrity) => integrity::check(&connection, self.original, &self.tables)
                    .map(|found| lock(&self.findings).join(found)),
                Some(Work::ForeignKeys) => {
                    let warnings = integrity::foreign_keys(&connection);
                    lock(&self.findings).warnings.extend(warnings);
                    Ok(())
                }
                Some(Work::Rows { table, between }) => self.hash_rows(&connection, pages.as_ref(), table, between),
            };
            if done.is_err() {
                lock(&self.queue).clear();
                return done;
            }
        }
    }

    fn hash_rows(
        &self,
        connection: &Connection,
        pages: Option<&PageFile>,
        table: usize,
        between: Option<(i64, i64)>,
    ) -> Result<()> {
        let hasher = match (pages, &self.plain[table]) {
            (Some(pages), Some(plain)) => self.hash_pages(pages, plain, between)?,
            _ => None,
        };
        let hasher = hasher.map_or_else(|| self.hash_through_sqlite(connection, table, between), Ok)?;
        lock(&self.hashers)[table].join(&hasher);
        Ok(())
    }

    /// `None` where the pages do not say enough.
    fn hash_pages(
        &self,
        pages: &PageFile,
        table: &PlainTable,
        between: Option<(i64, i64)>,
    ) -> Result<Option<SetHasher>> {
        let mut rows = RowHasher::new(self);
        let all = between.unwrap_or((i64::MIN, i64::MAX));
        let known = pages::for_each(pages, table, all, |values| rows.add(values))?;
        Ok(known.then_some(rows.hasher))
    }

    fn hash_through_sqlite(
        &self,
        connection: &Connection,
        table: usize,
        between: Option<(i64, i64)>,
    ) -> Result<SetHasher> {
        let mut hasher = RowHasher::new(self);
        let rows = Rows::new(self.original, &self.tables[table], self.encoding);
        rows.for_each(connection, between, |values| hasher.add(values))?;
        Ok(hasher.hasher)
    }

    fn into_measured(self, objects: &[Object], facts: &Facts) -> Measured {
        let hashers = self.hashers.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tables = self.tables.into_iter().zip(hashers).map(|(shape, hasher)| TableFigures {
            schema: None,
            name: shape.name,
            rows: hasher.count(),
            content_hash: Some(hasher.finish()),
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
        };
        let mut findings = self.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.warnings.sort();
        Measured { figures, findings }
    }
}

/// Hashes rows, one way or the other.
struct RowHasher<'a> {
    hasher: SetHasher,
    encoded: Vec<u8>,
    progress: &'a dyn Progress,
}

impl<'a> RowHasher<'a> {
    fn new(shared: &Shared<'a>) -> Self {
        Self { hasher: SetHasher::new(shared.hash_key), encoded: Vec::new(), progress: shared.progress }
    }

    fn add<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) -> Result<()> {
        self.encoded.clear();
        values.for_each(|value| encode(&mut self.encoded, value));
        self.hasher.add(&self.encoded);
        if self.hasher.count().is_multiple_of(ROWS_PER_LOOK) { self.progress.check_cancelled() } else { Ok(()) }
    }
}

/// The canonical encoding of a value: its storage class, its length where it has one, its bytes.
fn encode(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut bytes = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        ValueRef::Null => out.push(b'N'),
        ValueRef::Text(text) => bytes(b'T', text.as_bytes()),
        ValueRef::RawText(raw) => bytes(b'T', raw),
        ValueRef::Blob(blob) => bytes(b'B', blob),
        ValueRef::Real(x) => {
            out.push(b'R');
            out.extend_from_slice(&x.to_bits().to_le_bytes());
        }
        ValueRef::Integer(n) => {
            out.push(b'I');
            out.extend_from_slice(&n.to_le_bytes());
        }
        // SQLite has none of these.
        ValueRef::Unsigned(_) | ValueRef::Decimal(_) | ValueRef::Bool(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_cover_every_row_id_once(low in any::<i64>(), span in prop_oneof![0..1_000_000_i64, any::<i64>()]) {
            let high = low.saturating_add(span.saturating_abs());
            let pieces = pieces(low, high).collect::<Vec<_>>();
            prop_assert_eq!((pieces[0].0, pieces[pieces.len() - 1].1), (low, high));
            for pair in pieces.windows(2) {
                prop_assert_eq!(i128::from(pair[0].1) + 1, i128::from(pair[1].0));
            }
        }
    }
}
