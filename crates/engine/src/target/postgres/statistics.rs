//! The planner's statistics of a new database.
//!
//! Each table's are gathered when its rows are in, while others still come; where an automatic vacuum follows, from a small
//! sample, the second of the three stages in which `vacuumdb --analyze-in-stages` goes through a database. The full sample is
//! left to the server, whose automatic vacuum counts these rows as not yet seen and comes within its minute or two. Left for the
//! end is what it never looks at or the tables' columns alone do not tell: indexes on expressions, extended statistics, parents
//! of partitions, materialized views, tables that keep the automatic vacuum away. The system's own tables come with statistics of
//! an empty database; it sees to them as well.

use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::sql::identifier;
use crate::{Error, Result};
use std::collections::HashSet;

const TARGET: &str = "default_statistics_target";
/// The sample has 300 rows for each unit of it.
const FIRST_TARGET: u32 = 10;

/// Prepares a session that brings rows. Answers whether an automatic vacuum follows.
pub fn prepare(client: &mut Client) -> Result<bool> {
    // An index that waits for the lock of an automatic vacuum ends it after this time. Only superusers may choose it; others
    // wait a second.
    let _ = client.batch_execute("SET deadlock_timeout = '100ms'");
    follows(client)
}

/// Whether an automatic vacuum follows.
fn follows(client: &mut Client) -> Result<bool> {
    let settings =
        "SELECT pg_catalog.current_setting('autovacuum')::bool AND pg_catalog.current_setting('track_counts')::bool";
    client.query_one(settings, &[]).map(|row| row.get(0)).map_err(|error| database("gathering statistics", error))
}

/// Gathers the first statistics of a table that has just been filled: all there will be, unless an automatic vacuum follows.
pub fn gather_first(client: &mut Client, table: &Table, vacuum_follows: bool) -> Result<()> {
    if !vacuum_follows || table.columns.is_empty() {
        return gather(client, &table.qualified());
    }
    // With its columns named the server still counts the table as one to be analyzed.
    let columns = table.columns.iter().map(|column| identifier(column)).collect::<Vec<_>>().join(", ");
    let target = format!(
        "SELECT pg_catalog.set_config('{TARGET}', least({FIRST_TARGET}, reset_val::int)::text, false)
           FROM pg_catalog.pg_settings WHERE name = '{TARGET}'"
    );
    let gathered =
        client.batch_execute(&format!("{target}; ANALYZE {} ({columns}); RESET {TARGET}", table.qualified()));
    gathered.map_err(|error| database("gathering statistics", error))
}

/// Gathers the statistics of a table. One that is not the role's own is passed over with a warning.
fn gather(client: &mut Client, table: &str) -> Result<()> {
    client.batch_execute(&format!("ANALYZE {table}")).map_err(|error| database("gathering statistics", error))
}

/// Gathers what is left when everything is there, `done` being tables that need it no more, and makes all of it durable.
/// Answers of which tables it could not.
pub fn complete(client: &mut Client, done: &HashSet<(&str, &str)>, own_path: &OwnPath) -> Result<Vec<(String, Error)>> {
    let failed = |error| database("completing the restored database", error);
    let mut without = Vec::new();
    let vacuum_follows = follows(client)?;
    for row in client.query(LEFT, &[&vacuum_follows]).map_err(failed)? {
        let (schema, name, again): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
        if again || !done.contains(&(schema.as_str(), name.as_str())) {
            let table = Table { schema, name, ..Table::default() };
            let qualified = table.qualified();
            if let Err(error) = own_path.attempt_on(client, &table, |client| gather(client, &qualified)) {
                without.push((qualified, error));
            }
        }
    }
    // The first commit that waits for the disk again: with it everything before is durable. It must write something, which
    // any role may do so.
    let durable =
        "SET synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'strongroom', 'restored')";
    client.batch_execute(durable).map_err(failed)?;
    Ok(without)
}

/// All that has statistics, and whether they are more than its rows alone tell.
const LEFT: &str = "
SELECT n.nspname::text, c.relname::text,
       c.relkind <> 'r' OR c.relhassubclass
       OR EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o
                   WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::bool)
       OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast' AND NOT c.relisshared
   AND (c.relkind <> 'm' OR c.relispopulated) AND NOT ($1 AND n.nspname IN ('pg_catalog', 'information_schema'))
 ORDER BY 1, 2";
