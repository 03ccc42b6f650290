//! Rows on their way from the server: one canonical encoding for hashing, spooling and formatting.
//!
//! Invariant: the encoding depends on the stored values and the table's definition alone: not on the order of rows, the
//! connection's character set or the server's defaults. Both sides of a comparison read the same expressions.
//!
//! A row is its fields one after the other: `0` for NULL, else `1`, the length (4 bytes, little-endian) and the bytes.

use super::literal;
use super::schema::{Column, Table};
use super::session::quote_name;
use crate::{Error, Result};
use mysql::Value;

/// Mean size of an INSERT statement.
const STATEMENT_BYTES_MEAN: u64 = 128 * 1024;
/// A statement that has grown to this ends with the row, whatever the row looks like.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// The statement that reads a table. In key order where that costs nothing (InnoDB stores rows so) or is asked for.
pub(crate) fn select(table: &Table, in_key_order: bool) -> String {
    let expressions = table.columns.iter().map(|column| match &column.expression {
        Some(expression) => expression.clone(),
        None => quote_name(&column.name),
    });
    let mut sql =
        format!("SELECT SQL_NO_CACHE {} FROM {}", expressions.collect::<Vec<_>>().join(", "), quote_name(&table.name));
    if table.system_versioned {
        sql.push_str(" FOR SYSTEM_TIME ALL");
    }
    if !table.primary_key.is_empty() && (in_key_order || table.engine == "InnoDB") {
        if !table.system_versioned {
            sql.push_str(" FORCE INDEX FOR ORDER BY (PRIMARY)");
        }
        let keys = table.primary_key.iter().map(|name| quote_name(name)).collect::<Vec<_>>();
        sql.push_str(" ORDER BY ");
        sql.push_str(&keys.join(", "));
    }
    sql
}

/// Encodes a row as it came from the server.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[Value]) -> Result<()> {
    out.clear();
    for value in values {
        match value {
            Value::NULL => out.push(0),
            Value::Bytes(bytes) => {
                let length = u32::try_from(bytes.len()).map_err(|_| Error::internal("a value of 4 GiB or more"))?;
                out.push(1);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            other => return Err(Error::internal(format!("the text protocol sent {other:?}"))),
        }
    }
    Ok(())
}

/// Takes the next field off an encoded row.
pub(crate) fn next_field<'a>(row: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let short = || Error::internal("an encoded row ends too early");
    match row.split_first().ok_or_else(short)? {
        (0, rest) => {
            *row = rest;
            Ok(None)
        }
        (_, rest) => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
            *row = rest;
            Ok(Some(field))
        }
    }
}

/// Writes rows as INSERT statements, a row a line.
///
/// Statements end where the rows themselves say so (a hash of the row, weighted by its length), not after a fixed number: a
/// row that was added since yesterday changes one statement, not all that follow.
pub(crate) struct Inserts {
    head: String,
    columns: Vec<Column>,
    /// Bytes of the statement under way; 0 between statements.
    statement_bytes: usize,
}

impl Inserts {
    /// For this table, in this order of columns.
    pub fn new(table: &Table) -> Self {
        let names = table.columns.iter().filter(|column| !column.generated).map(|column| quote_name(&column.name));
        let head =
            format!("INSERT INTO {} ({}) VALUES\n", quote_name(&table.name), names.collect::<Vec<_>>().join(","));
        Self { head, columns: table.columns.clone(), statement_bytes: 0 }
    }

    /// What a data file begins with.
    pub fn preamble(table: &Table) -> String {
        let mut text = format!("{}\n", super::script::SESSION_FOR_ROWS.join("\n"));
        if table.system_versioned {
            text.push_str("SET SESSION system_versioning_insert_history = 1;\n");
        }
        text
    }

    /// Appends an encoded row.
    pub fn push(&mut self, out: &mut Vec<u8>, mut row: &[u8]) -> Result<()> {
        let start = out.len();
        if self.statement_bytes == 0 {
            out.extend_from_slice(self.head.as_bytes());
        } else {
            out.extend_from_slice(b",\n");
        }
        let line = out.len();
        let mut separator = b'(';
        for column in &self.columns {
            let field = next_field(&mut row)?;
            if !column.generated {
                out.push(separator);
                literal::push(out, column.kind, field);
                separator = b',';
            }
        }
        if separator == b'(' {
            out.push(b'(');
        }
        out.push(b')');
        self.statement_bytes += out.len() - start;
        if self.statement_bytes >= STATEMENT_BYTES_MAX || ends_statement(&out[line..]) {
            self.finish(out);
        }
        Ok(())
    }

    /// Ends the statement under way.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.statement_bytes > 0 {
            out.extend_from_slice(b";\n");
            self.statement_bytes = 0;
        }
    }
}

/// A fair coin that falls on "end" once in [`STATEMENT_BYTES_MEAN`] bytes, decided by the row's ends alone.
fn ends_statement(line: &[u8]) -> bool {
    let edge = line.len().min(48);
    let hash = line[..edge]
        .iter()
        .chain(&line[line.len() - edge..])
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The high half of the product mixes better than the low one.
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)
        < (line.len() as u64) * (u64::from(u32::MAX) / STATEMENT_BYTES_MEAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_encoded() {
        let mut row = Vec::new();
        encode(&mut row, &[Value::NULL, Value::Bytes(vec![]), Value::Bytes(b"ab".to_vec())]).unwrap();
        let mut rest = row.as_slice();
        assert_eq!(next_field(&mut rest).unwrap(), None);
        assert_eq!(next_field(&mut rest).unwrap(), Some(b"".as_slice()));
        assert_eq!(next_field(&mut rest).unwrap(), Some(b"ab".as_slice()));
        assert!(next_field(&mut rest).is_err());
    }

    #[test]
    fn statements_end_about_as_often_as_meant() {
        let ends =
            (0..200_000_u32).filter(|n| ends_statement(format!("({n},'some name','{:0>60}')", n * 7).as_bytes()));
        let mean_rows = 200_000 / ends.count().max(1);
        let line_bytes = 85;
        assert!((700..3500).contains(&mean_rows), "{} bytes a statement", mean_rows * line_bytes);
    }
}
