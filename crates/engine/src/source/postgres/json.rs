//! The JSON export: the same rows as the native one, written as the shared document on our side. Schema, sequences and large
//! objects are inside, so that a restore needs nothing else.

use super::Captured;
use super::by_hand;
use super::client::Client;
use super::copy_text::{Kind, next_field};
use super::figures;
use super::large_objects;
use super::layout::{Layout, Table, rows as query_rows};
use super::native::Out;
use super::pipe::{PipeWriter, pipe};
use super::prefetch::Prefetch;
use super::rows::Reading;
use super::statements;
use crate::export::json::{self, Header, JsonWriter, SchemaObject, Settings, TableName};
use crate::manifest::{DatabaseFigures, TableFigures};
use crate::{Error, Result};
use std::collections::HashMap;
use vault::{Hinted, Structure};

/// Kinds of schema objects in the document, in their order.
pub const PRE_DATA: &str = "pre-data";
/// See [`PRE_DATA`].
pub const SEQUENCE: &str = "sequence";
/// See [`PRE_DATA`].
pub const LARGE_OBJECT: &str = "large-object";
/// See [`PRE_DATA`].
pub const POST_DATA: &str = "post-data";
/// Where the layout is among the document's settings.
pub const LAYOUT: &str = "layout";
/// The table that large objects' contents are written as.
pub const LARGE_OBJECTS: [&str; 2] = ["pg_catalog", "pg_largeobject"];

/// Columns with their types, by table.
type Columns = HashMap<u32, Vec<(json::Column, Kind)>>;

/// Writes the document and returns the figures of exactly what is in it.
pub fn write(name: &str, captured: &mut Captured, reading: &Reading, out: &mut Out<'_>) -> Result<DatabaseFigures> {
    let mut figures = figures::of_catalog(&mut captured.snapshot.exporter, &captured.snapshot.layout)?;
    let columns = columns(&mut captured.snapshot.exporter)?;
    let mut definitions = Vec::new();
    large_objects::definitions(&mut captured.snapshot.exporter, &mut definitions)?;
    let definitions =
        String::from_utf8(definitions).map_err(|_| Error::internal("large objects' names are not UTF-8"))?;
    let layout = &captured.snapshot.layout;
    let header = Header::new(name, "postgresql", &layout.server_version);
    let sequences = by_hand::sequences_sql(&layout.sequences);
    let schema: Vec<SchemaObject> = [
        (PRE_DATA, captured.pre_data.as_str()),
        (SEQUENCE, &sequences),
        (LARGE_OBJECT, &definitions),
        (POST_DATA, &captured.post_data),
    ]
    .into_iter()
    .flat_map(|(kind, text)| objects(kind, text))
    .collect();
    let settings = settings(layout)?;
    let tables = &layout.tables;
    let prefetch = Prefetch::new(tables);
    let (exporter, workers) = (&mut captured.snapshot.exporter, &mut captured.snapshot.workers);
    let (writer, mut reader) = pipe(8);
    let rows = std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| prefetch.work(worker, reading));
        }
        let document = scope.spawn(|| {
            let mut document = JsonWriter::new(writer, &header, &schema, &settings)?;
            let mut rows = Vec::with_capacity(tables.len() + 1);
            for (number, table) in tables.iter().enumerate() {
                rows.push(write_table(&mut document, &prefetch, number, table, &columns)?);
            }
            rows.push(write_large_objects(&mut document, exporter, reading)?);
            document.finish()?;
            Ok(rows)
        });
        let mut rows = Hinted { content: &mut reader, structure: Structure::Rows { by_key: false } };
        let put = out.put(&format!("{name}.json"), None, 0o600, &mut rows);
        drop(reader);
        prefetch.stop();
        let document = document.join().unwrap_or_else(|_| Err(Error::internal("writing JSON panicked")));
        match (put, document) {
            // A writer that broke off leaves the document a broken pipe, which says nothing.
            (Err(failed), _) => Err(failed),
            (Ok(()), document) => document,
        }
    })?;
    figures::complete(&mut figures, rows, &[&captured.pre_data, &captured.post_data]);
    Ok(figures)
}

