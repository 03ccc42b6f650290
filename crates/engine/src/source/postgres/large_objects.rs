//! Large objects: their contents as rows `(object, start, data)` in COPY text, their owners, grants and comments as SQL.
//!
//! `pg_dump` could write them, but in a format that no other tool reads back in pieces; as rows they stream, and `psql`
//! alone restores them with `lo_put`. Holes come back as zeros.

use super::client::Client;
use super::layout::rows as query_rows;
use super::rows::Reading;
use super::sql;
use crate::Result;
use crate::hash::SetHasher;
use crate::manifest::TableFigures;
use std::fmt::Write as _;
use std::io::Write;

/// Bytes of an object in one row.
const CHUNK_BYTES: i64 = 256 * 1024;
/// Objects asked for at once.
const BATCH: usize = 500;

/// Makes room for the rows; they go in by [`COPY_IN`], then [`PUT_BACK`] fills the objects.
pub const PREPARE: &str = "CREATE TEMPORARY TABLE strongroom_large_objects (object oid, start bigint, data bytea)";
/// Takes the rows.
pub const COPY_IN: &str = "COPY pg_temp.strongroom_large_objects (object, start, data) FROM STDIN";
/// Fills the objects and drops the rows.
pub const PUT_BACK: &str = "
SELECT pg_catalog.count(pg_catalog.lo_put(object, start, data)) FROM pg_temp.strongroom_large_objects;
DROP TABLE pg_temp.strongroom_large_objects";

/// Hands on every object's content as lines of COPY text; returns the count of lines and their hash.
pub fn read(client: &mut Client, reading: &Reading, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<TableFigures> {
    let mut hasher = SetHasher::new(reading.hash_key);
    let mut last: u32 = 0;
    loop {
        let objects = sizes(client, last)?;
        let Some(&(newest, _)) = objects.last() else { break };
        last = newest;
        read_batch(client, &objects, &mut |line| {
            hasher.add(&line[..line.len() - 1]);
            take(line)
        })?;
    }
    Ok(TableFigures {
        schema: Some("pg_catalog".to_owned()),
        name: "pg_largeobject".to_owned(),
        rows: hasher.count(),
        content_hash: Some(hasher.finish()),
    })
}

/// Objects after `last` with their sizes. Each is opened, measured and closed at once: descriptors stay few.
fn sizes(client: &mut Client, last: u32) -> Result<Vec<(u32, i64)>> {
    const INV_READ: i32 = 0x4_0000;
    let query = format!(
        "SELECT oid, bytes, pg_catalog.lo_close(fd) FROM (
           SELECT oid, fd, pg_catalog.lo_lseek64(fd, 0, 2) AS bytes FROM (
             SELECT oid, pg_catalog.lo_open(oid, {INV_READ}) AS fd FROM (
               SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid > {last} ORDER BY oid LIMIT {BATCH}
             ) a OFFSET 0) b OFFSET 0) c ORDER BY oid"
    );
    Ok(query_rows(client, &query)?.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn read_batch(client: &mut Client, objects: &[(u32, i64)], take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let values: Vec<_> = objects.iter().map(|(oid, bytes)| format!("({oid}::oid, {bytes}::bigint)")).collect();
    let statement = format!(
        "COPY (SELECT o.oid, s.start, pg_catalog.lo_get(o.oid, s.start, {CHUNK_BYTES})
           FROM (VALUES {}) AS o (oid, bytes),
                pg_catalog.generate_series(0, GREATEST(o.bytes - 1, 0), {CHUNK_BYTES}) AS s (start)) TO STDOUT",
        values.join(", ")
    );
    client.copy_out(&|| "reading large objects".to_owned(), &statement, take)
}

/// Writes the SQL that creates the objects with their owners, grants and comments. Returns whether there are any.
pub fn definitions(client: &mut Client, out: &mut dyn Write) -> Result<bool> {
    let (mut last, mut any) = (0_u32, false);
    loop {
        let query = format!(
            "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text, pg_catalog.obj_description(m.oid, 'pg_largeobject'),
               m.lomacl IS NOT NULL,
               ARRAY(SELECT pg_catalog.format('GRANT %s ON LARGE OBJECT %s TO %s%s', a.privilege_type, m.oid,
                        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
                        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                       FROM pg_catalog.aclexplode(m.lomacl) a)
               FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid > {last} ORDER BY m.oid LIMIT {BATCH}"
        );
        let objects = query_rows(client, &query)?;
        let Some(newest) = objects.last() else { return Ok(any) };
        (last, any) = (newest.get(0), true);
        for object in &objects {
            out.write_all(definition(object).as_bytes())
                .map_err(|error| crate::Error::io("writing large objects", error))?;
        }
    }
}

fn definition(object: &tokio_postgres::Row) -> String {
    let (oid, owner, comment, has_grants): (u32, String, Option<String>, bool) =
        (object.get(0), object.get(1), object.get(2), object.get(3));
    let owner = sql::identifier(&owner);
    let mut text = format!("SELECT pg_catalog.lo_create('{oid}');\nALTER LARGE OBJECT {oid} OWNER TO {owner};\n");
    if has_grants {
        let _ = writeln!(text, "REVOKE ALL ON LARGE OBJECT {oid} FROM {owner};");
        for grant in object.get::<_, Vec<String>>(4) {
            let _ = writeln!(text, "{grant};");
        }
    }
    if let Some(comment) = comment {
        let _ = writeln!(text, "COMMENT ON LARGE OBJECT {oid} IS {};", sql::literal(&comment));
    }
    text
}
