//! COPY's binary format: rows as the server takes a value apart itself, made here from their COPY text.
//!
//! Parsing text is a good part of what filling a table costs the server; here it is done in less, and by a thread that would
//! wait. Columns whose type is not listed below, and arrays, make their whole table go as text; a value that is not just as
//! PostgreSQL writes it makes its piece go as text. Format: PostgreSQL's manual, "COPY", Binary Format; what a value looks
//! like is in the source of its type's `…recv` function.
//!
//! Invariant: the server writes the very text again that came in. A test has it write values of every form, and only tables go
//! in so that are read back and compared: one whose rows are counted alone goes as text. The uncomfortable consequence: a
//! mistake here would make a restore refuse what a good backup holds; `psql` and the export's own script would still restore it.

mod values;

use crate::Result;
use crate::source::postgres::client::Client;
use crate::source::postgres::copy_text::unescaped;
use crate::source::postgres::layout::{Table, rows as query_rows};
use memchr::{memchr_iter, memchr2, memchr3};
use std::collections::HashMap;
use values::{date, leading_integer, numeric, real, time, timestamp, uuid};

/// Comes before the first row: signature, no flags, no extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Comes after the last row.
pub const TRAILER: &[u8] = b"\xff\xff";

/// The length of a value that is NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// How values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// The text itself, in the session's encoding.
    Text,
    /// A version, then the text.
    Jsonb,
    Bytea,
    Uuid,
    Date,
    Time,
    Timestamp,
    TimestampTz,
}

impl Form {
    /// By the name of a type of `pg_catalog`, or `enum`.
    fn of(base_type: &str) -> Option<Self> {
        Some(match base_type {
            "bool" => Self::Bool,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "oid" => Self::Oid,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "numeric" => Self::Numeric,
            "text" | "varchar" | "bpchar" | "name" | "json" | "enum" => Self::Text,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            _ => return None,
        })
    }

    /// Writes the value at the front of `text`, which ends with `end`, and answers what is left behind that.
    fn encode<'a>(self, text: &'a [u8], end: u8, row: &mut Vec<u8>) -> Option<&'a [u8]> {
        if let Some(rest) = text.strip_prefix(b"\\N").and_then(|rest| rest.strip_prefix(&[end])) {
            row.extend_from_slice(&NULL);
            return Some(rest);
        }
        let length_at = row.len();
        row.extend_from_slice(&[0; 4]);
        let rest = match self {
            Self::Text => text_value(text, row)?,
            Self::Jsonb => {
                row.push(1);
                text_value(text, row)?
            }
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => {
                let (number, rest) = leading_integer(text)?;
                match self {
                    Self::Int2 => row.extend_from_slice(&i16::try_from(number).ok()?.to_be_bytes()),
                    Self::Int4 => row.extend_from_slice(&i32::try_from(number).ok()?.to_be_bytes()),
                    Self::Oid => row.extend_from_slice(&u32::try_from(number).ok()?.to_be_bytes()),
                    _ => row.extend_from_slice(&number.to_be_bytes()),
                }
                rest
            }
            Self::Bytea => {
                // Its one backslash is escaped.
                let text = text.strip_prefix(b"\\\\x")?;
                let (digits, rest) = text.split_at(memchr2(b'\t', b'\n', text)?);
                let at = row.len();
                row.resize(at + digits.len() / 2, 0);
                hex::decode_to_slice(digits, &mut row[at..]).ok()?;
                rest
            }
            _ => {
                let (field, rest) = text.split_at(memchr2(b'\t', b'\n', text)?);
                self.plain(field, row)?;
                rest
            }
        };
        let length = i32::try_from(row.len() - length_at - 4).ok()?;
        row[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        rest.strip_prefix(&[end])
    }

    /// Other values, whose text never holds anything that is escaped.
    fn plain(self, field: &[u8], row: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Bool if field == b"t" => row.push(1),
            Self::Bool if field == b"f" => row.push(0),
            Self::Float4 => row.extend_from_slice(&real::<f32>(field)?.to_be_bytes()),
            Self::Float8 => row.extend_from_slice(&real::<f64>(field)?.to_be_bytes()),
            Self::Numeric => numeric(field, row)?,
            Self::Uuid => row.extend_from_slice(&uuid(field)?),
            Self::Date => row.extend_from_slice(&date(field)?.to_be_bytes()),
            Self::Time => row.extend_from_slice(&time(field)?.to_be_bytes()),
            Self::Timestamp => row.extend_from_slice(&timestamp(field, b"")?.to_be_bytes()),
            // The session's zone is UTC.
            Self::TimestampTz => row.extend_from_slice(&timestamp(field, b"+00")?.to_be_bytes()),
            _ => return None,
        }
        Some(())
    }
}

