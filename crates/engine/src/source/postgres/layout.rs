//! What a database consists of, read from its catalog: the first entry of every export (`0-layout.json`), and what the
//! figures of a restored database are measured by.

use super::client::Client;
use super::database_properties::DatabaseProperties;
use super::error::database;
use super::sql;
use crate::Result;
use crate::manifest::{PartitionedTable, TableId};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

/// Version of the shape below; a reader refuses a higher one.
pub const LAYOUT_VERSION: u32 = 1;

/// What a database consists of, as far as the schema's text does not say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// Always `"strongroom-postgresql"`.
    pub format: String,
    /// [`LAYOUT_VERSION`].
    pub version: u32,
    /// `15.18`.
    pub server_version: String,
    /// 150018.
    pub server_version_number: i32,
    /// What belongs to the database as a whole.
    pub database: DatabaseProperties,
    /// Schemas other than the system's, sorted.
    pub schemas: Vec<String>,
    /// Extensions, sorted.
    pub extensions: Vec<String>,
    /// Roles that own something, are granted something or that a policy names; sorted.
    pub roles: Vec<String>,
    /// Every table with rows of its own, sorted by schema and name.
    pub tables: Vec<Table>,
    /// Tables that are partitioned, sorted by schema and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitioned: Vec<PartitionedTable>,
    /// Every sequence with its value, sorted by schema and name.
    pub sequences: Vec<Sequence>,
    /// Foreign tables: defined in the schema, their rows are elsewhere and not in the backup.
    pub foreign_tables: Vec<String>,
    /// Subscriptions; not in the backup.
    pub subscriptions: Vec<String>,
}

/// A table with rows of its own: ordinary and unlogged tables, partitions that are leaves, configuration tables of extensions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Columns that are stored, in their order: not the generated ones.
    pub columns: Vec<String>,
    /// An extension's configuration table: the `WHERE` that picks the user's rows. Empty: all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Columns that order its rows: the primary key, else a unique index without NULLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Its object id in the server it was read from.
    #[serde(skip)]
    pub oid: u32,
    /// Bytes on disk, an estimate for planning.
    #[serde(default)]
    pub bytes: u64,
    /// Its rows are counted but not hashed.
    #[serde(skip)]
    pub unhashed: bool,
}

/// A sequence and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The last value.
    pub last_value: i64,
    /// Whether that value was given out.
    pub is_called: bool,
}

impl Layout {
    /// The path of a table's rows in a native export.
    pub fn file_of(&self, schema: &str, name: &str) -> Option<String> {
        let at = self.tables.iter().position(|table| table.schema == schema && table.name == name)?;
        Some(self.tables[at].file(at))
    }
}

impl Table {
    /// `"schema"."name"`.
    pub fn qualified(&self) -> String {
        sql::qualified(&self.schema, &self.name)
    }

    /// The path of its rows in a native export.
    pub fn file(&self, number: usize) -> String {
        format!("2-data/{:04}-{}.{}.copy", number + 1, sql::file_name(&self.schema), sql::file_name(&self.name))
    }

    /// ` (a, b)`, or nothing where it has no stored column: then `COPY` writes an empty line for each row.
    pub fn column_list(&self) -> String {
        if self.columns.is_empty() { String::new() } else { format!(" ({})", sql::identifiers(&self.columns)) }
    }
}

/// Ordinary tables and partitioned ones, with what extensions want dumped of theirs. System schemas begin with `pg_`.
const USER_TABLES: &str = "
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_catalog.pg_extension) x ON x.oid = c.oid
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND (x.oid IS NOT NULL OR NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))";

/// Reads the layout of the database in the client's snapshot.
pub fn read(client: &mut Client) -> Result<Layout> {
    let row = one(
        client,
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int4",
    )?;
    let sequences = sequences(client)?;
    Ok(Layout {
        format: "strongroom-postgresql".to_owned(),
        version: LAYOUT_VERSION,
        server_version: row.get::<_, String>(0).split(' ').next().unwrap_or_default().to_owned(),
        server_version_number: row.get(1),
        database: DatabaseProperties::read(client)?,
        schemas: names(
            client,
            "SELECT nspname::text FROM pg_catalog.pg_namespace
              WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname::text COLLATE \"C\"",
        )?,
        extensions: extensions(client)?,
        roles: names(client, ROLES)?,
        tables: tables(client)?,
        partitioned: partitioned(client)?,
        sequences,
        foreign_tables: names(
            client,
            &format!("SELECT n.nspname || '.' || c.relname {USER_TABLES} AND c.relkind = 'f' ORDER BY 1"),
        )?,
        subscriptions: names(
            client,
            "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
              WHERE d.datname = pg_catalog.current_database() ORDER BY 1",
        )?,
    })
}

