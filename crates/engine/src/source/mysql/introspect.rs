//! Reads a database's schema from the server.
//!
//! Nothing that exists may be overlooked: what the account cannot see was refused before (see [`super::rights`]). Definitions
//! are the server's own (`SHOW CREATE …`), in UTF-8.

use super::schema::{
    Column, Kind, Object, ObjectKind, SCHEMA_VERSION, Schema, Sequence, Table, members, split_auto_increment,
    unqualify_sequences, unqualify_trigger, unqualify_view,
};
use super::session::{Flavour, Session, lossy, quote_name, quote_text, text_at};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// What a database holds, by name, before anything is read.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Tables with what information_schema says of each.
    pub tables: Vec<Listed>,
    pub sequences: Vec<String>,
    pub views: Vec<String>,
}

/// A table as it is listed.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub name: String,
    pub engine: String,
    pub data_bytes: u64,
    pub system_versioned: bool,
    pub transactional: bool,
    pub without_rows: bool,
}

/// Engines whose rows are not theirs, or that keep none.
const WITHOUT_ROWS: &[&str] = &["MRG_MyISAM", "MRG_MYISAM", "FEDERATED", "BLACKHOLE", "CONNECT", "SPIDER", "S3", "NDB"];
/// Engines that take part in a consistent snapshot.
const IN_SNAPSHOT: &[&str] = &["InnoDB", "ROCKSDB", "TokuDB"];

/// Lists tables, sequences and views, sorted by name.
pub(crate) fn names(session: &mut Session, database: &str) -> Result<Names> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, COALESCE(DATA_LENGTH, 0), COALESCE(TABLE_COMMENT, '') \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
        quote_text(database)
    ))?;
    let mut names = Names::default();
    for row in rows {
        let name = text_at(&row, 0);
        let engine = text_at(&row, 2);
        match text_at(&row, 1).as_str() {
            "VIEW" => names.views.push(name),
            "SEQUENCE" => names.sequences.push(name),
            kind @ ("BASE TABLE" | "SYSTEM VERSIONED") => {
                if engine.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Database,
                        format!("table {database}.{name} cannot be opened by its server: {}", text_at(&row, 4)),
                        "Repair it or drop it; a backup must not leave it out silently.",
                    ));
                }
                names.tables.push(Listed {
                    transactional: IN_SNAPSHOT.contains(&engine.as_str()),
                    without_rows: WITHOUT_ROWS.contains(&engine.as_str()),
                    data_bytes: text_at(&row, 3).parse().unwrap_or(0),
                    system_versioned: kind == "SYSTEM VERSIONED",
                    name,
                    engine,
                });
            }
            // A temporary table is its own session's affair.
            _ => {}
        }
    }
    names.tables.sort_by(|a, b| a.name.cmp(&b.name));
    names.sequences.sort();
    names.views.sort();
    Ok(names)
}

/// The database's own settings, with nothing in it yet.
pub(crate) fn database(session: &mut Session, database: &str) -> Result<Schema> {
    let comment = if session.flavour == Flavour::MariaDb && version(&session.version) >= (10, 5) {
        "SCHEMA_COMMENT"
    } else {
        "''"
    };
    let rows = session.rows(&format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, {comment} FROM information_schema.SCHEMATA \
         WHERE SCHEMA_NAME = {}",
        quote_text(database)
    ))?;
    let row = rows.first().cloned().unwrap_or_default();
    Ok(Schema {
        version: SCHEMA_VERSION,
        engine: session.flavour.name().to_owned(),
        engine_version: session.version.clone(),
        database: database.to_owned(),
        character_set: text_at(&row, 0),
        collation: text_at(&row, 1),
        comment: text_at(&row, 2),
        tables: Vec::new(),
        sequences: Vec::new(),
        objects: Vec::new(),
    })
}

