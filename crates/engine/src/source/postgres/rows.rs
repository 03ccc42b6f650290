//! The rows of a table, by `COPY` in text format, hashed and counted as they pass.
//!
//! A row's canonical encoding is its line of `COPY` text: with the session's settings pinned it is the same on every server,
//! whatever order the rows come in.

use super::client::Client;
use super::error::database;
use super::layout::Table;
use super::own_path::OwnPath;
use super::sql;
use crate::hash::{HashKey, SetHasher};
use crate::manifest::TableFigures;
use crate::{Error, ErrorKind, Result};
use std::cell::Cell;

/// Rows are handed on in pieces of about this size.
pub const PIECE_BYTES: usize = 256 * 1024;

/// Evaluated before the first row: names within values (`regclass`) are written in full.
const NO_PATH: &str = " WHERE (SELECT pg_catalog.set_config('search_path', '', false)) = ''";

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
        // Planned with whatever path, rows are written with none.
        let condition = if condition.is_empty() { NO_PATH.to_owned() } else { condition };
        let columns = sql::identifiers(&table.columns);
        format!("COPY (SELECT {columns} FROM ONLY {}{condition}{order}) TO STDOUT{encoding}", table.qualified())
    }
}

/// How a table takes rows back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taking {
    /// In the transaction that emptied the table: rows are written as old ones at once, and need no vacuum.
    pub frozen: bool,
    /// A SQL_ASCII database: bytes pass as they are.
    pub raw_bytes: bool,
    /// In COPY's binary format.
    pub binary: bool,
}

impl Taking {
    /// The statement.
    pub fn copy_statement(self, table: &Table) -> String {
        let options: Vec<_> = [
            self.frozen.then_some("FREEZE"),
            self.raw_bytes.then_some("ENCODING 'SQL_ASCII'"),
            self.binary.then_some("FORMAT binary"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let options = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
        format!("COPY {}{} FROM STDIN{options}", table.qualified(), table.column_list())
    }
}

/// Reads the table's rows, hands them to `take` in pieces of whole lines, and returns count and hash of exactly these.
/// `take` answers whether it wants more.
pub fn read(
    client: &mut Client,
    table: &Table,
    reading: &Reading,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<TableFigures> {
    let mut piece = Vec::with_capacity(PIECE_BYTES + 4096);
    let figures = each_line(client, table, reading, &mut |line| {
        piece.extend_from_slice(line);
        if piece.len() >= PIECE_BYTES {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES + 4096));
            if !take(full) {
                return Err(Error::new(ErrorKind::Cancelled, format!("{} was stopped", doing(table)), ""));
            }
        }
        Ok(())
    })?;
    if !piece.is_empty() {
        take(piece);
    }
    Ok(figures)
}

/// Count of the table's rows, and their hash where the table has one.
pub fn measure(client: &mut Client, table: &Table, reading: &Reading) -> Result<TableFigures> {
    if table.unhashed { count(client, table) } else { each_line(client, table, reading, &mut |_| Ok(())) }
}

/// Has the server count: the rows of a table that is too large to be hashed stay where they are.
fn count(client: &mut Client, table: &Table) -> Result<TableFigures> {
    let condition = table.condition.as_deref().unwrap_or_default();
    let statement = format!("SELECT pg_catalog.count(*) FROM ONLY {} {condition}", table.qualified());
    let row = client.query_one(&statement, &[]).map_err(|error| database(doing(table), error))?;
    Ok(figures(table, row.get::<_, i64>(0).unsigned_abs(), None))
}

fn each_line(
    client: &mut Client,
    table: &Table,
    reading: &Reading,
    take: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<TableFigures> {
    let mut hasher = (!table.unhashed).then(|| SetHasher::new(reading.hash_key));
    let rows = Cell::new(0);
    let mut line = |line: &[u8]| {
        let Some((b'\n', row)) = line.split_last() else {
            return Err(Error::internal(format!("{}: a row came in parts", doing(table))));
        };
        if let Some(hasher) = &mut hasher {
            hasher.add(row);
        }
        rows.set(rows.get() + 1);
        take(line)
    };
    let (what, statement) = (|| doing(table), reading.copy_statement(table));
    if reading.ordered {
        // Sorting is planned, and planning looks into the functions of indexes: it fails before the first row, or not for that.
        OwnPath::live(true).attempt(client, Some(&sql::identifier(&table.schema)), |client| {
            let read = client.copy_out(&what, &statement, &mut line);
            if rows.get() == 0 { read.map(Ok) } else { Ok(read) }
        })?;
    } else {
        client.copy_out(&what, &statement, &mut line)?;
    }
    Ok(figures(table, rows.get(), hasher.map(|hasher| hasher.finish())))
}

fn figures(table: &Table, rows: u64, content_hash: Option<String>) -> TableFigures {
    TableFigures { schema: Some(table.schema.clone()), name: table.name.clone(), rows, content_hash }
}

fn doing(table: &Table) -> String {
    format!("reading table {}.{}", table.schema, table.name)
}