/// Appends text up to the tab or line feed that ends it, escapes undone, and answers what is left from there.
fn text_value<'a>(mut text: &'a [u8], row: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (plain, rest) = text.split_at(memchr3(b'\t', b'\n', b'\\', text)?);
        row.extend_from_slice(plain);
        let Some(escape) = rest.strip_prefix(b"\\") else { return Some(rest) };
        let (letter, rest) = escape.split_first()?;
        // The server reads others (`\x41`), but never writes them.
        row.push(unescaped(*letter)?);
        text = rest;
    }
}

/// How rows of one table are written.
#[derive(Debug, Clone)]
pub struct Encoder {
    forms: Vec<Form>,
    fields: i16,
}

impl Encoder {
    /// `None` where a column's type has no form, or nothing would be gained.
    fn of(types: &[Option<&str>]) -> Option<Self> {
        let forms = types.iter().map(|name| name.and_then(Form::of)).collect::<Option<Vec<_>>>()?;
        let fields = i16::try_from(forms.len()).ok().filter(|&fields| fields > 0)?;
        Some(Self { forms, fields })
    }

    /// Rows from whole lines of COPY text. `None`: a value is not understood.
    pub fn encode(&self, mut lines: &[u8]) -> Option<Vec<u8>> {
        let (last, others) = self.forms.split_last()?;
        let mut rows = Vec::with_capacity(lines.len() + lines.len() / 4);
        while !lines.is_empty() {
            rows.extend_from_slice(&self.fields.to_be_bytes());
            for form in others {
                lines = form.encode(lines, b'\t', &mut rows)?;
            }
            lines = last.encode(lines, b'\n', &mut rows)?;
        }
        Some(rows)
    }
}

/// Those of a database's tables that can go in so, by schema and name.
pub type Encoders = HashMap<(String, String), Encoder>;

/// Looks at the tables that are there, of those that will be compared row by row. The base type of a domain decides how its values are written.
pub fn encoders(client: &mut Client, tables: &[Table]) -> Result<Encoders> {
    let mut found = Encoders::new();
    let compared = tables.iter().filter(|table| !table.unhashed);
    let wanted: HashMap<_, _> = compared.map(|table| ((&table.schema, &table.name), table)).collect();
    for row in query_rows(client, COLUMNS)? {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let (columns, types): (Vec<&str>, Vec<Option<&str>>) = (row.get(2), row.get(3));
        let Some(table) = wanted.get(&(&schema, &name)) else { continue };
        let type_of = |column: &String| columns.iter().position(|name| name == column).and_then(|at| types[at]);
        if let Some(encoder) = Encoder::of(&table.columns.iter().map(type_of).collect::<Vec<_>>()) {
            found.insert((schema, name), encoder);
        }
    }
    Ok(found)
}

/// Tables, their columns and the columns' types; NULL for types that are not the system's own.
const COLUMNS: &str = "
  WITH RECURSIVE base (oid, base) AS (
    SELECT oid, oid FROM pg_catalog.pg_type WHERE typtype <> 'd'
    UNION ALL SELECT d.oid, b.base FROM pg_catalog.pg_type d JOIN base b ON d.typbasetype = b.oid WHERE d.typtype = 'd')
  SELECT n.nspname::text, c.relname::text, pg_catalog.array_agg(a.attname::text), pg_catalog.array_agg(
         CASE WHEN t.typtype = 'e' THEN 'enum'
              WHEN t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN t.typname::text END)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN base b ON b.oid = a.atttypid JOIN pg_catalog.pg_type t ON t.oid = b.base
   WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   GROUP BY 1, 2";

/// Any bytes as rows of any form: they are refused, or make rows of the right shape.
#[doc(hidden)]
pub fn fuzz(lines: &[u8]) {
    const TYPES: [&str; 16] = [
        "bool",
        "int2",
        "int4",
        "int8",
        "oid",
        "float4",
        "float8",
        "numeric",
        "text",
        "jsonb",
        "bytea",
        "uuid",
        "date",
        "time",
        "timestamp",
        "timestamptz",
    ];
    let alone = TYPES.iter().map(|name| vec![Some(*name)]);
    for types in alone.chain([vec![Some("int8"), Some("text")]]) {
        let Some(encoder) = Encoder::of(&types) else { continue };
        let Some(rows) = encoder.encode(lines) else { continue };
        let (mut rest, mut count) = (rows.as_slice(), 0);
        while let Some((fields, row)) = rest.split_first_chunk() {
            assert_eq!(i16::from_be_bytes(*fields), encoder.fields, "{types:?}");
            rest = row;
            for _ in &types {
                let Some((length, value)) = rest.split_first_chunk() else { panic!("{types:?}: no length") };
                rest = usize::try_from(i32::from_be_bytes(*length)).map_or(value, |length| &value[length..]);
            }
            count += 1;
        }
        assert!(rest.is_empty());
        assert_eq!(count, memchr_iter(b'\n', lines).count(), "{types:?}");
    }
}

#[cfg(test)]
mod tests;
