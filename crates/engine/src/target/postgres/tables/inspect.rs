//! What putting single tables back would do, and what stands in its way. Touches nothing.

use crate::Result;
use crate::manifest::{ComponentManifest, DatabaseFigures, Figures, TableFigures, TableId};
use crate::source::postgres::address::Address;
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::{self, Table};
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::snapshot::refuse_pooler;
use crate::source::postgres::sql;
use crate::target::TargetPlan;

/// Looks at the live tables.
pub fn inspect(address: &Address, manifest: &ComponentManifest, only: &[TableId]) -> Result<TargetPlan> {
    let mut client = connect(address)?;
    refuse_pooler(&mut client, &mut [connect(address)?], address)?;
    let mut plan = TargetPlan { needs_bytes: 0, ..TargetPlan::default() };
    let mut live = DatabaseFigures { engine: "postgresql".to_owned(), ..DatabaseFigures::default() };
    let mut replaced = Vec::new();
    for id in only {
        let name = super::qualified(id);
        let was = kind_in(manifest, id);
        let is_partitioned = was == Some("p");
        if !one(&mut client, id, was, &mut plan)? {
            plan.warnings.push(format!("there is no table {id} now: it is made as it was, without views that used it"));
        } else if is_partitioned {
            newer(&mut client, id, only, &mut plan)?;
        } else {
            let count = format!("SELECT count(*) FROM ONLY {name}");
            let rows = OwnPath::live(false).attempt(
                &mut client,
                id.schema.as_deref().map(sql::identifier).as_deref(),
                |client| {
                    let counted = client.query_one(&count, &[]);
                    counted.map(Ok).map_err(|error| database(format!("counting the rows of {id}"), error))
                },
            )?;
            let rows: i64 = rows.get(0);
            live.tables.push(TableFigures {
                schema: id.schema.clone(),
                name: id.name.clone(),
                rows: rows.unsigned_abs(),
                content_hash: None,
            });
            replaced.push(id.to_string());
        }
    }
    if !replaced.is_empty() {
        plan.replaces = Some(format!("the rows of {} in database {}", replaced.join(", "), address.database));
        plan.live = Some(Figures::Database(live));
        dependents(&mut client, only, &mut plan)?;
    }
    if !matches!(manifest.figures, Figures::Database(_)) {
        plan.obstacles.push("the manifest is not that of a database".to_owned());
    }
    plan.warnings.push(
        "single tables are put back in one transaction: who uses them waits until it is over; an undo writes the pre-restore \
         backup back"
            .to_owned(),
    );
    Ok(plan)
}

/// Kind of a table that is there, its size, and whether the role owns it.
pub fn find(client: &mut Client, id: &TableId) -> Result<Option<(String, u64, bool)>> {
    let row = client
        .query_opt(
            "SELECT c.relkind::text, pg_catalog.pg_table_size(c.oid), pg_catalog.pg_has_role(c.relowner, 'USAGE')
               FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)",
            &[&super::qualified(id)],
        )
        .map_err(|error| database(format!("looking at table {id}"), error))?;
    Ok(row.map(|row| (row.get(0), row.get::<_, Option<i64>>(1).unwrap_or(0).unsigned_abs(), row.get(2))))
}

/// Whether the table is there; what the role lacks goes into the plan. `was` is its kind in the backup, if it is in there.
fn one(client: &mut Client, id: &TableId, was: Option<&str>, plan: &mut TargetPlan) -> Result<bool> {
    let Some((kind, bytes, owns)) = find(client, id)? else { return Ok(false) };
    plan.needs_bytes += bytes;
    if was.is_some_and(|was| was != kind) {
        let was = if was == Some("p") { "partitioned" } else { "an ordinary table" };
        plan.obstacles.push(format!("{id} is no longer {was}: restore the whole database"));
    }
    if !owns {
        plan.obstacles.push(format!("only its owner may replace the rows of {id}: GRANT its owner's role to this one"));
    }
    Ok(true)
}

/// `r` or `p`, as the server calls it; `None`: it was not there.
fn kind_in(manifest: &ComponentManifest, id: &TableId) -> Option<&'static str> {
    let Figures::Database(figures) = &manifest.figures else { return None };
    let is_partitioned = figures.partitioned.iter().any(|table| table.id == *id);
    let is_ordinary = || figures.tables.iter().any(|table| table.id() == *id);
    if is_partitioned { Some("p") } else { is_ordinary().then_some("r") }
}

/// Partitions that the backup does not know keep their rows.
fn newer(client: &mut Client, id: &TableId, only: &[TableId], plan: &mut TargetPlan) -> Result<()> {
    let now = layout::partitioned(client)?;
    let partitions = now.into_iter().filter(|table| table.id == *id).flat_map(|table| table.partitions);
    let newer: Vec<_> = partitions.filter(|partition| !only.contains(partition)).map(|id| id.to_string()).collect();
    if !newer.is_empty() {
        plan.warnings.push(format!("{} of {id} came after the backup: their rows stay", newer.join(", ")));
    }
    Ok(())
}

/// Foreign keys of others' tables, and what will be out of date.
fn dependents(client: &mut Client, only: &[TableId], plan: &mut TargetPlan) -> Result<()> {
    let names: Vec<String> = only.iter().map(super::qualified).collect();
    let rows = client
        .query(
            "SELECT DISTINCT 'key', c.conrelid::pg_catalog.regclass::text, pg_catalog.pg_get_userbyid(t.relowner)::text
               FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
              WHERE c.contype = 'f' AND NOT pg_catalog.pg_has_role(t.relowner, 'USAGE') AND c.confrelid IN (
                    SELECT pg_catalog.to_regclass(n) FROM pg_catalog.unnest($1::text[]) n)
             UNION
             SELECT DISTINCT 'view', v.oid::pg_catalog.regclass::text, ''
               FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
               JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'm'
              WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjid IN (
                    SELECT pg_catalog.to_regclass(n) FROM pg_catalog.unnest($1::text[]) n)
             ORDER BY 1, 2",
            &[&names],
        )
        .map_err(|error| database("looking for what depends on the tables", error))?;
    for row in rows {
        let (what, name, owner): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if what == "key" {
            plan.obstacles.push(format!(
                "{name} has a foreign key to these tables and belongs to {owner}: GRANT {} TO CURRENT_USER;",
                sql::identifier(owner)
            ));
        } else {
            plan.warnings.push(format!("{name} shows what was there before until: REFRESH MATERIALIZED VIEW {name};"));
        }
    }
    Ok(())
}

/// Why the rows of then do not fit the table of now.
pub fn difference(table: &Table, kind: &str, columns: &[String]) -> Option<String> {
    let id = format!("{}.{}", table.schema, table.name);
    if kind != "r" {
        return Some(format!("{id} is no longer an ordinary table: its rows cannot be put back alone"));
    }
    let without = |left: &[String], right: &[String]| {
        left.iter().filter(|name| !right.contains(name)).cloned().collect::<Vec<_>>().join(", ")
    };
    let (gone, new) = (without(&table.columns, columns), without(columns, &table.columns));
    match (gone.as_str(), new.as_str()) {
        ("", "") => None,
        (gone, "") => Some(format!("the table {id} no longer has the columns {gone} of the backup")),
        ("", new) => Some(format!("the table {id} has the columns {new}, which the backup does not know")),
        (gone, new) => Some(format!("the table {id} has the columns {new} now, and had {gone} in the backup")),
    }
}
