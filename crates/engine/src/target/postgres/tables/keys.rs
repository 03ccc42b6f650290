//! Foreign keys to and from tables whose rows are exchanged: taken away before, made again after. Making one again checks
//! every row, without the rights of a superuser that switching them off would need.

use super::{OwnPath, run, schema_of};
use crate::source::postgres::client::Client;
use crate::source::postgres::error::{self, database};
use crate::source::postgres::sql;
use crate::{ErrorKind, Result};
use tokio_postgres::error::SqlState;

/// A foreign key.
pub struct Key {
    /// `"schema"."table"` that has it.
    table: String,
    /// `"schema"."table"` that it refers to.
    refers_to: String,
    name: String,
    /// As the server writes it.
    definition: String,
    comment: Option<String>,
}

impl Key {
    /// Whether it is this constraint of this table, both without quotes.
    pub fn is(&self, (schema, table): &(String, String), constraint: &str) -> bool {
        self.name == constraint && unquoted(&self.table) == unquoted(&sql::qualified(schema, table))
    }
}

/// A key of a partition belongs to the partitioned table's: the outermost one is taken away, and takes those below along.
const KEYS: &str = "
WITH RECURSIVE keys AS (
  SELECT c.oid, c.conparentid FROM pg_catalog.pg_constraint c
   WHERE c.contype = 'f' AND (c.conrelid = ANY ($1::text[]::pg_catalog.regclass[]) OR c.confrelid = ANY ($1::text[]::pg_catalog.regclass[]))
  UNION SELECT p.oid, p.conparentid FROM pg_catalog.pg_constraint p JOIN keys k ON p.oid = k.conparentid)
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, t.relname), pg_catalog.format('%I.%I', rn.nspname, r.relname), c.conname::text,
       pg_catalog.pg_get_constraintdef(c.oid), pg_catalog.obj_description(c.oid, 'pg_constraint')
  FROM keys k JOIN pg_catalog.pg_constraint c ON c.oid = k.oid
  JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_catalog.pg_class r ON r.oid = c.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
 WHERE c.conparentid = 0 ORDER BY 1, 3";

/// Drops the foreign keys to and from these tables.
pub fn take_away(client: &mut Client, tables: &[String]) -> Result<Vec<Key>> {
    let rows = client.query(KEYS, &[&tables]).map_err(|error| database("looking for foreign keys", error))?;
    let keys: Vec<Key> = rows
        .iter()
        .map(|row| Key {
            table: row.get(0),
            refers_to: row.get(1),
            name: row.get(2),
            definition: row.get(3),
            comment: row.get(4),
        })
        .collect();
    for key in &keys {
        run(client, &format!("ALTER TABLE {} DROP CONSTRAINT {}", key.table, sql::identifier(&key.name)))?;
    }
    Ok(keys)
}

/// Makes them again, except those of tables that have gone.
pub fn make_again(client: &mut Client, keys: &[Key], gone: &[String], own_path: &OwnPath) -> Result<()> {
    let is_gone = |table: &String| gone.iter().any(|name| unquoted(name) == unquoted(table));
    for key in keys.iter().filter(|key| !is_gone(&key.table) && !is_gone(&key.refers_to)) {
        let name = sql::identifier(&key.name);
        let statement = format!("ALTER TABLE {} ADD CONSTRAINT {name} {}", key.table, key.definition);
        add(client, own_path, &statement, &key.table, &key.refers_to)?;
        if let Some(comment) = &key.comment {
            run(client, &format!("COMMENT ON CONSTRAINT {name} ON {} IS {}", key.table, sql::literal(comment)))?;
        }
    }
    Ok(())
}

/// Runs the statement that makes a foreign key.
pub fn add(client: &mut Client, own_path: &OwnPath, statement: &str, table: &str, refers_to: &str) -> Result<()> {
    own_path.attempt(client, schema_of(statement), |client| {
        client.batch_execute(statement).map(Ok).map_err(|failure| broken(table, refers_to, failure))
    })
}

/// Rows that refer to what would not be there are the user's to decide about.
fn broken(table: &str, refers_to: &str, failure: tokio_postgres::Error) -> crate::Error {
    let is_violation = error::is(&failure, &SqlState::FOREIGN_KEY_VIOLATION);
    let failed = database(format!("checking the foreign key of {table} to {refers_to}"), failure);
    if !is_violation {
        return failed;
    }
    crate::Error::new(
        ErrorKind::Refused,
        format!("rows of {table} would refer to rows of {refers_to} that are not there: {}", failed.message()),
        format!("Nothing was changed. Restore {table} and {refers_to} together, or the whole database."),
    )
}

/// Both ways of writing a name that needs no quotes.
fn unquoted(name: &str) -> String {
    name.replace('"', "")
}
