//! The figures of a database, from wherever a client looks: inside the dump's snapshot, or at what was restored.

use super::client::Client;
use super::large_objects;
use super::layout::{Layout, Table, one, rows};
use super::prefetch;
use super::rows::Reading;
use super::statements;
use crate::Result;
use crate::manifest::{DatabaseFigures, TableFigures};
use std::collections::{BTreeMap, BTreeSet};

/// Everything but rows and schema, which cost more.
pub fn of_catalog(client: &mut Client, layout: &Layout) -> Result<DatabaseFigures> {
    let mut objects: BTreeMap<String, u64> = rows(client, OBJECTS)?
        .into_iter()
        .map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1).unsigned_abs()))
        .collect();
    objects.insert("sequences".to_owned(), layout.sequences.len() as u64);
    objects.insert("extensions".to_owned(), layout.extensions.len() as u64);
    objects.insert("schemas".to_owned(), layout.schemas.len() as u64);
    let list = |names: &[String]| serde_json::Value::from(names.to_vec()).to_string();
    let database = &layout.database;
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let mut values = BTreeMap::from([
        ("encoding".to_owned(), database.encoding.clone()),
        ("collate".to_owned(), database.collate.clone()),
        ("ctype".to_owned(), database.ctype.clone()),
        ("extensions".to_owned(), list(&layout.extensions)),
        ("schemas".to_owned(), list(&layout.schemas)),
        ("roles".to_owned(), list(&layout.roles)),
        ("databaseSettings".to_owned(), json(serde_json::to_string(&database.settings))),
        ("databaseGrants".to_owned(), json(serde_json::to_string(&database.grants))),
    ]);
    for sequence in &layout.sequences {
        let called = if sequence.is_called { "" } else { " (not yet given out)" };
        values.insert(
            format!("sequence {}.{}", sequence.schema, sequence.name),
            format!("{}{called}", sequence.last_value),
        );
    }
    Ok(DatabaseFigures {
        engine: "postgresql".to_owned(),
        engine_version: layout.server_version.clone(),
        schema_hash: String::new(),
        tables: Vec::new(),
        objects,
        values,
        image_seal: None,
        partitioned: layout.partitioned.clone(),
    })
}

/// All figures: `clients` read the rows, the first of them everything else. The tables of `known` were read before.
pub fn measure(
    clients: &mut [Client],
    layout: &Layout,
    known: Vec<TableFigures>,
    reading: &Reading,
) -> Result<DatabaseFigures> {
    let read: BTreeSet<_> =
        known.iter().map(|found| (found.schema.as_deref().unwrap_or_default(), &*found.name)).collect();
    let left: Vec<Table> =
        layout.tables.iter().filter(|table| !read.contains(&(&*table.schema, &*table.name))).cloned().collect();
    let mut tables = prefetch::figures(clients, &left, reading)?;
    tables.extend(known);
    let Some(client) = clients.first_mut() else {
        return Err(crate::Error::internal("measuring a database needs a connection"));
    };
    tables.push(large_objects::read(client, reading, &mut |_| Ok(()))?);
    let mut figures = of_catalog(client, layout)?;
    complete(&mut figures, tables, &[]);
    Ok(figures)
}

/// Adds what was found out while the rows were read.
pub fn complete(figures: &mut DatabaseFigures, mut tables: Vec<TableFigures>, schema: &[&str]) {
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    figures.tables = tables;
    figures.schema_hash = statements::hash(schema);
}

/// Bytes of the whole database, for planning.
pub fn database_bytes(client: &mut Client) -> Result<u64> {
    let row = one(client, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Counts of what belongs to the user: not to the system, not to an extension, not to a table as its internals.
const OBJECTS: &str = "
WITH spaces AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
     members AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
     relations AS (
       SELECT c.oid, c.relkind, c.relispartition FROM pg_catalog.pg_class c
        WHERE c.relnamespace IN (SELECT oid FROM spaces)
          AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = c.oid)),
     routines AS (
       SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace IN (SELECT oid FROM spaces)
          AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND objid = p.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                AND d.objid = p.oid AND d.deptype = 'i')),
     types AS (
       SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typnamespace IN (SELECT oid FROM spaces)
          AND t.typtype IN ('d', 'e', 'r', 'c', 'b') AND t.typelem = 0
          AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND objid = t.oid)
          AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
