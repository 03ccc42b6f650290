//! Reads the JSON export back: rows become COPY text again and go the same way as a native export's.

use super::parse_layout;
use crate::Result;
use crate::export::json::{JsonReader, SchemaObject};
use crate::source::postgres::copy_text::push_row;
use crate::source::postgres::json::{LARGE_OBJECT, LARGE_OBJECTS, LAYOUT, POST_DATA, PRE_DATA, SEQUENCE};
use crate::source::postgres::layout::Layout;
use crate::source::postgres::rows::PIECE_BYTES;
use std::io::{self, Read};

/// Takes what a document holds, part by part.
pub trait Sink {
    /// The schema's first half.
    fn pre_data(&mut self, text: &str) -> Result<()>;
    /// Sequences' values.
    fn sequences(&mut self, text: &str) -> Result<()>;
    /// Large objects without their contents.
    fn large_object_definitions(&mut self, text: &str) -> Result<()>;
    /// The schema's second half, which is needed last.
    fn post_data(&mut self, text: String) -> Result<()>;
    /// Rows of one table, as COPY text.
    fn table_named(&mut self, schema: &str, name: &str, rows: &mut dyn Read) -> Result<()>;
    /// Contents of large objects, as COPY text.
    fn large_objects(&mut self, rows: &mut dyn Read) -> Result<()>;
}

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

    /// Hands everything on.
    pub fn restore(mut self, sink: &mut dyn Sink) -> Result<()> {
        sink.pre_data(&self.text(PRE_DATA))?;
        sink.sequences(&self.text(SEQUENCE))?;
        sink.large_object_definitions(&self.text(LARGE_OBJECT))?;
        sink.post_data(self.text(POST_DATA))?;
        while let Some(table) = self.reader.next_table()? {
            let schema = table.name.schema.as_deref().unwrap_or("public");
            let mut rows = Rows { reader: &mut self.reader, row: Vec::new(), text: Vec::new(), at: 0 };
            if [schema, &table.name.name] == LARGE_OBJECTS {
                sink.large_objects(&mut rows)?;
            } else {
                sink.table_named(schema, &table.name.name, &mut rows)?;
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
