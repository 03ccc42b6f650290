//! The SQL files of a backup, for people with nothing but the server's own client; and the statements that they and our own
//! restore share.

use super::schema::{Object, ObjectKind, Schema, Sequence, Table, split_auto_increment};
use super::session::{quote_name, quote_text};

/// What a session needs to load rows exactly.
pub(crate) const SESSION_FOR_ROWS: &[&str] = &[
    "SET NAMES binary;",
    "SET SESSION time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', foreign_key_checks = 0, \
     unique_checks = 0;",
    "/*M! SET SESSION check_constraint_checks = 0 */;",
];

/// What a session needs to make tables.
pub(crate) const SESSION_FOR_TABLES: &[&str] = &[
    "SET NAMES utf8mb4;",
    "SET SESSION time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', foreign_key_checks = 0, \
     unique_checks = 0;",
    "/*M!100804 SET SESSION explicit_defaults_for_timestamp = 1 */;",
    "/*M! SET SESSION innodb_strict_mode = 0 */;",
];

/// A string that stands at the end of a statement whose text may hold any `;`.
fn delimiter(schema: &Schema) -> String {
    let mut delimiter = ";;".to_owned();
    while schema.objects.iter().any(|object| object.definition.contains(&delimiter)) {
        delimiter.push(';');
    }
    delimiter
}

/// `ALTER DATABASE` to these defaults.
pub(crate) fn alter_database(database: &str, character_set: &str, collation: &str, comment: &str) -> String {
    let comment = if comment.is_empty() { String::new() } else { format!(" COMMENT {}", quote_text(comment)) };
    format!("ALTER DATABASE {} CHARACTER SET {character_set} COLLATE {collation}{comment}", quote_name(database))
}

/// The statements that make a sequence and set its values.
pub(crate) fn sequence(sequence: &Sequence) -> [String; 2] {
    let name = quote_name(&sequence.name);
    [sequence.definition.clone(), format!("INSERT INTO {name} VALUES ({})", sequence.values.join(", "))]
}

/// A view of the right name and columns that depends on nothing, so that views can be made in any order.
pub(crate) fn stand_in(view: &Object) -> String {
    let columns = view.columns.iter().map(|column| format!("1 AS {}", quote_name(column))).collect::<Vec<_>>();
    format!("CREATE OR REPLACE VIEW {} AS SELECT {}", quote_name(&view.name), columns.join(", "))
}

/// The settings under which an object is made: the server keeps them with it.
pub(crate) fn object_session(object: &Object) -> Vec<String> {
    // Definitions are UTF-8 whatever the client was that made them.
    let client = if object.character_set_client.starts_with("utf8") { &object.character_set_client } else { "utf8mb4" };
    let mut sql =
        vec![format!("SET character_set_client = {client}, collation_connection = {}", object.collation_connection)];
    // A view's text was written down by a session without any mode; it keeps none itself.
    sql.push(format!("SET SESSION sql_mode = {}", quote_text(&object.sql_mode)));
    if !object.time_zone.is_empty() {
        sql.push(format!("SET SESSION time_zone = {}", quote_text(&object.time_zone)));
    }
    sql
}

/// The statement that makes an object, replacing a stand-in where it is a view.
pub(crate) fn create_object(object: &Object) -> String {
    match object.kind {
        ObjectKind::View => or_replace(&object.definition),
        _ => object.definition.clone(),
    }
}

/// `CREATE OR REPLACE …`.
pub(crate) fn or_replace(definition: &str) -> String {
    match definition.strip_prefix("CREATE ") {
        Some(rest) if !rest.starts_with("OR REPLACE") => format!("CREATE OR REPLACE {rest}"),
        _ => definition.to_owned(),
    }
}

/// Tables in the order in which they are made: a MERGE table names others, which must be there.
pub(crate) fn in_order(schema: &Schema) -> impl Iterator<Item = &Table> {
    let (last, first): (Vec<_>, Vec<_>) = schema.tables.iter().partition(|table| table.without_rows);
    first.into_iter().chain(last)
}

/// `1-schema/tables.sql`: sequences and tables, for the client.
pub(crate) fn tables_file(schema: &Schema) -> String {
    let head =
        format!("-- Sequences and tables of {}.\n{}\n", one_line(&schema.database), SESSION_FOR_TABLES.join("\n"));
    let sequences = schema.sequences.iter().flat_map(sequence).map(|statement| format!("{statement};\n"));
    let tables = in_order(schema).map(|table| format!("\n{};\n", table.definition));
    std::iter::once(head).chain(sequences).chain(tables).collect()
}