SELECT 'tables', count(*) FROM relations WHERE relkind = 'r'
UNION ALL SELECT 'partitionedTables', count(*) FROM relations WHERE relkind = 'p'
UNION ALL SELECT 'partitions', count(*) FROM relations WHERE relispartition AND relkind IN ('r', 'p', 'f')
UNION ALL SELECT 'foreignTables', count(*) FROM relations WHERE relkind = 'f'
UNION ALL SELECT 'views', count(*) FROM relations WHERE relkind = 'v'
UNION ALL SELECT 'materializedViews', count(*) FROM relations WHERE relkind = 'm'
UNION ALL SELECT 'materializedViewsPopulated', count(*) FROM relations JOIN pg_catalog.pg_class USING (oid)
           WHERE relations.relkind = 'm' AND relispopulated
UNION ALL SELECT 'indexes', count(*) FROM relations WHERE relkind IN ('i', 'I')
UNION ALL SELECT 'indexesInvalid', count(*) FROM relations JOIN pg_catalog.pg_index ON indexrelid = oid
           WHERE relkind IN ('i', 'I') AND NOT indisvalid
UNION ALL SELECT 'columns', count(*) FROM pg_catalog.pg_attribute JOIN relations ON attrelid = oid
           WHERE relkind IN ('r', 'p', 'f', 'v', 'm') AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'defaults', count(*) FROM pg_catalog.pg_attrdef JOIN relations ON adrelid = relations.oid
UNION ALL SELECT 'constraints', count(*) FROM pg_catalog.pg_constraint WHERE connamespace IN (SELECT oid FROM spaces)
             AND (conrelid = 0 OR conrelid IN (SELECT oid FROM relations)) AND contype <> 'n'
UNION ALL SELECT 'foreignKeys', count(*) FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid IN (SELECT oid FROM relations)
UNION ALL SELECT 'triggers', count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM relations)
UNION ALL SELECT 'rules', count(*) FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN' AND ev_class IN (SELECT oid FROM relations)
UNION ALL SELECT 'policies', count(*) FROM pg_catalog.pg_policy WHERE polrelid IN (SELECT oid FROM relations)
UNION ALL SELECT 'tablesWithRowSecurity', count(*) FROM pg_catalog.pg_class
           WHERE relrowsecurity AND oid IN (SELECT oid FROM relations)
UNION ALL SELECT 'routines', count(*) FROM routines
UNION ALL SELECT 'types', count(*) FROM types
UNION ALL SELECT 'statistics', count(*) FROM pg_catalog.pg_statistic_ext WHERE stxnamespace IN (SELECT oid FROM spaces)
UNION ALL SELECT 'eventTriggers', count(*) FROM pg_catalog.pg_event_trigger e WHERE NOT EXISTS (
             SELECT FROM members WHERE classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND objid = e.oid)
UNION ALL SELECT 'publications', count(*) FROM pg_catalog.pg_publication
UNION ALL SELECT 'operators', count(*) FROM pg_catalog.pg_operator o WHERE oprnamespace IN (SELECT oid FROM spaces) AND NOT EXISTS (
             SELECT FROM members WHERE classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND objid = o.oid)
UNION ALL SELECT 'collations', count(*) FROM pg_catalog.pg_collation WHERE collnamespace IN (SELECT oid FROM spaces)
UNION ALL SELECT 'foreignServers', count(*) FROM pg_catalog.pg_foreign_server s WHERE NOT EXISTS (
             SELECT FROM members WHERE classid = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass AND objid = s.oid)
UNION ALL SELECT 'comments', count(*) FROM pg_catalog.pg_description WHERE objoid IN (
             SELECT oid FROM relations UNION SELECT oid FROM routines UNION SELECT oid FROM types UNION SELECT oid FROM spaces)
UNION ALL SELECT 'largeObjects', count(*) FROM pg_catalog.pg_largeobject_metadata";
