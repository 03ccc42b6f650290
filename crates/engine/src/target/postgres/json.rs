//! Reads the JSON export back: rows become COPY text again and go the same way as a native export's.

use super::filling::Filling;
use super::parse_layout;
use crate::Result;
use crate::export::json::{JsonReader, SchemaObject};
use crate::source::postgres::copy_text::push_row;
use crate::source::postgres::json::{LARGE_OBJECT, LARGE_OBJECTS, LAYOUT, POST_DATA, PRE_DATA, SEQUENCE};
use crate::source::postgres::layout::Layout;
use crate::source::postgres::rows::PIECE_BYTES;
use std::io::{self, Read};

/// A document, read up to its first table.
pub struct Document<R: Read> {
    reader: JsonReader<R>,
}

impl<R: Read> Document<R> {
    /// Reads header, schema and settings.
    pub fn open(content: R) -> Result<Self> {
        Ok(Self { reader: JsonReader::new(content)? })
    }

    /// What the database consisted of.
    pub fn layout(&self) -> Result<Layout> {
        let layout = self.reader.settings().get(LAYOUT).cloned().unwrap_or_default();
        parse_layout(serde_json::from_value(layout))
    }

    /// Puts everything into the new database.
    pub fn restore(mut self, filling: &mut Filling) -> Result<()> {
        filling.pre_data(&self.text(PRE_DATA))?;
        filling.run(&self.text(SEQUENCE))?;
        filling.run(&self.text(LARGE_OBJECT))?;
        filling.post_data = Some(self.text(POST_DATA));
        while let Some(table) = self.reader.next_table()? {
            let schema = table.name.schema.as_deref().unwrap_or("public");
            let mut rows = Rows { reader: &mut self.reader, row: Vec::new(), text: Vec::new(), at: 0 };
            if [schema, &table.name.name] == LARGE_OBJECTS {
                filling.large_objects(&mut rows)?;
            } else {
                filling.table_named(schema, &table.name.name, &mut rows)?;
            }
        }
        self.reader.finish()
    }

    /// The statements of one kind.
    fn text(&self, kind: &str) -> String {
        let statements = self.reader.schema().iter().filter(|object: &&SchemaObject| object.kind == kind);
        statements.filter_map(|object| object.sql.as_deref()).flat_map(|sql| [sql, ";\n"]).collect()
    }
}

/// The current table's rows as COPY text.
struct Rows<'a, R: Read> {
    reader: &'a mut JsonReader<R>,
    row: Vec<crate::export::Value>,
    text: Vec<u8>,
    at: usize,
}

impl<R: Read> Read for Rows<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            while self.text.len() < PIECE_BYTES && self.reader.next_row(&mut self.row)? {
                push_row(&mut self.text, &self.row)?;
            }
        }
        let length = buffer.len().min(self.text.len() - self.at);
        buffer[..length].copy_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