/// `10.11.19-MariaDB` as (10, 11).
pub(crate) fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Definitions and columns of the listed tables.
pub(crate) fn tables(session: &mut Session, database: &str, listed: &[Listed]) -> Result<Vec<Table>> {
    let mut columns = columns(session, database)?;
    let mut keys = primary_keys(session, database)?;
    let with_history = session.flavour == Flavour::MariaDb && version(&session.version) >= (10, 11);
    let mut tables = Vec::with_capacity(listed.len());
    for table in listed {
        let definition = show(session, &format!("SHOW CREATE TABLE {}", quote_name(&table.name)))?;
        let definition = unqualify_sequences(&text_at(&definition, 1), database);
        let mut found = Table {
            auto_increment: split_auto_increment(&definition).1,
            definition,
            engine: table.engine.clone(),
            columns: columns.remove(&table.name).unwrap_or_default(),
            primary_key: keys.remove(&table.name).unwrap_or_default(),
            system_versioned: table.system_versioned && with_history,
            without_rows: table.without_rows,
            without_hash: false,
            non_transactional: !table.transactional,
            name: table.name.clone(),
        };
        period(&mut found, database)?;
        tables.push(found);
    }
    Ok(tables)
}

/// Row start and row end of a system-versioned table: read and written like any column where history comes along, else left out.
fn period(table: &mut Table, database: &str) -> Result<()> {
    let is_period = |column: &Column| column.generated && column.expression.as_deref() == Some("PERIOD");
    if table.columns.iter().any(|column| is_period(column) && column.declared.starts_with("bigint")) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("table {database}.{} is versioned by transaction numbers, which no copy can keep", table.name),
            "Version it by timestamps, or leave it out of this database.",
        ));
    }
    if !table.system_versioned {
        table.columns.retain(|column| !is_period(column));
        return Ok(());
    }
    if table.columns.iter().any(is_period) {
        for column in table.columns.iter_mut().filter(|column| column.expression.is_some()) {
            if column.expression.as_deref() == Some("PERIOD") {
                (column.generated, column.expression) = (false, None);
            }
        }
    } else {
        for name in ["row_start", "row_end"] {
            table.columns.push(Column {
                name: name.to_owned(),
                declared: "timestamp(6)".to_owned(),
                kind: Kind::Time,
                decimal: false,
                generated: false,
                expression: None,
            });
        }
    }
    Ok(())
}

fn columns(session: &mut Session, database: &str) -> Result<BTreeMap<String, Vec<Column>>> {
    let rows = show_all(
        session,
        &format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, EXTRA, GENERATION_EXPRESSION \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME, ORDINAL_POSITION",
            quote_text(database)
        ),
    )?;
    let mut columns = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        columns.entry(text_at(&row, 0)).or_default().push(column(&row, session.flavour));
    }
    Ok(columns)
}

fn column(row: &[super::session::Field], flavour: Flavour) -> Column {
    let (name, data_type, column_type) = (text_at(row, 1), text_at(row, 2).to_ascii_lowercase(), text_at(row, 3));
    let extra = text_at(row, 4).to_ascii_uppercase();
    let computed = text_at(row, 5);
    let generated =
        extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED") || extra.contains("PERSISTENT");
    let kind = kind(&data_type, &column_type, flavour);
    let quoted = quote_name(&name);
    let expression = match kind {
        _ if generated && matches!(computed.as_str(), "ROW START" | "ROW END") => Some("PERIOD".to_owned()),
        // A product keeps every digit and the sign of zero, whatever number of decimals the column shows.
        Kind::Float => Some(format!("{quoted} * 1e0")),
        Kind::Number if matches!(data_type.as_str(), "enum" | "set") => Some(format!("CAST({quoted} AS UNSIGNED)")),
        _ => None,
    };
    Column {
        kind,
        decimal: matches!(data_type.as_str(), "decimal" | "numeric"),
        generated,
        expression,
        name,
        declared: column_type,
    }
}

fn kind(data_type: &str, column_type: &str, flavour: Flavour) -> Kind {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "numeric" | "year" => Kind::Number,
        "float" | "double" | "real" => Kind::Float,
        "enum" | "set" if members(column_type).contains(&"") => Kind::Number,
        "enum" => Kind::Enum,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "set" => Kind::Text,
        "date" | "time" | "datetime" | "timestamp" => Kind::Time,
        "json" if flavour == Flavour::MySql => Kind::Json,
        "bit" | "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "geometry" | "point"
        | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon" | "geometrycollection"
        | "geomcollection" | "vector" => Kind::Bytes,
        _ => Kind::Other,
    }
}

