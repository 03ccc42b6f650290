//! Reads a table's rows from its b-tree, bit for bit, in the order of the row id or the primary key.
//!
//! In a UTF-16 database SQLite converts text on the way out and replaces what is not valid. There each value is fetched as
//! its bytes, beside its type.

use super::open::{explain, quote};
use super::schema::{TableShape, qualified};
use crate::export::ValueRef;
use crate::{Error, Result};
use rusqlite::types::ValueRef as Sql;
use rusqlite::{Connection, Row};
use std::path::Path;

/// How the database keeps text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    pub(crate) fn from_pragma(name: &str) -> Self {
        match name {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }
}

/// A table to be read.
pub(crate) struct Rows<'a> {
    path: &'a Path,
    encoding: Encoding,
    columns: usize,
    sql: String,
    rowid: Option<&'static str>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(path: &'a Path, shape: &TableShape, encoding: Encoding) -> Self {
        let names = shape.hidden_rowid().map(str::to_owned).into_iter();
        let names = names.chain(shape.columns.iter().map(|(name, _)| quote(name))).collect::<Vec<_>>();
        let selected = names.iter().map(|name| match encoding {
            Encoding::Utf8 => name.clone(),
            _ => format!("typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"),
        });
        let selected = selected.collect::<Vec<_>>().join(", ");
        // Without an index the scan follows the table's own b-tree: the order we want, without a collation that only
        // the application may have.
        let sql = format!("SELECT {selected} FROM {} NOT INDEXED", qualified(&shape.name));
        Self { path, encoding, columns: names.len(), sql, rowid: shape.rowid }
    }

    /// Calls `row` with each row's values, the hidden row id first where there is one; only those between two row ids
    /// where `between` says so.
    pub(crate) fn for_each(
        &self,
        connection: &Connection,
        between: Option<(i64, i64)>,
        mut row: impl FnMut(&mut dyn Iterator<Item = ValueRef<'_>>) -> Result<()>,
    ) -> Result<()> {
        let failed = |cause| explain(self.path, cause);
        let sql = match (between, self.rowid) {
            (Some((from, to)), Some(rowid)) => format!("{} WHERE {rowid} BETWEEN {from} AND {to}", self.sql),
            _ => self.sql.clone(),
        };
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(found) = rows.next().map_err(failed)? {
            if self.encoding == Encoding::Utf8 {
                row(&mut (0..self.columns).map(|at| plain(found, at)))?;
            } else {
                let texts = (0..self.columns).map(|at| self.decoded(found, at)).collect::<Result<Vec<_>>>()?;
                row(&mut (0..self.columns).map(|at| match &texts[at] {
                    Some(Decoded::Text(text)) => ValueRef::Text(text),
                    Some(Decoded::Raw(bytes)) => ValueRef::RawText(bytes),
                    None => plain(found, at * 2 + 1),
                }))?;
            }
        }
        Ok(())
    }

    /// The text at `at`, when it is one.
    fn decoded(&self, row: &Row<'_>, at: usize) -> Result<Option<Decoded>> {
        let failed = |cause| explain(self.path, cause);
        let kind = row.get_ref(at * 2).map_err(failed)?;
        if kind != Sql::Text(b"text") {
            return Ok(None);
        }
        match row.get_ref(at * 2 + 1).map_err(failed)? {
            Sql::Blob(bytes) => Ok(Some(decode_utf16(bytes, self.encoding))),
            _ => Err(Error::internal("text did not come as bytes")),
        }
    }
}

enum Decoded {
    Text(String),
    Raw(Vec<u8>),
}

fn decode_utf16(bytes: &[u8], encoding: Encoding) -> Decoded {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| match encoding {
        Encoding::Utf16Be => u16::from_be_bytes(pair),
        _ => u16::from_le_bytes(pair),
    });
    match char::decode_utf16(units).collect::<std::result::Result<String, _>>() {
        Ok(text) if rest.is_empty() => Decoded::Text(text),
        _ => Decoded::Raw(bytes.to_vec()),
    }
}

fn plain<'a>(row: &'a Row<'_>, at: usize) -> ValueRef<'a> {
    // The column exists: the statement was made with it.
    match row.get_ref(at).unwrap_or(Sql::Null) {
        Sql::Null => ValueRef::Null,
        Sql::Integer(n) => ValueRef::Integer(n),
        Sql::Real(x) => ValueRef::Real(x),
        Sql::Text(bytes) => ValueRef::text(bytes),
        Sql::Blob(bytes) => ValueRef::Blob(bytes),
    }
}
