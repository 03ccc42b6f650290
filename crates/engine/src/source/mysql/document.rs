//! A database as one JSON document (`docs/json-export.md`), with the definitions inside: the document alone restores.

use super::rows::next_field;
use super::schema::{Column, Kind, Object, SCHEMA_VERSION, Schema, Sequence, Table, damaged};
use super::snapshot::Snapshot;
use super::stream::{self, Block, Form, Reading, TableEnd};
use super::{DOCUMENT_ENTRY, Output};
use crate::export::ValueRef;
use crate::export::json::{self, Header, JsonWriter, SchemaObject, Settings, TableName};
use crate::source::Context;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use std::io::Write;

/// Blocks of the document that wait for the writer.
const BLOCKS_QUEUED: usize = 8;

/// Writes the document as one entry; the tables' figures come back.
pub(super) fn write(
    component: &str,
    snapshot: &mut Snapshot,
    context: &Context<'_>,
    out: &mut Output<'_>,
) -> Result<Vec<(String, TableEnd)>> {
    let header = Header::new(component, &snapshot.schema.engine, &snapshot.schema.engine_version);
    let (schema, settings) = schema_to_document(&snapshot.schema)?;
    let reading = Reading { hash_key: context.hash_key, form: Form::Encoded, in_key_order: context.deduplicating };
    stream::run(snapshot, reading, |tables, queues| {
        let (blocks, document) = bounded(BLOCKS_QUEUED);
        std::thread::scope(|scope| {
            let formatter = scope.spawn(move || {
                let result = format(&header, &schema, &settings, tables, &queues, &blocks);
                let (end, ends) = match result {
                    Ok(ends) => (Block::End(TableEnd::default()), Some(ends)),
                    Err(error) => (Block::Failed(error), None),
                };
                // Nobody listens any more only where the writer failed, which is the better error.
                let _ = blocks.send(end);
                ends
            });
            let written = out.stream(DOCUMENT_ENTRY, &document);
            drop(document);
            let ends = formatter.join().map_err(|_| Error::internal("the thread that writes JSON panicked"))?;
            written?;
            ends.ok_or_else(|| Error::internal("the JSON document has no figures"))
        })
    })
}

fn format(
    header: &Header,
    schema: &[SchemaObject],
    settings: &Settings,
    tables: &[Table],
    queues: &[Receiver<Block>],
    blocks: &Sender<Block>,
) -> Result<Vec<(String, TableEnd)>> {
    let mut writer = JsonWriter::new(BlockWriter { blocks }, header, schema, settings)?;
    let mut ends = Vec::with_capacity(tables.len());
    for (table, queue) in tables.iter().zip(queues) {
        writer.begin_table(&head(table))?;
        let end = loop {
            match queue.recv() {
                Ok(Block::Bytes(block)) => push_rows(&mut writer, &table.columns, &block)?,
                Ok(Block::End(end)) => break end,
                Ok(Block::Failed(error)) => return Err(error),
                Err(_) => return Err(Error::internal("a table's reader ended without a word")),
            }
        };
        writer.end_table()?;
        ends.push((table.name.clone(), end));
    }
    writer.finish()?;
    Ok(ends)
}

fn head(table: &Table) -> json::Table {
    let column = |column: &Column| json::Column {
        name: column.name.clone(),
        declared_type: column.declared.clone(),
        ..json::Column::default()
    };
    json::Table {
        name: TableName::plain(&table.name),
        // Computed columns compute themselves again.
        columns: table.columns.iter().filter(|column| !column.generated).map(column).collect(),
        primary_key: table.primary_key.clone(),
        more: Map::new(),
    }
}