fn primary_keys(session: &mut Session, database: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} \
         AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX",
        quote_text(database)
    ))?;
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        keys.entry(text_at(&row, 0)).or_default().push(text_at(&row, 1));
    }
    Ok(keys)
}

/// Sequences with their values.
pub(crate) fn sequences(session: &mut Session, database: &str, names: &[String]) -> Result<Vec<Sequence>> {
    let mut sequences = Vec::with_capacity(names.len());
    for name in names {
        let quoted = quote_name(name);
        let definition = show(session, &format!("SHOW CREATE SEQUENCE {quoted}"))?;
        let values = session.rows(&format!("SELECT * FROM {quoted}"))?;
        sequences.push(Sequence {
            name: name.clone(),
            definition: unqualify_sequences(&text_at(&definition, 1), database),
            values: values.first().map(|row| (0..row.len()).map(|at| text_at(row, at)).collect()).unwrap_or_default(),
        });
    }
    Ok(sequences)
}

/// Routines, views, triggers and events in the order in which they can be made.
pub(crate) fn objects(session: &mut Session, database: &str, views: &[String]) -> Result<Vec<Object>> {
    let mut objects = routines(session, database)?;
    for name in views {
        objects.push(view(session, database, name)?);
    }
    objects.extend(triggers(session, database)?);
    objects.extend(events(session, database)?);
    Ok(objects)
}

fn routines(session: &mut Session, database: &str) -> Result<Vec<Object>> {
    let rows = session.rows(&format!(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE BINARY ROUTINE_SCHEMA = {}",
        quote_text(database)
    ))?;
    let mut objects = Vec::with_capacity(rows.len());
    for row in rows {
        let kind = match text_at(&row, 0).as_str() {
            "FUNCTION" => ObjectKind::Function,
            "PROCEDURE" => ObjectKind::Procedure,
            "PACKAGE" => ObjectKind::Package,
            "PACKAGE BODY" => ObjectKind::PackageBody,
            other => return Err(unknown(database, other, &text_at(&row, 1))),
        };
        let name = text_at(&row, 1);
        let shown = show(session, &format!("SHOW CREATE {} {}", kind.sql(), quote_name(&name)))?;
        if shown.get(2).is_none_or(Option::is_none) {
            return Err(hidden(session, database, kind, &name));
        }
        objects.push(object(kind, name, [2, 1, 3, 4, 5], &shown));
    }
    objects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(objects)
}

fn view(session: &mut Session, database: &str, name: &str) -> Result<Object> {
    let shown = show(session, &format!("SHOW CREATE VIEW {}", quote_name(name)))?;
    let mut view = object(ObjectKind::View, name.to_owned(), [1, 9, 2, 3, 9], &shown);
    view.definition = unqualify_view(&view.definition, database);
    let works = session.try_execute(&format!("SELECT 1 FROM {} LIMIT 0", quote_name(name)))?;
    // A missing definer (1449) or missing right keeps a view from being read, not from being made anew.
    view.broken = matches!(works, Err((1356 | 1146 | 1054 | 1305, _)));
    if !view.broken {
        let columns = session.rows(&format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
             ORDER BY ORDINAL_POSITION",
            quote_text(database),
            quote_text(name)
        ))?;
        view.columns = columns.iter().map(|row| text_at(row, 0)).collect();
    }
    Ok(view)
}

fn triggers(session: &mut Session, database: &str) -> Result<Vec<Object>> {
    let rows = session.rows(&format!(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE BINARY TRIGGER_SCHEMA = {} \
         ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
        quote_text(database)
    ))?;
    let mut objects = Vec::with_capacity(rows.len());
    for row in rows {
        let name = text_at(&row, 0);
        let shown = show(session, &format!("SHOW CREATE TRIGGER {}", quote_name(&name)))?;
        let mut trigger = object(ObjectKind::Trigger, name, [2, 1, 3, 4, 5], &shown);
        trigger.table = Some(text_at(&row, 1));
        trigger.definition = unqualify_trigger(&trigger.definition, database);
        objects.push(trigger);
    }
    Ok(objects)
}

