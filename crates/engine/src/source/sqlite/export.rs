//! A captured copy as the JSON document, generated while it is read.
//!
//! A thread of its own reads SQLite and fills a bounded queue; whoever reads the content empties it. A reader that stops
//! early ends the thread.

use super::collations;
use super::open::open_immutable;
use super::rows::{Encoding, Rows};
use super::schema::{self, Facts, Object, TableShape};
use crate::export::json::{Column, Header, JsonWriter, SchemaObject, Settings, Table, TableName};
use crate::target::sqlite::rebuild;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use vault::Content;

/// Pieces of the document that wait for their reader; each is about 128 KiB.
const QUEUE_PIECES: usize = 8;

/// The document of a copy. A failure is kept: writers may turn it into missing bytes.
pub(super) struct JsonContent {
    copy: PathBuf,
    component: String,
    failure: Option<Error>,
}

impl JsonContent {
    pub(super) fn new(copy: &Path, component: &str) -> Self {
        Self { copy: copy.to_owned(), component: component.to_owned(), failure: None }
    }

    /// Why the document did not reach its end.
    pub(super) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
}

impl Content for JsonContent {
    fn open(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        let (sender, pieces) = bounded(QUEUE_PIECES);
        let (copy, component) = (self.copy.clone(), self.component.clone());
        let thread = std::thread::Builder::new()
            .name("sqlite-json".to_owned())
            .spawn(move || write_document(&copy, &component, PieceWriter(sender)).map(drop))?;
        Ok(Box::new(Pieces {
            failure: &mut self.failure,
            queue: Some(pieces),
            thread: Some(thread),
            piece: Vec::new(),
            at: 0,
        }))
    }
}

struct PieceWriter(Sender<Vec<u8>>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pieces<'a> {
    failure: &'a mut Option<Error>,
    queue: Option<Receiver<Vec<u8>>>,
    thread: Option<JoinHandle<Result<()>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces<'_> {
    /// The queue has ended: only the thread's own word says whether the document has.
    fn end(&mut self) -> io::Result<usize> {
        self.queue = None;
        let Some(thread) = self.thread.take() else { return Ok(0) };
        let ended = thread.join().unwrap_or_else(|_| Err(Error::internal("the JSON export ended abruptly")));
        ended.map(|()| 0).map_err(|error| {
            let told = io::Error::other(error.to_string());
            *self.failure = Some(error);
            told
        })
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(piece) = self.queue.as_ref().and_then(|queue| queue.recv().ok()) else { return self.end() };
            (self.piece, self.at) = (piece, 0);
        }
        let length = out.len().min(self.piece.len() - self.at);
        out[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

impl Drop for Pieces<'_> {
    fn drop(&mut self) {
        // Without a receiver the thread's next write fails, and it ends.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the whole document of a file that nobody writes.
pub fn write_document<W: Write>(path: &Path, component: &str, out: W) -> Result<W> {
    let connection = open_immutable(path)?;
    let facts = schema::facts(&connection, path, schema::journal_mode(path)?)?;
    let objects = schema::objects(&connection, path)?;
    let header = Header::new(component, "sqlite", rusqlite::version());
    let described = objects.iter().map(describe).collect::<Vec<_>>();
    let mut writer = JsonWriter::new(out, &header, &described, &settings(&facts))?;
    for object in objects.iter().filter(|object| object.is_table()) {
        let shape = schema::shape(&connection, path, &object.name)?;
        writer.begin_table(&table(&shape))?;
        let scanner = collations::scanner(&connection, path, &shape)?;
        let scanner = scanner.as_ref().unwrap_or(&connection);
        Rows::new(path, &shape, Encoding::from_pragma(&facts.encoding)).for_each(scanner, None, |values| {
            writer.begin_row();
            for value in values {
                writer.value(value)?;
            }
            writer.end_row()
        })?;
        writer.end_table()?;
    }
    writer.finish()
}

/// Makes sure that the definitions can be carried out where only SQLite is, without the application's extensions.
pub(super) fn try_definitions(path: &Path) -> Result<()> {
    let connection = open_immutable(path)?;
    let described = schema::objects(&connection, path)?.iter().map(describe).collect::<Vec<_>>();
    rebuild::try_definitions(&described, &settings(&schema::facts(&connection, path, schema::journal_mode(path)?)?))
}

fn describe(object: &Object) -> SchemaObject {
    let kind = if object.is_virtual_table() { "virtual table" } else { &object.kind };
    SchemaObject {
        kind: kind.to_owned(),
        name: object.name.clone(),
        table: Some(object.table.clone()),
        sql: object.sql.clone(),
        ..SchemaObject::default()
    }
}

fn settings(facts: &Facts) -> Settings {
    let value = json!({
        "user_version": facts.user_version,
        "application_id": facts.application_id,
        "encoding": facts.encoding,
        "page_size": facts.page_size,
        "auto_vacuum": facts.auto_vacuum,
        "journal_mode": facts.journal_mode,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// The table's head. A row id that no column holds goes first, under a name that no column has.
fn table(shape: &TableShape) -> Table {
    let mut more = serde_json::Map::new();
    let mut columns = Vec::new();
    if shape.hidden_rowid().is_some() {
        let mut name = "$rowid".to_owned();
        while shape.columns.iter().any(|(column, _)| *column == name) {
            name.push('_');
        }
        more.insert("rowid".to_owned(), json!(name));
        columns.push(Column { name, declared_type: "INTEGER".to_owned(), ..Column::default() });
    }
    columns.extend(shape.columns.iter().map(|(name, declared_type)| Column {
        name: name.clone(),
        declared_type: declared_type.clone(),
        ..Column::default()
    }));
    for (key, holds) in [("withoutRowid", shape.without_rowid), ("strict", shape.strict)] {
        if holds {
            more.insert(key.to_owned(), json!(true));
        }
    }
    if !shape.generated.is_empty() {
        more.insert("generated".to_owned(), json!(shape.generated));
    }
    Table { name: TableName::plain(&shape.name), columns, primary_key: shape.primary_key.clone(), more }
}
