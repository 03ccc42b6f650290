//! What makes a native export restorable with `psql` alone.

use super::database_properties::DatabaseProperties;
use super::large_objects;
use super::layout::{Layout, Sequence, Table};
use super::rows::Taking;
use super::sql;
use std::fmt::Write;

/// The settings under which the rows were written; they must be read back under the same.
const SESSION: &str = "\\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET lc_monetary = 'C';
SET xmloption = content;
SET check_function_bodies = off;
SET client_min_messages = warning;
SET row_security = off;
SET statement_timeout = 0;
";

/// `restore.sql`: everything in its order, for `psql` in the folder of the export.
pub fn restore_sql(layout: &Layout, has_large_objects: bool) -> String {
    let mut text = format!(
        "-- Restores the PostgreSQL database {} into the empty database that psql is connected to.\n\
         -- Start it in this folder, or use restore.sh: psql -X -d NEW_DATABASE -f restore.sql\n\
         -- Roles that must exist: {}\n{SESSION}",
        one_line(&layout.database.name),
        one_line(&layout.roles.join(", "))
    );
    for statement in prepare_statements(layout) {
        let _ = writeln!(text, "{statement};");
    }
    text.push_str("\\i 1-pre-data.sql\n");
    for (number, table) in layout.tables.iter().enumerate() {
        let taking = Taking { raw_bytes: layout.database.encoding == "SQL_ASCII", ..Taking::default() };
        let file = sql::literal(&table.file(number));
        let statement = taking.copy_statement(table);
        if statement.contains(['\n', '\r']) {
            text.push_str(&copy_under_another_name(table, &file, taking));
        } else {
            let _ = writeln!(text, "{}", psql_copy(&statement, &file));
        }
    }
    text.push_str("\\i 3-sequences.sql\n");
    if has_large_objects {
        let _ = write!(
            text,
            "\\i 4-large-objects/1-definitions.sql\n{};\n\\copy pg_temp.strongroom_large_objects FROM '4-large-objects/2-data.copy'\n{};\n",
            large_objects::PREPARE,
            large_objects::PUT_BACK.trim()
        );
    }
    text.push_str("\\i 1-post-data.sql\n\\i globals.sql\nANALYZE;\n");
    text
}

/// `COPY … FROM STDIN …` as `psql`'s `\copy` from a file.
fn psql_copy(statement: &str, file: &str) -> String {
    let (target, options) = statement.rsplit_once(" FROM STDIN").unwrap_or((statement, ""));
    format!("\\{} FROM {file}{options}", target.replacen("COPY", "copy", 1))
}

/// `\copy` is one line: a table whose names hold line breaks is moved aside for it. Without a list it takes the same columns.
fn copy_under_another_name(table: &Table, file: &str, taking: Taking) -> String {
    let (schema, name) = (sql::identifier(&table.schema), sql::identifier(&table.name));
    let aside = Table {
        schema: "strongroom_aside".to_owned(),
        name: "strongroom_rows".to_owned(),
        columns: Vec::new(),
        ..table.clone()
    };
    let copy = psql_copy(&taking.copy_statement(&aside), file);
    format!(
        "CREATE SCHEMA strongroom_aside;\nALTER TABLE {schema}.{name} RENAME TO strongroom_rows;\n\
         ALTER TABLE {schema}.strongroom_rows SET SCHEMA strongroom_aside;\n{copy}\n\
         ALTER TABLE strongroom_aside.strongroom_rows SET SCHEMA {schema};\n\
         ALTER TABLE {schema}.strongroom_rows RENAME TO {name};\nDROP SCHEMA strongroom_aside;\n"
    )
}

/// What an empty database has that this one had not: the schema `public` and the language.
pub fn prepare_statements(layout: &Layout) -> Vec<String> {
    let mut statements = Vec::new();
    if !layout.schemas.iter().any(|schema| schema == "public") {
        statements.push("DROP SCHEMA IF EXISTS public".to_owned());
    }
    if !layout.extensions.iter().any(|extension| extension == "plpgsql") {
        statements.push("DROP EXTENSION IF EXISTS plpgsql".to_owned());
    }
    statements
}

/// `3-sequences.sql`.
pub fn sequences_sql(sequences: &[Sequence]) -> String {
    let mut text = String::new();
    for sequence in sequences {
        let name = sql::literal(&sql::qualified(&sequence.schema, &sequence.name));
        let _ = writeln!(text, "SELECT pg_catalog.setval({name}, {}, {});", sequence.last_value, sequence.is_called);
    }
    text
}

/// `globals.sql`: what belongs to the database as a whole, for the database that `psql` is connected to.
pub fn globals_sql(database: &DatabaseProperties) -> String {
    let mut text = String::new();
    for statement in database.statements(":\"DBNAME\"") {
        let _ = writeln!(text, "{statement};");
    }
    text
}

/// `restore.sh`.
pub const RESTORE_SH: &str = "#!/bin/sh
# Restores this export with psql alone: createdb NEW && ./restore.sh -d NEW   (arguments go to psql)
set -eu
cd \"$(dirname \"$0\")\"
exec psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f restore.sql \"$@\"
";

/// A comment must not end in the middle.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