fn events(session: &mut Session, database: &str) -> Result<Vec<Object>> {
    let rows = session.rows(&format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE BINARY EVENT_SCHEMA = {}",
        quote_text(database)
    ))?;
    let mut objects = Vec::with_capacity(rows.len());
    for row in rows {
        let name = text_at(&row, 0);
        let shown = show(session, &format!("SHOW CREATE EVENT {}", quote_name(&name)))?;
        if shown.get(3).is_none_or(Option::is_none) {
            return Err(hidden(session, database, ObjectKind::Event, &name));
        }
        let mut event = object(ObjectKind::Event, name, [3, 1, 4, 5, 6], &shown);
        event.time_zone = text_at(&shown, 2);
        objects.push(event);
    }
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(objects)
}

/// `at`: where definition, SQL mode, client character set, connection collation and database collation stand in the row.
fn object(kind: ObjectKind, name: String, at: [usize; 5], row: &[super::session::Field]) -> Object {
    Object {
        kind,
        name,
        definition: text_at(row, at[0]),
        sql_mode: text_at(row, at[1]),
        character_set_client: text_at(row, at[2]),
        collation_connection: text_at(row, at[3]),
        database_collation: text_at(row, at[4]),
        table: None,
        time_zone: String::new(),
        columns: Vec::new(),
        broken: false,
    }
}

/// The first row of a SHOW statement, converted to UTF-8 by the server.
fn show(session: &mut Session, sql: &str) -> Result<Vec<super::session::Field>> {
    Ok(show_all(session, sql)?.into_iter().next().unwrap_or_default())
}

fn show_all(session: &mut Session, sql: &str) -> Result<Vec<Vec<super::session::Field>>> {
    session.execute("SET character_set_results = utf8mb4")?;
    let rows = session.rows(sql);
    session.execute("SET character_set_results = NULL")?;
    rows
}

fn unknown(database: &str, kind: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{database}.{name} is a {kind}, which this build cannot back up"),
        "Use a newer Strongroom, or drop it.",
    )
}

fn hidden(session: &Session, database: &str, kind: ObjectKind, name: &str) -> Error {
    let grant = match session.flavour {
        Flavour::MariaDb => {
            "GRANT SELECT ON mysql.proc TO the account (from MariaDB 11.3 on: GRANT SHOW CREATE ROUTINE)"
        }
        Flavour::MySql => "GRANT SHOW_ROUTINE ON *.* TO the account",
    };
    Error::new(
        ErrorKind::PermissionDenied,
        format!("the definition of {} {database}.{name} is hidden from this account", kind.sql().to_lowercase()),
        format!("{grant}, and try again: a backup must not leave it out."),
    )
}

/// Counts and sorted names that come from information_schema alone: indexes, foreign keys.
pub(crate) fn counts(session: &mut Session, database: &str) -> Result<BTreeMap<String, u64>> {
    let database = quote_text(database);
    let indexes = session.number(&format!(
        "SELECT COUNT(DISTINCT TABLE_NAME, INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {database}"
    ))?;
    let foreign_keys = session.number(&format!(
        "SELECT COUNT(*) FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {database} \
         AND CONSTRAINT_TYPE = 'FOREIGN KEY'"
    ))?;
    Ok(BTreeMap::from([("indexes".to_owned(), indexes), ("foreignKeys".to_owned(), foreign_keys)]))
}

/// Collations that the columns use, sorted: a server that lacks one cannot take the backup.
pub(crate) fn collations(session: &mut Session, database: &str) -> Result<Vec<String>> {
    let rows = session.rows(&format!(
        "SELECT DISTINCT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND COLLATION_NAME IS NOT NULL",
        quote_text(database)
    ))?;
    let mut names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).map(lossy).collect::<Vec<_>>();
    names.sort();
    Ok(names)
}