/// `3-routines-events-triggers-views.sql`, for the client.
pub(crate) fn objects_file(schema: &Schema) -> String {
    let end = delimiter(schema);
    let views = schema.of(ObjectKind::View).filter(|view| !view.broken);
    let mut text = format!(
        "-- Routines, views, triggers and events of {}.\nSET NAMES utf8mb4;\nSET @old_sql_mode = @@SESSION.sql_mode;\n{}DELIMITER {end}\n",
        one_line(&schema.database),
        views.map(|view| format!("{};\n", stand_in(view))).collect::<Vec<_>>().concat(),
    );
    for object in &schema.objects {
        let mut statements = object_session(object);
        statements.push(create_object(object));
        let made = statements.iter().map(|statement| format!("{statement}{end}\n")).collect::<Vec<_>>().concat();
        if object.broken {
            text.push_str("-- Not made: this view did not work in the source either.\n");
            text.extend(made.lines().map(|line| format!("-- {line}\n")));
        } else {
            text.push_str(&made);
        }
    }
    text.push_str("DELIMITER ;\nSET SESSION sql_mode = @old_sql_mode, time_zone = DEFAULT;\nSET NAMES utf8mb4;\n");
    text
}

/// `restore.sql`: everything, by hand.
pub(crate) fn restore_file(schema: &Schema, data_files: &[String]) -> String {
    format!(
        "-- Restores the database {} with the server's own client alone. In the folder of this file:\n\
         --\n\
         --   mariadb -e 'CREATE DATABASE restored CHARACTER SET {} COLLATE {}'\n\
         --   mariadb --default-character-set=utf8mb4 --max-allowed-packet=1G restored < restore.sql\n\
         --\n\
         -- ({} {}; with MySQL the program is called mysql.) It stops at the first error.\n\n\
         source 1-schema/tables.sql\n{}source 3-routines-events-triggers-views.sql\n",
        one_line(&schema.database),
        schema.character_set,
        schema.collation,
        schema.engine,
        one_line(&schema.engine_version),
        data_files.iter().map(|file| format!("source {file}\n")).collect::<Vec<_>>().concat(),
    )
}

/// The name of a table's file: the table's own where it is plain, encoded where it is not, and never too long.
pub(crate) fn data_file(table: &str) -> String {
    use std::fmt::Write;
    let name = table.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$') {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
        name
    });
    if name.len() <= 180 {
        return format!("2-data/{name}.sql");
    }
    let hash = blake3::hash(table.as_bytes()).to_hex();
    format!("2-data/{}-{}.sql", &name[..150], &hash[..16])
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// The text that the schema's hash is taken over: every definition, without counters and without whether events are enabled.
pub(crate) fn canonical(schema: &Schema) -> Vec<u8> {
    let mut lines = vec![format!("database {} {} {}", schema.character_set, schema.collation, schema.comment)];
    for table in &schema.tables {
        lines.push(format!("table {}\n{}", table.name, split_auto_increment(&table.definition).0));
    }
    for sequence in &schema.sequences {
        lines.push(format!("sequence {}\n{}", sequence.name, sequence.definition));
    }
    for object in schema.objects.iter().filter(|object| !object.broken) {
        lines.push(format!(
            "{} {}\n{}\n{} {} {} {}",
            object.kind.sql(),
            object.name,
            if object.kind == ObjectKind::Event {
                set_event_status(&object.definition, "ENABLE")
            } else {
                object.definition.clone()
            },
            object.sql_mode,
            object.collation_connection,
            object.database_collation,
            object.time_zone,
        ));
    }
    // A length before each part: no two schemas have the same text.
    lines.iter().flat_map(|line| [line.len().to_string().as_bytes(), b"\n", line.as_bytes()].concat()).collect()
}

/// Replaces `ENABLE`, `DISABLE` or `DISABLE ON SLAVE` in what SHOW CREATE EVENT gives.
pub(crate) fn set_event_status(definition: &str, status: &str) -> String {
    // The status follows `ON COMPLETION [NOT] PRESERVE `, before the comment and the body; the schedule before it holds
    // expressions in quotes at most.
    let Some(at) = definition.find(" PRESERVE ").map(|at| at + " PRESERVE ".len()) else {
        return definition.to_owned();
    };
    let rest = &definition[at..];
    let old =
        ["DISABLE ON SLAVE", "DISABLE ON REPLICA", "DISABLE", "ENABLE"].iter().find(|word| rest.starts_with(**word));
    old.map_or_else(|| definition.to_owned(), |old| format!("{}{status}{}", &definition[..at], &rest[old.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_file_has_a_safe_name_of_its_own() {
        assert_eq!(data_file("users"), "2-data/users.sql");
        assert_eq!(data_file("a/b é"), "2-data/a%2Fb%20%C3%A9.sql");
        let (a, b) = (data_file(&"é".repeat(64)), data_file(&format!("{}x", "é".repeat(63))));
        assert!(a.len() < 200 && a != b);
    }

    #[test]
    fn an_event_is_enabled_and_disabled_in_its_head() {
        let sql = "CREATE DEFINER=`r`@`h` EVENT `e` ON SCHEDULE EVERY 1 HOUR STARTS '2026-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE COMMENT 'DISABLE' DO SELECT 1";
        let off = set_event_status(sql, "DISABLE");
        assert!(off.contains("PRESERVE DISABLE COMMENT 'DISABLE' DO"));
        assert_eq!(set_event_status(&off, "ENABLE"), sql);
    }
}
