//! What a SQLite database consists of, read from `sqlite_schema` and nothing else.
//!
//! Every b-tree is treated as raw rows, the shadow tables of virtual tables among them; virtual tables themselves are
//! never asked, so that modules which this build lacks do no harm.

use super::open::{explain, quote};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::collections::HashSet;
use std::path::Path;

/// One row of `sqlite_schema`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    /// `table`, `index`, `trigger` or `view`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) table: String,
    /// Root page; 0 for what has no b-tree.
    pub(crate) root: i64,
    /// Absent for the indexes that constraints make.
    pub(crate) sql: Option<String>,
}

impl Object {
    /// A table with rows of its own.
    pub(crate) fn is_table(&self) -> bool {
        self.kind == "table" && self.root != 0
    }

    /// A table whose rows a module keeps elsewhere.
    pub(crate) fn is_virtual_table(&self) -> bool {
        self.kind == "table" && self.root == 0
    }
}

/// A table's shape, as far as its rows are concerned.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    pub(crate) name: String,
    /// Columns that hold values of their own, in order: name and declared type.
    pub(crate) columns: Vec<(String, String)>,
    /// Which of these were declared NOT NULL.
    pub(crate) not_null: Vec<bool>,
    /// From here on no column has a default: one that was added after a row is NULL in it.
    pub(crate) null_defaults_from: usize,
    /// Columns computed from others.
    pub(crate) generated: Vec<String>,
    /// Columns of the primary key, in its order.
    pub(crate) primary_key: Vec<String>,
    pub(crate) without_rowid: bool,
    pub(crate) strict: bool,
    /// A name under which the row id can be reached; `None` without row ids, or where columns took all three names.
    pub(crate) rowid: Option<&'static str>,
    /// The row id is the primary key and so stands among the columns.
    pub(crate) rowid_is_column: bool,
}

impl TableShape {
    /// Whether this column is the row id under another name.
    pub(crate) fn is_rowid(&self, column: &str) -> bool {
        self.rowid_is_column && self.primary_key.first().is_some_and(|key| key == column)
    }

    /// The row id's name where no column holds it: it has to be kept beside the columns.
    pub(crate) fn hidden_rowid(&self) -> Option<&'static str> {
        self.rowid.filter(|_| !self.rowid_is_column)
    }
}

/// Facts about the database as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) user_version: i64,
    pub(crate) application_id: i64,
    pub(crate) encoding: String,
    pub(crate) page_size: i64,
    pub(crate) auto_vacuum: i64,
    /// `wal` or `rollback`: what the file's header asks for.
    pub(crate) journal_mode: &'static str,
}

/// Every object, in the order in which SQLite keeps them.
pub(crate) fn objects(connection: &Connection, path: &Path) -> Result<Vec<Object>> {
    let read = || -> rusqlite::Result<Vec<Object>> {
        let sql = "SELECT type, name, tbl_name, coalesce(rootpage, 0), sql FROM main.sqlite_schema ORDER BY rowid";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, root: row.get(3)?, sql: row.get(4)? })
        })?;
        rows.collect()
    };
    read().map_err(|cause| match cause {
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => Error::new(
            ErrorKind::Damaged,
            format!("the schema of {} is not text: {cause}", path.display()),
            "Look at it with `sqlite3 FILE .schema`; a native copy of such a database cannot be proven.",
        ),
        other => explain(path, other),
    })
}

/// The shape of a table that has rows of its own.
pub(crate) fn shape(connection: &Connection, path: &Path, name: &str) -> Result<TableShape> {
    read_shape(connection, name).map_err(|cause| explain(path, cause))
}

fn read_shape(connection: &Connection, name: &str) -> rusqlite::Result<TableShape> {
    let (without_rowid, strict) =
        connection.query_row("SELECT wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'", [name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut statement =
        connection.prepare("SELECT name, type, pk, hidden, \"notnull\", dflt_value IS NULL FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")?;
    let rows = statement.query_map([name], |row| {
        let (name, declared_type): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((
            name,
            declared_type,
            row.get::<_, i64>(2)?,
            row.get::<_, i64>(3)?,
            row.get::<_, bool>(4)?,
            row.get::<_, bool>(5)?,
        ))
    })?;
    let (mut columns, mut not_null, mut generated, mut key) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut names, mut null_defaults_from) = (HashSet::new(), 0);
    for row in rows {
        let (name, declared_type, key_position, hidden, is_not_null, null_default) = row?;
        names.insert(name.to_ascii_lowercase());
        if key_position > 0 {
            key.push((key_position, name.clone()));
        }
        if hidden == 0 {
            columns.push((name, declared_type));
            not_null.push(is_not_null);
            if !null_default {
                null_defaults_from = columns.len();
            }
        } else {
            generated.push(name);
        }
    }
    key.sort();
    let primary_key = key.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    let rowid =
        if without_rowid { None } else { ["rowid", "_rowid_", "oid"].into_iter().find(|&n| !names.contains(n)) };
    let rowid_is_column = !without_rowid && primary_key.len() == 1 && !has_key_index(connection, name)?;
    Ok(TableShape {
        name: name.to_owned(),
        columns,
        not_null,
        null_defaults_from,
        generated,
        primary_key,
        without_rowid,
        strict,
        rowid,
        rowid_is_column,
    })
}

/// A primary key that is the row id has no index of its own.
fn has_key_index(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk')";
    connection.query_row(sql, [table], |row| row.get(0))
}

/// Facts about the database as a whole; `journal_mode` is what the file's header asks for.
pub(crate) fn facts(connection: &Connection, path: &Path, journal_mode: &'static str) -> Result<Facts> {
    let number = |name: &str| -> Result<i64> {
        connection.query_row(&format!("PRAGMA main.{name}"), [], |row| row.get(0)).map_err(|cause| explain(path, cause))
    };
    Ok(Facts {
        user_version: number("user_version")?,
        application_id: number("application_id")?,
        encoding: connection
            .query_row("PRAGMA main.encoding", [], |row| row.get(0))
            .map_err(|cause| explain(path, cause))?,
        page_size: number("page_size")?,
        auto_vacuum: number("auto_vacuum")?,
        journal_mode,
    })
}

/// The mode in which a file alone is the database, but for a journal after a crash.
pub(crate) const ROLLBACK: &str = "rollback";

/// What byte 18 of the header, the write version, asks for (<https://sqlite.org/fileformat2.html#file_format_version_numbers>).
/// Only for files that nobody in this process holds a lock on: closing a file gives up all of its POSIX locks.
pub(crate) fn journal_mode(path: &Path) -> Result<&'static str> {
    use std::io::Read as _;
    let mut header = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(20).read_to_end(&mut header))
        .map_err(|cause| Error::io(format_args!("reading {}", path.display()), cause))?;
    Ok(if header.get(18) == Some(&2) { "wal" } else { ROLLBACK })
}

/// `"main"."name"`.
pub(crate) fn qualified(table: &str) -> String {
    format!("\"main\".{}", quote(table))
}
