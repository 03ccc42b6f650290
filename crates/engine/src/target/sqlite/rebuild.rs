//! Builds a database file from the JSON document.
//!
//! Tables are made by their own definitions, rows are inserted with their row ids, indexes follow. Virtual tables, views
//! and triggers need no b-tree: their rows go straight into `sqlite_schema`, so that modules, functions and tables which
//! they name need not be known here, and no trigger fires. The document may come from a stranger: only statements that
//! create a table or an index are run, one each.

use crate::export::Value;
use crate::export::json::{JsonReader, SchemaObject, Settings, Table};
use crate::source::sqlite::open::{create_scratch, explain, quote};
use crate::source::sqlite::schema::{self, TableShape};
use crate::{Error, ErrorKind, Result};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use vault::Progress;

/// Rows between two looks at whether to stop.
const ROWS_PER_LOOK: u64 = 8192;

/// Rows of `sqlite_sequence`, which wait until all others are in place: one a table.
const SEQUENCE_ROWS_MAX: usize = 1_000_000;

/// Builds the file at `path`, which must not exist. It is complete when this returns, but not yet durable.
pub(super) fn rebuild(content: impl Read, path: &Path, progress: &dyn Progress) -> Result<()> {
    let mut reader = JsonReader::new(content)?;
    if reader.header().engine != "sqlite" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the document holds a database of {}, not of SQLite", reader.header().engine),
            "Restore it into a component of that kind.",
        ));
    }
    let connection = create_scratch(path)?;
    let mut builder = Builder::new(&connection, path, reader.settings(), progress);
    builder.prepare(reader.settings())?;
    builder.create_tables(reader.schema())?;
    let mut row = Vec::new();
    while let Some(table) = reader.next_table()? {
        builder.load(&table, || Ok(reader.next_row(&mut row)?.then(|| std::mem::take(&mut row))))?;
    }
    builder.load_sequences()?;
    builder.create_the_rest(reader.schema())?;
    builder.complete(reader.settings())?;
    reader.finish()?;
    connection.close().map_err(|(_, cause)| explain(path, cause))
}

/// Tries the definitions of a document on a database in memory, without rows: what fails here would fail at a restore.
pub(crate) fn try_definitions(schema: &[SchemaObject], settings: &Settings) -> Result<()> {
    let path = Path::new(":memory:");
    let connection = create_scratch(path)?;
    let builder = Builder::new(&connection, path, settings, &vault::Silent);
    builder.prepare(settings)?;
    builder.create_tables(schema)?;
    builder.create_the_rest(schema)?;
    builder.complete(settings)
}

struct Builder<'a> {
    connection: &'a Connection,
    path: &'a Path,
    progress: &'a dyn Progress,
    utf16: bool,
    sequence_names: Vec<String>,
    sequences: Vec<Vec<Value>>,
    rows: u64,
}

