//! The rows of a table, by `COPY` in text format, hashed and counted as they pass.
//!
//! A row's canonical encoding is its line of `COPY` text: with the session's settings pinned it is the same on every server,
//! whatever order the rows come in.

use super::client::Client;
use super::layout::Table;
use super::sql;
use crate::hash::{HashKey, SetHasher};
use crate::manifest::TableFigures;
use crate::{Error, ErrorKind, Result};

/// Rows are handed on in pieces of about this size.
pub const PIECE_BYTES: usize = 256 * 1024;

/// How a table is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Key of the content hashes.
    pub hash_key: HashKey,
    /// In key order, so that a repository finds what it knows.
    pub ordered: bool,
    /// A SQL_ASCII database: bytes pass as they are.
    pub raw_bytes: bool,
}

impl Reading {
    fn copy_statement(&self, table: &Table) -> String {
        let encoding = if self.raw_bytes { " WITH (ENCODING 'SQL_ASCII')" } else { "" };
        let order = self.ordered && !table.key.is_empty();
        let condition = table.condition.as_deref().filter(|condition| !condition.is_empty());
        if table.columns.is_empty() || (!order && condition.is_none()) {
            return format!("COPY {}{} TO STDOUT{encoding}", table.qualified(), table.column_list());
        }
        let condition = condition.map_or_else(String::new, |condition| format!(" {condition}"));
        let order = if order { format!(" ORDER BY {}", sql::identifiers(&table.key)) } else { String::new() };
        let columns = sql::identifiers(&table.columns);
        format!("COPY (SELECT {columns} FROM ONLY {}{condition}{order}) TO STDOUT{encoding}", table.qualified())
    }
}

/// The statement that takes rows back.
pub fn copy_in_statement(table: &Table, raw_bytes: bool) -> String {
    let encoding = if raw_bytes { " WITH (ENCODING 'SQL_ASCII')" } else { "" };
    format!("COPY {}{} FROM STDIN{encoding}", table.qualified(), table.column_list())
}

/// The same in the transaction that emptied the table: rows are written as old ones at once, and need no vacuum.
pub fn copy_frozen_statement(table: &Table, raw_bytes: bool) -> String {
    let encoding = if raw_bytes { ", ENCODING 'SQL_ASCII'" } else { "" };
    format!("COPY {}{} FROM STDIN WITH (FREEZE{encoding})", table.qualified(), table.column_list())
}

/// Reads the table's rows, hands them to `take` in pieces of whole lines, and returns count and hash of exactly these.
/// `take` answers whether it wants more.
pub fn read(
    client: &mut Client,
    table: &Table,
    reading: &Reading,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<TableFigures> {
    let what = || format!("reading table {}.{}", table.schema, table.name);
    let mut hasher = (!table.unhashed).then(|| SetHasher::new(reading.hash_key));
    let (mut rows, mut piece) = (0, Vec::with_capacity(PIECE_BYTES + 4096));
    client.copy_out(&what, &reading.copy_statement(table), |line| {
        let Some((b'\n', row)) = line.split_last() else {
            return Err(Error::internal(format!("{}: a row came in parts", what())));
        };
        if let Some(hasher) = &mut hasher {
            hasher.add(row);
        }
        rows += 1;
        piece.extend_from_slice(line);
        if piece.len() >= PIECE_BYTES {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES + 4096));
            if !take(full) {
                return Err(Error::new(ErrorKind::Cancelled, format!("{} was stopped", what()), ""));
            }
        }
        Ok(())
    })?;
    if !piece.is_empty() {
        take(piece);
    }
    Ok(TableFigures {
        schema: Some(table.schema.clone()),
        name: table.name.clone(),
        rows,
        content_hash: hasher.map(|hasher| hasher.finish()),
    })
}
