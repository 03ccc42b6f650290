//! The planner's statistics of a new database, and its automatic vacuum, which would gather them at a bad time.
//!
//! Each table's are gathered when it has been read back, while others still come. Left for the end is what that could not
//! see: indexes on expressions, extended statistics, parents of partitions, materialized views, the catalog itself.

use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use crate::{Error, Result};
use std::collections::HashSet;

/// Keeps the automatic vacuum away, as far as the role may: it would come in the middle, read every table and hold locks that
/// indexes wait a second for. Frozen rows need no vacuum, and their tables' counts are set by [`gather`].
pub fn keep_vacuum_away(client: &mut Client) {
    // Only superusers may. Without it the restore takes longer, and is no less right.
    count_changes(client, false);
    // What waits for a vacuum's lock ends the vacuum after this time.
    let _ = client.batch_execute("SET deadlock_timeout = '100ms'");
}

/// Whether the automatic vacuum hears of what this session changes. Ordinary roles cannot choose: it does.
pub fn count_changes(client: &mut Client, counted: bool) {
    let _ = client.batch_execute(if counted { "SET track_counts = on" } else { "SET track_counts = off" });
}

/// Gathers the statistics of a table.
pub fn gather(client: &mut Client, table: &str) -> Result<()> {
    // With it, the counts of rows that are shown are right too; who may not set it has it on.
    count_changes(client, true);
    // A table that is not the role's own is passed over with a warning.
    let gathered = client.batch_execute(&format!("ANALYZE {table}"));
    count_changes(client, false);
    gathered.map_err(|error| database("gathering statistics", error))
}

/// Gathers what is left when everything is there, `done` being tables that need it no more, and makes all of it durable.
/// Answers of which tables it could not.
pub fn complete(client: &mut Client, done: &HashSet<(&str, &str)>, own_path: &OwnPath) -> Result<Vec<(String, Error)>> {
    let failed = |error| database("completing the restored database", error);
    let mut without = Vec::new();
    for row in client.query(LEFT, &[]).map_err(failed)? {
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
       OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast' AND NOT c.relisshared
   AND (c.relkind <> 'm' OR c.relispopulated)
 ORDER BY 1, 2";
