//! Writes the document, table by table and value by value.

use super::scalar::{push_string, push_value};
use super::{Header, SchemaObject, Settings, Table};
use crate::export::{Value, ValueRef};
use crate::{Error, Result};
use std::io::Write;

/// Bytes gathered before they are handed on.
const BUFFER_BYTES: usize = 128 * 1024;

/// Writes one document. Dropped without [`finish`](Self::finish) it leaves a document that no reader accepts.
pub struct JsonWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    /// What stands before each value of a row: `{"id":`, `,"name":`, …
    keys: Vec<Vec<u8>>,
    column: usize,
    tables: u64,
    rows: u64,
}

impl<W: Write> JsonWriter<W> {
    /// Begins the document. `schema` is written in the order given.
    pub fn new(out: W, header: &Header, schema: &[SchemaObject], settings: &Settings) -> Result<Self> {
        let mut writer =
            Self { out, buffer: Vec::with_capacity(BUFFER_BYTES * 2), keys: Vec::new(), column: 0, tables: 0, rows: 0 };
        writer.push("{\"strongroom\":");
        writer.push_json(header)?;
        writer.push(",\n\"schema\":[");
        for (at, object) in schema.iter().enumerate() {
            writer.push(if at == 0 { "\n" } else { ",\n" });
            writer.push_json(object)?;
        }
        writer.push("],\n\"settings\":");
        writer.push_json(settings)?;
        writer.push(",\n\"tables\":{");
        Ok(writer)
    }

    /// Begins a table; every table needs its [`end_table`](Self::end_table).
    pub fn begin_table(&mut self, table: &Table) -> Result<()> {
        self.push(if self.tables == 0 { "\n" } else { ",\n" });
        push_string(&mut self.buffer, &table.name.to_key());
        self.push(":");
        self.push_json(table)?;
        // Reopen the object just written: `rows` is its last member.
        self.buffer.pop();
        self.push(",\"rows\":[");
        self.keys.clear();
        for (at, column) in table.columns.iter().enumerate() {
            let mut key = vec![if at == 0 { b'{' } else { b',' }];
            push_string(&mut key, &column.name);
            key.push(b':');
            self.keys.push(key);
        }
        (self.column, self.rows) = (0, 0);
        self.tables += 1;
        self.hand_on()
    }

    /// Begins a row.
    pub fn begin_row(&mut self) {
        self.push(if self.rows == 0 { "\n" } else { ",\n" });
        self.column = 0;
    }

    /// Takes the next value of the row, in the order of the table's columns.
    pub fn value(&mut self, value: ValueRef<'_>) -> Result<()> {
        let key = self.keys.get(self.column).ok_or_else(|| Error::internal("a row has more values than columns"))?;
        self.buffer.extend_from_slice(key);
        self.column += 1;
        push_value(&mut self.buffer, value);
        // A row of many large values must not gather as a whole.
        if self.buffer.len() >= BUFFER_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Ends a row.
    pub fn end_row(&mut self) -> Result<()> {
        if self.column != self.keys.len() {
            return Err(Error::internal("a row has fewer values than columns"));
        }
        self.push(if self.column == 0 { "{}" } else { "}" });
        self.rows += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Takes a whole row.
    pub fn row(&mut self, values: &[Value]) -> Result<()> {
        self.begin_row();
        for value in values {
            self.value(value.as_ref())?;
        }
        self.end_row()
    }

    /// Ends the table.
    pub fn end_table(&mut self) -> Result<()> {
        self.push(if self.rows == 0 { "]}" } else { "\n]}" });
        self.hand_on()
    }

    /// Ends the document: its last two bytes are the closing brace and a line feed.
    pub fn finish(mut self) -> Result<W> {
        self.push("\n}}\n");
        self.hand_on()?;
        self.out.flush().map_err(write_failed)?;
        Ok(self.out)
    }

    fn push(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn push_json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.buffer, value)
            .map_err(|cause| Error::internal(format!("a part of the document is not JSON: {cause}")))
    }

    fn hand_on(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).map_err(write_failed)?;
        self.buffer.clear();
        if self.buffer.capacity() > 64 * BUFFER_BYTES {
            self.buffer.shrink_to(2 * BUFFER_BYTES);
        }
        Ok(())
    }
}

fn write_failed(cause: std::io::Error) -> Error {
    vault::error::from_io("writing the JSON document", cause)
}
