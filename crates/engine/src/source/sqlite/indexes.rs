//! Whether the indexes of a table say what the table says, found in passing: each row adds what its entries would hash to,
//! each entry takes its own hash away, and nothing may remain. SQLite's `integrity_check` looks every row up in every index
//! instead, which is three quarters of its time. (What else it does: [`structure`](super::pages) and [`rules`](super::rules).)
//!
//! Invariant: an index that is found good holds exactly the entries of its table, in order, and no key twice where it is
//! unique. A table of which that cannot be said is left to `integrity_check`, which has the last word either way.
//!
//! Ordinary indexes over columns in binary order only: not over expressions, part of the rows, or other collations.

use super::measure::encode;
use super::pages::{PageFile, PlainTable, entries};
use super::record::{Column, Values};
use super::schema::{Object, TableShape};
use crate::Result;
use crate::export::ValueRef;
use foldhash::quality::RandomState;
use rusqlite::Connection;
use std::cmp::Ordering;
use std::hash::BuildHasher as _;
use std::ops::Range;
use vault::Progress;

/// Entries between two looks at whether to stop.
const ENTRIES_PER_LOOK: i64 = 65_536;

/// An index whose entries are known from the rows of its table.
pub(super) struct PlainIndex {
    root: u32,
    unique: bool,
    /// The fields of the key, then the row id.
    fields: Vec<Field>,
    /// How these are stored.
    stored: Vec<Column>,
}

struct Field {
    /// Where its value stands in a row.
    place: usize,
    descending: bool,
    in_key: bool,
}

