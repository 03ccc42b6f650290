//! Values of the sequences that belong to a table's columns.

use crate::Result;
use crate::manifest::TableId;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Layout;
use crate::source::postgres::sql;

/// Puts the sequences of a table right: as in the backup where the table is new, and never behind what they are where it is not,
/// because a number that was given out once may be known elsewhere.
pub fn put_back(client: &mut Client, table: &TableId, layout: &Layout, was_there: bool) -> Result<()> {
    let what = || format!("setting the sequences of {table}");
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text, s.seqincrement
               FROM pg_catalog.pg_depend d
               JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
              WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = $1::text::pg_catalog.regclass",
            &[&super::qualified(table)],
        )
        .map_err(|error| database(what(), error))?;
    for row in rows {
        let (schema, name, increment): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
        let Some(then) = layout.sequences.iter().find(|then| then.schema == schema && then.name == name) else {
            continue;
        };
        let sequence = sql::qualified(&schema, &name);
        let now = client
            .query_one(&format!("SELECT last_value, is_called FROM {sequence}"), &[])
            .map_err(|error| database(what(), error))?;
        let (value, called): (i64, bool) = (now.get(0), now.get(1));
        let behind = if increment > 0 {
            (value, called) < (then.last_value, then.is_called)
        } else {
            (value, then.is_called) > (then.last_value, called)
        };
        if !was_there || behind {
            client
                .execute(
                    "SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2, $3)",
                    &[&sequence, &then.last_value, &then.is_called],
                )
                .map_err(|error| database(what(), error))?;
        }
    }
    Ok(())
}