/// Names of extensions, sorted.
pub fn extensions(client: &mut Client) -> Result<Vec<String>> {
    names(client, "SELECT extname::text FROM pg_catalog.pg_extension ORDER BY extname::text COLLATE \"C\"")
}

/// Tables whose rows are dumped.
pub fn tables(client: &mut Client) -> Result<Vec<Table>> {
    let query = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, x.condition, pg_catalog.pg_table_size(c.oid),
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                  ORDER BY a.attnum),
           ARRAY(SELECT a.attname::text
                   FROM (SELECT i.indkey, i.indnkeyatts FROM pg_catalog.pg_index i
                          WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                            AND i.indpred IS NULL AND i.indexprs IS NULL
                            AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                             WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
                          ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i,
                        unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                  WHERE k.position <= i.indnkeyatts ORDER BY k.position)
         {USER_TABLES} AND c.relkind = 'r'
         ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\""
    );
    Ok(rows(client, &query)?
        .into_iter()
        .map(|row| Table {
            oid: row.get(0),
            schema: row.get(1),
            name: row.get(2),
            condition: row.get(3),
            bytes: row.get::<_, Option<i64>>(4).unwrap_or(0).unsigned_abs(),
            columns: row.get(5),
            key: row.get(6),
            unhashed: false,
        })
        .collect())
}

/// Partitioned tables and what is below them.
pub fn partitioned(client: &mut Client) -> Result<Vec<PartitionedTable>> {
    let id = |row: &Row, at| TableId { schema: Some(row.get(at)), name: row.get(at + 1) };
    let mut found: Vec<PartitionedTable> = Vec::new();
    for row in rows(client, PARTITIONS)? {
        let table = id(&row, 0);
        if found.last().is_none_or(|last| last.id != table) {
            found.push(PartitionedTable { id: table, partitions: Vec::new() });
        }
        if let (Some(last), true) = (found.last_mut(), row.get::<_, Option<String>>(2).is_some()) {
            last.partitions.push(id(&row, 2));
        }
    }
    Ok(found)
}

/// Object ids and quoted names of everything that is locked while it is dumped: tables, partitioned ones included.
pub fn lockable(client: &mut Client) -> Result<Vec<(u32, String)>> {
    let query = format!(
        "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) {USER_TABLES} AND c.relkind IN ('r', 'p') ORDER BY c.oid"
    );
    Ok(rows(client, &query)?.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The client's own role may not read these tables and sequences (quoted names with the GRANT that is missing), or would not
/// see all their rows.
pub fn missing_privileges(client: &mut Client) -> Result<Vec<String>> {
    let query = format!(
        "SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I;', nspname, current_user)
           FROM pg_catalog.pg_namespace
          WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT pg_catalog.has_schema_privilege(oid, 'USAGE')
            AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_namespace.oid AND relkind IN ('r', 'p', 'S'))
         UNION ALL
         SELECT pg_catalog.format('GRANT SELECT ON %s %I.%I TO %I;',
                  CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname, current_user)
           {USER_TABLES} AND c.relkind IN ('r', 'p', 'S') AND NOT
             CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                            ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END
         UNION ALL
         SELECT pg_catalog.format('ALTER ROLE %I BYPASSRLS; -- row-level security hides rows of %I.%I', current_user, n.nspname, c.relname)
           {USER_TABLES} AND c.relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
             AND pg_catalog.row_security_active(c.oid)
         UNION ALL
         SELECT pg_catalog.format('GRANT SELECT ON LARGE OBJECT %s TO %I;', m.oid, current_user)
           FROM pg_catalog.pg_largeobject_metadata m
          WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
            AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
            AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                  AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))"
    );
    let mut missing = names(client, &query)?;
    missing.sort_unstable();
    Ok(missing)
}