/// All indexes of a table; `None` where SQLite has to be asked.
pub(super) fn plain_indexes(
    connection: &Connection,
    shape: &TableShape,
    table: Option<&PlainTable>,
    objects: &[Object],
) -> Option<Vec<PlainIndex>> {
    let listed = || -> rusqlite::Result<Vec<(String, bool, bool)>> {
        let sql = "SELECT name, \"unique\", partial FROM pragma_index_list(?1, 'main')";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([&shape.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    let listed = listed().ok()?;
    if listed.is_empty() && !shape.without_rowid {
        return Some(Vec::new());
    }
    let plain = |(name, unique, partial): (String, bool, bool)| {
        let object = objects.iter().find(|object| object.kind == "index" && object.name == name)?;
        let (fields, stored) = fields(connection, &name, table?)?;
        let root = u32::try_from(object.root).ok().filter(|_| !partial)?;
        Some(PlainIndex { root, unique, fields, stored })
    };
    listed.into_iter().map(plain).collect()
}

fn fields(connection: &Connection, index: &str, table: &PlainTable) -> Option<(Vec<Field>, Vec<Column>)> {
    let read = || -> rusqlite::Result<Vec<(i64, bool, String, bool)>> {
        let sql = "SELECT cid, desc, coll, key FROM pragma_index_xinfo(?1, 'main') ORDER BY seqno";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([index], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect()
    };
    let field = |(column, descending, collation, in_key): (i64, bool, String, bool)| {
        // -1 is the row id, -2 an expression.
        let (place, stored) = table.place((column != -1).then(|| usize::try_from(column)).transpose().ok()?)?;
        // A column that is the row id holds NULL in the table, not in its indexes.
        let stored = if stored == Column::RowId { Column::AsStored } else { stored };
        (collation == "BINARY").then_some((Field { place, descending, in_key }, stored))
    };
    read().ok()?.into_iter().map(field).collect()
}

/// What rows and entries come to when they are set against each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Balance {
    hashes: u64,
    count: i64,
}

impl Balance {
    /// Each row has its entry, and each entry its row.
    pub(super) fn is_even(self) -> bool {
        self == Self::default()
    }

    pub(super) fn join(&mut self, other: Self) {
        self.hashes = self.hashes.wrapping_add(other.hashes);
        self.count += other.count;
    }
}

/// Sets rows against entries. One key for all: it is random, and never leaves the process.
pub(super) struct Weigher<'a> {
    key: &'a RandomState,
    entry: Vec<u8>,
}

impl<'a> Weigher<'a> {
    pub(super) const fn new(key: &'a RandomState) -> Self {
        Self { key, entry: Vec::new() }
    }

    /// Adds the entry that a row ought to have. `places` says where each of its values stands in `row`.
    pub(super) fn add_row(&mut self, balance: &mut Balance, index: &PlainIndex, row: &[u8], places: &[Range<usize>]) {
        self.entry.clear();
        for field in &index.fields {
            if let Some(value) = places.get(field.place).and_then(|place| row.get(place.clone())) {
                self.entry.extend_from_slice(value);
            }
        }
        balance.join(Balance { hashes: self.key.hash_one(&self.entry), count: 1 });
    }

    /// Takes all entries of an index away; `None` where they are not known, or not as they must be.
    pub(super) fn take_entries(
        &mut self,
        file: &PageFile,
        index: &PlainIndex,
        progress: &dyn Progress,
    ) -> Result<Option<Balance>> {
        let (mut balance, mut before) = (Balance::default(), Vec::new());
        let known = entries(file, index.root, |record| {
            let Some(mut values) = index.values(record) else { return Ok(false) };
            self.entry.clear();
            values.by_ref().for_each(|value| encode(&mut self.entry, value));
            let in_order = balance.count == 0 || index.follows(&before, record);
            if !values.is_finished() || !in_order {
                return Ok(false);
            }
            before.clear();
            before.extend_from_slice(record);
            balance.join(Balance { hashes: self.key.hash_one(&self.entry).wrapping_neg(), count: -1 });
            if balance.count % ENTRIES_PER_LOOK == 0 {
                progress.check_cancelled()?;
            }
            Ok(true)
        })?;
        Ok(known.then_some(balance))
    }
}

impl PlainIndex {
    fn values<'v>(&'v self, record: &'v [u8]) -> Option<Values<'v>> {
        Values::new(&self.stored, false, 0, record)
    }

    /// Whether an entry may stand behind another.
    fn follows(&self, before: &[u8], after: &[u8]) -> bool {
        let (Some(before), Some(after)) = (self.values(before), self.values(after)) else { return false };
        let mut unique = self.unique;
        for ((field, before), after) in self.fields.iter().zip(before).zip(after) {
            if unique && !field.in_key {
                return false;
            }
            unique &= !matches!(after, ValueRef::Null);
            match compare(before, after) {
                Ordering::Equal => {}
                order => return (order == Ordering::Greater) == field.descending,
            }
        }
        false
    }
}

/// SQLite's order of values (<https://sqlite.org/datatype3.html#sort_order>), text by its bytes.
fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    let class = |value: &ValueRef<'_>| match value {
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) | ValueRef::RawText(_) => 2,
        ValueRef::Blob(_) => 3,
        _ => 0,
    };
    match (&a, &b) {
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(b),
        (ValueRef::Real(a), ValueRef::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (&ValueRef::Integer(a), &ValueRef::Real(b)) => compare_mixed(a, b),
        (&ValueRef::Real(a), &ValueRef::Integer(b)) => compare_mixed(b, a).reverse(),
        (ValueRef::RawText(a), ValueRef::RawText(b)) | (ValueRef::Blob(a), ValueRef::Blob(b)) => a.cmp(b),
        _ => class(&a).cmp(&class(&b)),
    }
}

/// Exactly, where one of the two cannot be had as the other's type.
fn compare_mixed(whole: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if real >= LIMIT {
        Ordering::Less
    } else if real < -LIMIT {
        Ordering::Greater
    } else {
        // Cut towards zero: what was cut off decides between equals.
        let cut = real as i64;
        whole.cmp(&cut).then_with(|| 0.0_f64.partial_cmp(&(real - cut as f64)).unwrap_or(Ordering::Equal))
    }
}

#[cfg(test)]
mod tests;
