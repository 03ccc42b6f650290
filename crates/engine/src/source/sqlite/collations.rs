//! Collations that only the application has.
//!
//! A table without row ids lies in the order of its primary key, and SQLite opens it with that key's collation or not at all,
//! even for a scan that compares nothing. So its rows are read on a connection of their own, where stand-ins bear the names.
//!
//! Invariant: nothing is checked, sorted or looked up with a stand-in: what compares would take good data for damaged.

use super::open::{explain, open_immutable};
use super::schema::TableShape;
use crate::Result;
use rusqlite::Connection;
use std::path::Path;

/// A connection that can scan the table, if `connection` cannot for want of a collation.
pub(super) fn scanner(connection: &Connection, path: &Path, table: &TableShape) -> Result<Option<Connection>> {
    if !table.without_rowid {
        return Ok(None);
    }
    let failed = |cause| explain(path, cause);
    let names = unknown(connection, &table.name).map_err(failed)?;
    if names.is_empty() {
        return Ok(None);
    }
    // A connection that has met a collation it lacks goes on refusing.
    let scanner = open_immutable(path)?;
    for name in names {
        scanner.create_collation(name.as_str(), str::cmp).map_err(failed)?;
    }
    Ok(Some(scanner))
}

fn unknown(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT DISTINCT x.coll FROM pragma_index_list(?1, 'main') l, pragma_index_xinfo(l.name, 'main') x
                WHERE x.coll COLLATE NOCASE NOT IN ('BINARY', 'NOCASE', 'RTRIM')";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}