fn push_rows<W: Write>(writer: &mut JsonWriter<W>, columns: &[Column], mut block: &[u8]) -> Result<()> {
    while let Some((length, rest)) = block.split_first_chunk::<4>() {
        let (mut row, rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or_else(|| Error::internal("a block of rows ends too early"))?;
        block = rest;
        writer.begin_row();
        for column in columns {
            let field = next_field(&mut row)?;
            if !column.generated {
                writer.value(field_of(column, field)?)?;
            }
        }
        writer.end_row()?;
    }
    Ok(())
}

/// A field in the document's terms.
pub(crate) fn field_of<'a>(column: &Column, field: Option<&'a [u8]>) -> Result<ValueRef<'a>> {
    let Some(bytes) = field else { return Ok(ValueRef::Null) };
    let text = || {
        std::str::from_utf8(bytes)
            .map_err(|_| Error::internal(format!("column {}: a number or time that is not text", column.name)))
    };
    Ok(match column.kind {
        Kind::Bytes => ValueRef::Blob(bytes),
        Kind::Enum if bytes.is_empty() => ValueRef::Integer(0),
        Kind::Float => ValueRef::Real(text()?.parse().map_err(|_| Error::internal("a float that is none"))?),
        Kind::Number if column.decimal => ValueRef::Decimal(text()?),
        Kind::Number => {
            let text = text()?;
            match (text.parse(), text.parse()) {
                (Ok(signed), _) => ValueRef::Integer(signed),
                (_, Ok(unsigned)) => ValueRef::Unsigned(unsigned),
                _ => ValueRef::Decimal(text),
            }
        }
        _ => ValueRef::text(bytes),
    })
}

fn schema_to_document(schema: &Schema) -> Result<(Vec<SchemaObject>, Settings)> {
    let mut objects = Vec::new();
    for sequence in &schema.sequences {
        objects.push(to_object("sequence", sequence)?);
    }
    for table in &schema.tables {
        objects.push(to_object("table", table)?);
    }
    for object in &schema.objects {
        objects.push(to_object(&object.kind.sql().to_lowercase().replace(' ', "-"), object)?);
    }
    let settings = json!({
        "schemaVersion": schema.version, "database": schema.database, "characterSet": schema.character_set,
        "collation": schema.collation, "comment": schema.comment,
    });
    Ok((objects, settings.as_object().cloned().unwrap_or_default()))
}

fn to_object(kind: &str, value: &impl Serialize) -> Result<SchemaObject> {
    let json = serde_json::to_value(value).map_err(|cause| Error::internal(format!("writing the schema: {cause}")))?;
    let Json::Object(mut more) = json else { return Err(Error::internal("a schema object is no object")) };
    let mut take = |key: &str| more.remove(key).and_then(|value| value.as_str().map(str::to_owned));
    let (name, table, sql) = (take("name").unwrap_or_default(), take("table"), take("definition"));
    Ok(SchemaObject { kind: kind.to_owned(), name, table, sql, more })
}

fn from_object<T: DeserializeOwned>(object: &SchemaObject) -> Result<T> {
    let mut json = object.more.clone();
    json.insert("name".to_owned(), Json::from(object.name.clone()));
    if let Some(table) = &object.table {
        json.insert("table".to_owned(), Json::from(table.clone()));
    }
    json.insert("definition".to_owned(), Json::from(object.sql.clone().unwrap_or_default()));
    serde_json::from_value(Json::Object(json)).map_err(damaged)
}

/// The schema out of a document's head.
pub(crate) fn schema_from_document(header: &Header, objects: &[SchemaObject], settings: &Settings) -> Result<Schema> {
    let setting = |key: &str| settings.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let version = settings.get("schemaVersion").and_then(Json::as_u64).unwrap_or(0);
    if version > u64::from(SCHEMA_VERSION) {
        return Err(damaged(format_args!("its version is {version}, this build reads up to {SCHEMA_VERSION}")));
    }
    let mut schema = Schema {
        version: SCHEMA_VERSION,
        engine: header.engine.clone(),
        engine_version: header.engine_version.clone(),
        database: setting("database"),
        character_set: setting("characterSet"),
        collation: setting("collation"),
        comment: setting("comment"),
        tables: Vec::new(),
        sequences: Vec::new(),
        objects: Vec::new(),
    };
    for object in objects {
        match object.kind.as_str() {
            "table" => schema.tables.push(from_object::<Table>(object)?),
            "sequence" => schema.sequences.push(from_object::<Sequence>(object)?),
            _ => schema.objects.push(from_object::<Object>(object)?),
        }
    }
    Ok(schema)
}

/// Hands the document on in blocks.
struct BlockWriter<'a> {
    blocks: &'a Sender<Block>,
}

impl Write for BlockWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.blocks.send(Block::Bytes(bytes.to_vec())).map_err(|_| std::io::Error::other("the writer has ended"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