impl<'a> Builder<'a> {
    fn new(connection: &'a Connection, path: &'a Path, settings: &Settings, progress: &'a dyn Progress) -> Self {
        Self {
            connection,
            path,
            progress,
            utf16: settings.get("encoding").is_some_and(|encoding| encoding != "UTF-8"),
            sequence_names: Vec::new(),
            sequences: Vec::new(),
            rows: 0,
        }
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|cause| explain(self.path, cause))
    }

    /// What has to be settled before the first page is written.
    fn prepare(&self, settings: &Settings) -> Result<()> {
        let encoding = settings.get("encoding").and_then(|value| value.as_str()).unwrap_or("UTF-8");
        if !["UTF-8", "UTF-16le", "UTF-16be"].contains(&encoding) {
            return Err(not_sqlite(format_args!("the encoding {encoding:?} is unknown")));
        }
        self.run(&format!("PRAGMA encoding = '{encoding}'"))?;
        for name in ["page_size", "auto_vacuum"] {
            self.run(&format!("PRAGMA {name} = {}", number(settings, name)?))?;
        }
        // Writable: SQLite's own tables (`sqlite_stat1`) are made like others. Rules that rows broke in the source must
        // not keep them out here.
        self.run("PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON; PRAGMA writable_schema=ON; BEGIN")
    }

    fn create_tables(&self, schema: &[SchemaObject]) -> Result<()> {
        for table in schema.iter().filter(|object| object.kind == "table") {
            if table.name == "sqlite_sequence" && self.exists(&table.name)? {
                continue;
            }
            self.create(table, &["CREATE TABLE "])?;
        }
        Ok(())
    }

    fn exists(&self, table: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = ?1)";
        self.connection.query_row(sql, [table], |row| row.get(0)).map_err(|cause| explain(self.path, cause))
    }

    fn create(&self, object: &SchemaObject, starts: &[&str]) -> Result<()> {
        let sql = object.sql.as_deref().unwrap_or_default();
        if !starts.iter().any(|start| sql.starts_with(start)) {
            return Err(not_sqlite(format_args!("the definition of {} {} is none", object.kind, object.name)));
        }
        // Only the first statement is run.
        self.connection
            .execute(sql, [])
            .map(drop)
            .map_err(|cause| explain(self.path, cause).within(format_args!("creating {} {}", object.kind, object.name)))
    }

    fn load(&mut self, table: &Table, mut next: impl FnMut() -> Result<Option<Vec<Value>>>) -> Result<()> {
        if table.name.schema.is_some() || !self.exists(&table.name.name)? {
            return Err(not_sqlite(format_args!("table {} has rows but no definition", table.name)));
        }
        let shape = schema::shape(self.connection, self.path, &table.name.name)?;
        let names = insert_names(table, &shape)?;
        if shape.name == "sqlite_sequence" {
            self.sequence_names.clone_from(&names);
        }
        let insert = |raw: &[bool]| insert_statement(&shape.name, &names, raw);
        let prepare = |sql: &str| self.connection.prepare(sql).map_err(|cause| explain(self.path, cause));
        let mut statement = prepare(&insert(&vec![false; names.len()]))?;
        while let Some(row) = next()? {
            self.rows += 1;
            if self.rows.is_multiple_of(ROWS_PER_LOOK) {
                self.progress.check_cancelled()?;
            }
            if shape.name == "sqlite_sequence" {
                if self.sequences.len() == SEQUENCE_ROWS_MAX {
                    return Err(not_sqlite("sqlite_sequence has too many rows"));
                }
                self.sequences.push(row);
                continue;
            }
            let raw = row.iter().map(|value| matches!(value, Value::RawText(_))).collect::<Vec<_>>();
            let inserted = if self.utf16 && raw.contains(&true) {
                insert_row(&mut prepare(&insert(&raw))?, &row, true)
            } else {
                insert_row(&mut statement, &row, false)
            };
            inserted.map_err(|cause| explain(self.path, cause).within(format_args!("table {}", table.name)))?;
        }
        Ok(())
    }

    /// Inserting into other tables has counted here: what the document says replaces it.
    fn load_sequences(&mut self) -> Result<()> {
        if !self.exists("sqlite_sequence")? {
            return Ok(());
        }
        self.run("DELETE FROM sqlite_sequence")?;
        if self.sequences.is_empty() {
            return Ok(());
        }
        let names = &self.sequence_names;
        let sql = insert_statement("sqlite_sequence", names, &vec![false; names.len()]);
        let mut statement = self.connection.prepare(&sql).map_err(|cause| explain(self.path, cause))?;
        for row in &self.sequences {
            insert_row(&mut statement, row, false).map_err(|cause| explain(self.path, cause))?;
        }
        Ok(())
    }

    fn create_the_rest(&self, schema: &[SchemaObject]) -> Result<()> {
        for object in schema {
            self.progress.check_cancelled()?;
            match object.kind.as_str() {
                // Those without a definition came with their table.
                "index" if object.sql.is_some() => self.create(object, &["CREATE INDEX ", "CREATE UNIQUE INDEX "])?,
                "index" | "table" => {}
                "virtual table" => self.enter("table", object)?,
                "view" | "trigger" => self.enter(&object.kind, object)?,
                other => return Err(not_sqlite(format_args!("the kind {other:?} is unknown"))),
            }
        }
        Ok(())
    }

    fn enter(&self, kind: &str, object: &SchemaObject) -> Result<()> {
        let sql = "INSERT INTO main.sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES (?1, ?2, ?3, 0, ?4)";
        let table = object.table.as_ref().unwrap_or(&object.name);
        let entered = self.connection.execute(sql, params![kind, object.name, table, object.sql]);
        entered.map(drop).map_err(|cause| explain(self.path, cause))
    }

    fn complete(&self, settings: &Settings) -> Result<()> {
        self.run("COMMIT; PRAGMA writable_schema=OFF")?;
        let cookie: i64 = self
            .connection
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .map_err(|cause| explain(self.path, cause))?;
        self.run(&format!("PRAGMA schema_version = {}", cookie + 1))?;
        for name in ["user_version", "application_id"] {
            self.run(&format!("PRAGMA {name} = {}", number(settings, name)?))?;
        }
        if settings.get("journal_mode").is_some_and(|mode| mode == "wal") {
            self.run("PRAGMA journal_mode=WAL")?;
        }
        Ok(())
    }
}