/// One object for each statement: `jq` finds a table's definition.
fn objects<'a>(kind: &'a str, text: &'a str) -> impl Iterator<Item = SchemaObject> + 'a {
    statements::split(text).into_iter().map(move |statement| SchemaObject {
        kind: kind.to_owned(),
        name: statement.lines().next().unwrap_or_default().trim_end_matches([' ', '(']).chars().take(200).collect(),
        sql: Some(statement.to_owned()),
        ..SchemaObject::default()
    })
}

fn settings(layout: &Layout) -> Result<Settings> {
    let layout =
        serde_json::to_value(layout).map_err(|cause| Error::internal("the layout is not JSON").because(cause))?;
    Ok(Settings::from_iter([(LAYOUT.to_owned(), layout)]))
}

/// The base type of a domain decides how its values are written.
fn columns(client: &mut Client) -> Result<Columns> {
    let query = "
      WITH RECURSIVE base (oid, base) AS (
        SELECT oid, oid FROM pg_catalog.pg_type WHERE typtype <> 'd'
        UNION ALL SELECT d.oid, b.base FROM pg_catalog.pg_type d JOIN base b ON d.typbasetype = b.oid WHERE d.typtype = 'd')
      SELECT a.attrelid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typname::text
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace
        JOIN base b ON b.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type t ON t.oid = b.base AND t.typnamespace = 'pg_catalog'::regnamespace
       WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       ORDER BY a.attrelid, a.attnum";
    let mut columns = Columns::new();
    for row in query_rows(client, query)? {
        let column = json::Column { name: row.get(1), declared_type: row.get(2), ..json::Column::default() };
        let kind = row.get::<_, Option<&str>>(3).map_or(Kind::Text, Kind::of);
        columns.entry(row.get(0)).or_default().push((column, kind));
    }
    Ok(columns)
}

fn write_table(
    document: &mut JsonWriter<PipeWriter>,
    prefetch: &Prefetch<'_>,
    number: usize,
    table: &Table,
    columns: &Columns,
) -> Result<TableFigures> {
    let columns = columns.get(&table.oid).map_or(&[][..], Vec::as_slice);
    let schema = (table.schema != "public").then(|| table.schema.clone());
    document.begin_table(&json::Table {
        name: TableName { schema, name: table.name.clone() },
        columns: columns.iter().map(|(column, _)| column.clone()).collect(),
        primary_key: table.key.clone(),
        ..json::Table::default()
    })?;
    let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
    let mut reader = prefetch.reader(number);
    let mut row = RowWriter::default();
    while let Some(piece) = reader.next_piece() {
        for line in piece.split_inclusive(|&byte| byte == b'\n') {
            row.write(document, &kinds, &line[..line.len() - 1])?;
        }
    }
    let figures = reader.finish()?;
    document.end_table()?;
    Ok(figures)
}

fn write_large_objects(
    document: &mut JsonWriter<PipeWriter>,
    client: &mut Client,
    reading: &Reading,
) -> Result<TableFigures> {
    let columns = [("object", "oid"), ("start", "bigint"), ("data", "bytea")];
    document.begin_table(&json::Table {
        name: TableName::qualified(LARGE_OBJECTS[0], LARGE_OBJECTS[1]),
        columns: columns
            .iter()
            .map(|(name, declared)| json::Column {
                name: (*name).to_owned(),
                declared_type: (*declared).to_owned(),
                ..json::Column::default()
            })
            .collect(),
        ..json::Table::default()
    })?;
    let mut row = RowWriter::default();
    let kinds = [Kind::Integer, Kind::Integer, Kind::Bytes];
    let figures =
        large_objects::read(client, reading, &mut |line| row.write(document, &kinds, &line[..line.len() - 1]))?;
    document.end_table()?;
    Ok(figures)
}

/// Buffers that are used again for each field.
#[derive(Default)]
struct RowWriter {
    field: Vec<u8>,
    scratch: Vec<u8>,
}

impl RowWriter {
    fn write(&mut self, document: &mut JsonWriter<PipeWriter>, kinds: &[Kind], line: &[u8]) -> Result<()> {
        document.begin_row();
        let mut rest = Some(line);
        for kind in kinds {
            let Some(line) = rest else { return Err(Error::internal("a row has fewer values than columns")) };
            let (present, next) = next_field(line, &mut self.field);
            rest = next;
            let value =
                if present { kind.value(&self.field, &mut self.scratch)? } else { crate::export::ValueRef::Null };
            document.value(value)?;
        }
        document.end_row()
    }
}