fn sequences(client: &mut Client) -> Result<Vec<Sequence>> {
    let query = format!(
        "SELECT n.nspname::text, c.relname::text {USER_TABLES} AND c.relkind = 'S'
          ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\""
    );
    let names: Vec<(String, String)> = rows(client, &query)?.into_iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut sequences = Vec::with_capacity(names.len());
    // Many in one query: a round trip for each would be slow over a network.
    for batch in names.chunks(100) {
        let query: Vec<_> = batch
            .iter()
            .map(|(schema, name)| format!("SELECT last_value, is_called FROM {}", sql::qualified(schema, name)))
            .collect();
        let values = rows(client, &query.join(" UNION ALL "))?;
        sequences.extend(batch.iter().zip(values).map(|((schema, name), row)| Sequence {
            schema: schema.clone(),
            name: name.clone(),
            last_value: row.get(0),
            is_called: row.get(1),
        }));
    }
    Ok(sequences)
}

/// `pg_shdepend` knows who is granted something or named by a policy, but not what the bootstrap superuser owns. What an
/// extension brought belongs to whoever makes the extension: that role has another name on another server, and is not needed.
/// Neither is whoever has a temporary table, nor the owner of the schemas that those lie in.
const ROLES: &str = "
WITH members AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e')
SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' AND r.oid IN (
  SELECT s.refobjid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
   WHERE d.datname = pg_catalog.current_database() AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
     AND s.classid <> 'pg_catalog.pg_subscription'::pg_catalog.regclass
     AND NOT (s.deptype = 'o' AND (s.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                                   OR (s.classid, s.objid) IN (SELECT classid, objid FROM members)))
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relpersistence = 't' AND c.oid = s.objid
                        AND s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
  UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
     AND ('pg_catalog.pg_class'::pg_catalog.regclass, oid) NOT IN (SELECT classid, objid FROM members)
  UNION SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
     AND ('pg_catalog.pg_namespace'::pg_catalog.regclass, oid) NOT IN (SELECT classid, objid FROM members)
  UNION SELECT proowner FROM pg_catalog.pg_proc WHERE oid >= 16384
     AND ('pg_catalog.pg_proc'::pg_catalog.regclass, oid) NOT IN (SELECT classid, objid FROM members)
  UNION SELECT t.typowner FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
   WHERE t.oid >= 16384 AND coalesce(c.relkind, 'c') = 'c' AND t.typcategory <> 'A'
     AND ('pg_catalog.pg_type'::pg_catalog.regclass, t.oid) NOT IN (SELECT classid, objid FROM members)
  UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
  UNION SELECT a.grantee FROM pg_catalog.pg_database, pg_catalog.aclexplode(datacl) a WHERE datname = pg_catalog.current_database()
  UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
   WHERE d.datname = pg_catalog.current_database())
ORDER BY r.rolname::text COLLATE \"C\"";

/// Every partitioned table with every table below it; with NULLs where there is none.
const PARTITIONS: &str = "
WITH RECURSIVE below (root, oid) AS (
  SELECT p.partrelid, i.inhrelid FROM pg_catalog.pg_partitioned_table p LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = p.partrelid
  UNION ALL SELECT b.root, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid)
SELECT rn.nspname::text, r.relname::text, n.nspname::text, c.relname::text
  FROM below b JOIN pg_catalog.pg_class r ON r.oid = b.root JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
  LEFT JOIN pg_catalog.pg_class c ON c.oid = b.oid AND c.relkind IN ('r', 'p')
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE rn.nspname !~ '^pg_' AND rn.nspname <> 'information_schema'
 ORDER BY rn.nspname::text COLLATE \"C\", r.relname::text COLLATE \"C\", n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\"";

pub fn rows(client: &mut Client, query: &str) -> Result<Vec<Row>> {
    client.query(query, &[]).map_err(|error| database("reading the catalog", error))
}

pub(super) fn one(client: &mut Client, query: &str) -> Result<Row> {
    client.query_one(query, &[]).map_err(|error| database("reading the catalog", error))
}

pub(super) fn names(client: &mut Client, query: &str) -> Result<Vec<String>> {
    Ok(rows(client, query)?.into_iter().map(|row| row.get(0)).collect())
}