/// Columns as the document has them: exactly those that hold values, and the row id where it says so.
fn insert_names(table: &Table, shape: &TableShape) -> Result<Vec<String>> {
    let known = shape.columns.iter().map(|(name, _)| name.as_str()).collect::<HashSet<_>>();
    let rowid = table.more.get("rowid").and_then(|name| name.as_str());
    let mut names = Vec::new();
    for column in &table.columns {
        if Some(column.name.as_str()) == rowid {
            let alias =
                shape.hidden_rowid().ok_or_else(|| not_sqlite(format_args!("table {} has no row ids", table.name)))?;
            names.push(alias.to_owned());
        } else if known.contains(column.name.as_str()) {
            names.push(column.name.clone());
        } else {
            return Err(not_sqlite(format_args!("table {} has no column {:?}", table.name, column.name)));
        }
    }
    if names.len() < known.len() {
        return Err(not_sqlite(format_args!("table {} lacks a column", table.name)));
    }
    Ok(names)
}

/// `raw` columns get their text as bytes in the database's own encoding.
fn insert_statement(table: &str, names: &[String], raw: &[bool]) -> String {
    let columns = names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    let values = (1..).zip(raw).map(|(at, raw)| if *raw { format!("CAST(?{at} AS TEXT)") } else { format!("?{at}") });
    let values = values.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {}({columns}) VALUES ({values})", schema::qualified(table))
}

fn insert_row(statement: &mut rusqlite::Statement<'_>, row: &[Value], raw_as_blob: bool) -> rusqlite::Result<()> {
    for (at, value) in (1..).zip(row) {
        statement.raw_bind_parameter(at, Bound { value, raw_as_blob })?;
    }
    statement.raw_execute().map(drop)
}

struct Bound<'a> {
    value: &'a Value,
    raw_as_blob: bool,
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.value {
            Value::Null => ValueRef::Null,
            Value::Integer(n) => ValueRef::Integer(*n),
            Value::Real(x) if !x.is_nan() => ValueRef::Real(*x),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::RawText(bytes) if self.raw_as_blob => ValueRef::Blob(bytes),
            Value::RawText(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            other => {
                let error = not_sqlite(format_args!("SQLite has no value {other:?}"));
                return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error)));
            }
        }))
    }
}

fn number(settings: &Settings, name: &str) -> Result<i64> {
    settings
        .get(name)
        .and_then(serde_json::Value::as_i64)
        .ok_or_else(|| not_sqlite(format_args!("the setting {name} is missing or no number")))
}

fn not_sqlite(why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the JSON document does not describe a SQLite database: {why}"),
        "Use another copy of the backup, or an older one; the live database was not touched.",
    )
}
