//! What a database says of itself, and the work of measuring it, planned from that: before anything is read, and while it
//! cannot change. Large tables are cut by row id.

use super::indexes::{PlainIndex, plain_indexes};
use super::integrity::{self, Reach};
use super::pages::{PlainTable, Tree};
use super::rows::Encoding;
use super::rules::Rule;
use super::schema::{self, Facts, Object, TableShape};
use crate::Result;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::Path;

/// Row ids below which a table is not cut.
const PIECE_ROWS_MIN: i128 = 65_536;

/// Pieces of a large table.
const PIECES_MAX: i128 = 16;

/// What a database says of itself, before anything is read.
pub(crate) struct Prelude {
    pub(super) objects: Vec<Object>,
    pub(super) facts: Facts,
    pub(super) tables: Vec<Table>,
    pub(super) work: VecDeque<Work>,
    /// `None` where there are virtual tables, whose modules SQLite asks.
    pub(super) trees: Option<Vec<Tree>>,
}

impl Prelude {
    /// `journal_mode` is what the header of the file asks for. What is wrong is said of `original`.
    pub(super) fn read(connection: &Connection, original: &Path, journal_mode: &'static str) -> Result<Self> {
        let objects = schema::objects(connection, original)?;
        let facts = schema::facts(connection, original, journal_mode)?;
        let encoding = Encoding::from_pragma(&facts.encoding);
        let tables = objects.iter().filter(|object| object.is_table());
        let tables = tables.map(|object| Table::new(connection, original, object, &objects, encoding));
        let tables = tables.collect::<Result<Vec<_>>>()?;
        let (work, trees) = (plan(connection, &tables), trees(&objects, &tables));
        Ok(Self { objects, facts, tables, work, trees })
    }

    /// Whether there are rows that are read through SQLite, for which nobody should be kept waiting.
    pub(super) fn needs_copy(&self) -> bool {
        self.tables.iter().any(|table| table.plain.is_none())
    }

    pub(super) fn page_size_bytes(&self) -> u32 {
        u32::try_from(self.facts.page_size).unwrap_or_default()
    }
}

/// A table, and what of it can be read past SQLite.
pub(super) struct Table {
    pub(super) shape: TableShape,
    root: i64,
    pub(super) plain: Option<PlainTable>,
    /// `None` where only SQLite can check them.
    pub(super) indexes: Option<Vec<PlainIndex>>,
    /// What its values have to keep.
    pub(super) rules: Vec<Rule>,
    /// What only SQLite can find out.
    pub(super) asks: Option<Reach>,
}

impl Table {
    fn new(
        connection: &Connection,
        path: &Path,
        object: &Object,
        objects: &[Object],
        encoding: Encoding,
    ) -> Result<Self> {
        let shape = schema::shape(connection, path, &object.name)?;
        let plain = PlainTable::new(&shape, object.root).filter(|_| encoding == Encoding::Utf8);
        let indexes = plain_indexes(connection, &shape, plain.as_ref(), objects);
        let has_checks = object.sql.as_deref().is_some_and(|sql| sql.to_ascii_uppercase().contains("CHECK"));
        let asks = match (&plain, &indexes) {
            (Some(_), Some(_)) => (shape.strict || has_checks).then_some(Reach::Rows),
            _ => Some(Reach::Everything),
        };
        let rules = Rule::of_row(&shape);
        Ok(Self { shape, root: object.root, plain, indexes, rules, asks })
    }
}

/// One thing to do.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// How the pages hang together.
    Structure,
    /// By SQLite.
    CheckTable {
        table: usize,
        reach: Reach,
    },
    ForeignKeys,
    Rows {
        table: usize,
        between: Option<(i64, i64)>,
    },
    Entries {
        table: usize,
        index: usize,
    },
}

/// The whole work, longest and indivisible first.
fn plan(connection: &Connection, tables: &[Table]) -> VecDeque<Work> {
    let mut queue = VecDeque::from([Work::Structure]);
    let asks = tables.iter().enumerate().filter_map(|(table, found)| Some((table, found.asks?)));
    queue.extend(asks.map(|(table, reach)| Work::CheckTable { table, reach }));
    for (at, table) in tables.iter().enumerate() {
        match rowid_range(connection, &table.shape) {
            Some((low, high)) => {
                queue.extend(pieces(low, high).map(|piece| Work::Rows { table: at, between: Some(piece) }));
            }
            None => queue.push_back(Work::Rows { table: at, between: None }),
        }
        let indexes = table.indexes.as_ref().map_or(0, Vec::len);
        queue.extend((0..indexes).map(|index| Work::Entries { table: at, index }));
    }
    if integrity::has_foreign_keys(connection) {
        queue.push_back(Work::ForeignKeys);
    }
    queue
}

/// All b-trees; `None` where there are virtual tables, whose modules SQLite asks.
fn trees(objects: &[Object], tables: &[Table]) -> Option<Vec<Tree>> {
    let tree = |root| {
        let table = tables.iter().find(|table| table.root == root);
        Some(Tree {
            root: u32::try_from(root).ok()?,
            is_table: table.is_some_and(|table| !table.shape.without_rowid),
            leaves_with_rows: table.is_some_and(|table| table.plain.is_some()),
        })
    };
    let trees = objects.iter().map(|object| object.root).filter(|&root| root != 0).map(tree);
    // The schema's own is the first page.
    let schema = Tree { root: 1, is_table: true, leaves_with_rows: false };
    let trees = std::iter::once(Some(schema)).chain(trees);
    if objects.iter().any(Object::is_virtual_table) { None } else { trees.collect() }
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
