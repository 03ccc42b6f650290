//! What stands in a restore's way, found before anything is touched.

use super::admin::{clients_of, connect_maintenance};
use super::extensions::beyond_the_role;
use super::in_place;
use super::names::oid_of;
use crate::manifest::{ComponentManifest, DatabaseFigures, Figures};
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::{connect, server_version_number};
use crate::source::postgres::error::database;
use crate::source::postgres::pg_dump::PgDump;
use crate::source::postgres::snapshot::refuse_pooler;
use crate::source::postgres::{figures, layout, sql};
use crate::target::{Place, TargetPlan};
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// Looks at the server and says what would happen.
pub fn inspect(
    address: &Address,
    place: &Place,
    manifest: &ComponentManifest,
    tools_folder: Option<&Path>,
    settings: &ClientSettings,
) -> Result<TargetPlan> {
    let mut client = connect_maintenance(address, &address.database)?;
    refuse_pooler(&mut client, &mut [connect_maintenance(address, &address.database)?], address)?;
    let mut plan = TargetPlan { needs_bytes: manifest.bytes, ..TargetPlan::default() };
    let Figures::Database(expected) = &manifest.figures else {
        plan.obstacles.push("the manifest is not that of a database".to_owned());
        return Ok(plan);
    };
    let number = server_version_number(&mut client)?;
    check_version(expected, number, &mut plan);
    if let Err(error) = PgDump::find(number, tools_folder, settings) {
        plan.obstacles.push(format!("{}: what was restored could not be compared. {}", error.message(), error.hint()));
    }
    let exists = oid_of(&mut client, &address.database)?.is_some();
    match place {
        Place::Live { .. } if exists => inspect_live(&mut client, address, &mut plan)?,
        Place::Live { .. } => plan.warnings.push(format!("there is no database {} now; it is made", address.database)),
        _ if exists => {
            if let Err(error) = refuse_not_empty(address) {
                plan.obstacles.push(format!("{}. {}", error.message(), error.hint()));
            }
            check_encoding(&mut client, address, expected, &mut plan)?;
        }
        _ => {}
    }
    let within_one = check_rights(&mut client, address, exists, place, &mut plan)?;
    check_roles(&mut client, expected, &mut plan)?;
    let beside = exists && matches!(place, Place::Live { .. }) && !within_one;
    check_extensions(&mut client, exists.then_some(address), beside, expected, &mut plan)?;
    Ok(plan)
}

fn inspect_live(client: &mut Client, address: &Address, plan: &mut TargetPlan) -> Result<()> {
    plan.replaces = Some(format!("database {}", address.database));
    plan.clients = clients_of(client, &address.database)?;
    let mut live = connect(address)?;
    plan.needs_bytes = plan.needs_bytes.max(figures::database_bytes(&mut live)?);
    let layout = layout::read(&mut live)?;
    plan.live = Some(Figures::Database(figures::of_catalog(&mut live, &layout)?));
    if let Some(name) = layout.subscriptions.first() {
        plan.warnings.push(format!("the live database has subscription {name}, which a restored one will not have"));
    }
    let slots = client
        .query("SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = $1", &[&address.database])
        .map_err(|error| database("looking for replication slots", error))?;
    for slot in slots {
        let slot: String = slot.get(0);
        plan.warnings
            .push(format!("replication slot {slot} stays with the old database: its consumers must start anew"));
    }
    Ok(())
}

fn check_version(expected: &DatabaseFigures, number: i32, plan: &mut TargetPlan) {
    let major: i32 = expected.engine_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if number / 10_000 < major {
        plan.obstacles.push(format!(
            "the backup is of PostgreSQL {}, the server is {}: an older server does not understand it. Restore on {major} or later",
            expected.engine_version,
            number / 10_000
        ));
    }
}

/// An existing database keeps its encoding and collation; rows that do not fit would fail late, sorting would differ.
fn check_encoding(
    client: &mut Client,
    address: &Address,
    expected: &DatabaseFigures,
    plan: &mut TargetPlan,
) -> Result<()> {
    let row = client
        .query_one(
            "SELECT pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text
               FROM pg_catalog.pg_database WHERE datname = $1",
            &[&address.database],
        )
        .map_err(|error| database("reading the catalog", error))?;
    for (at, name) in ["encoding", "collate", "ctype"].into_iter().enumerate() {
        let (found, wanted): (String, _) = (row.get(at), expected.values.get(name));
        if wanted.is_some_and(|wanted| *wanted != found) {
            plan.obstacles.push(format!(
                "the {name} of {} is {found}, the backup's is {}: name a database that does not exist yet, it is made right",
                address.database,
                wanted.map_or("", String::as_str)
            ));
        }
    }
    Ok(())
}

/// Answers whether the restore can only be one transaction.
fn check_rights(
    client: &mut Client,
    address: &Address,
    exists: bool,
    place: &Place,
    plan: &mut TargetPlan,
) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT rolsuper, rolcreatedb, pg_catalog.pg_is_in_recovery(),
               COALESCE((SELECT pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database WHERE datname = $1), true)
               FROM pg_catalog.pg_roles WHERE rolname = current_user",
            &[&address.database],
        )
        .map_err(|error| database("reading the role's rights", error))?;
    let (superuser, creates, standby, owns): (bool, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let user = sql::identifier(&address.user);
    if standby {
        plan.obstacles.push("the server is a standby and cannot be written to. Restore on the primary".to_owned());
    }
    let live = matches!(place, Place::Live { .. });
    if !superuser && !creates && !exists {
        plan.obstacles.push(format!("the role may not create databases. As a superuser: ALTER ROLE {user} CREATEDB;"));
    }
    let within_one = live && exists && !superuser && !(creates && owns);
    if within_one {
        let name = sql::identifier(&address.database);
        let better = format!("ALTER ROLE {user} CREATEDB; ALTER DATABASE {name} OWNER TO {user};");
        warn_of_one_transaction(address, "the role may not create or rename databases", &better, plan)?;
    }
    Ok(within_one)
}

/// The weaker way, with what it costs and what would give the better one.
fn warn_of_one_transaction(address: &Address, why: &str, better: &str, plan: &mut TargetPlan) -> Result<()> {
    let (name, user) = (sql::identifier(&address.database), sql::identifier(&address.user));
    plan.warnings.push(format!(
        "{why}: the restore is done in place, within one transaction. Clients wait until it is over, and only the pre-restore \
         backup leads back. For the better way: {better}"
    ));
    for owner in in_place::foreign_owners(&mut connect(address)?)? {
        plan.obstacles.push(format!(
            "{owner} owns something in {name} that could not be replaced. As a superuser: GRANT {} TO {user};",
            sql::identifier(&owner)
        ));
    }
    Ok(())
}

/// A list among the values of the manifest.
pub fn list(expected: &DatabaseFigures, name: &str) -> Vec<String> {
    expected.values.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn check_roles(client: &mut Client, expected: &DatabaseFigures, plan: &mut TargetPlan) -> Result<()> {
    let wanted = list(expected, "roles");
    let query = "SELECT r.name, p.oid IS NOT NULL,
           COALESCE(pg_catalog.pg_has_role(p.oid, 'MEMBER'), false)
      FROM unnest($1::text[]) AS r (name) LEFT JOIN pg_catalog.pg_roles p ON p.rolname = r.name ORDER BY 1";
    let rows = client.query(query, &[&wanted]).map_err(|error| database("looking for roles", error))?;
    for row in rows {
        let (name, exists): (String, bool) = (row.get(0), row.get(1));
        if !exists {
            plan.obstacles.push(format!(
                "the role {name} owns or may use something in the backup and is not on this server. Create it: CREATE ROLE {};",
                sql::identifier(&name)
            ));
        } else if !row.get::<_, bool>(2) {
            plan.warnings.push(format!(
                "the restoring role is not a member of {name}: where that role owns something, the restore will fail. GRANT {} TO CURRENT_USER;",
                sql::identifier(&name)
            ));
        }
    }
    Ok(())
}

/// Whether the live database holds extensions of the backup that the role could not create in another one.
pub fn lives_on_extensions_beyond_the_role(
    client: &mut Client,
    address: &Address,
    manifest: &ComponentManifest,
) -> Result<bool> {
    let Figures::Database(expected) = &manifest.figures else { return Ok(false) };
    let beyond = beyond_the_role(client, expected)?;
    if beyond.is_empty() || oid_of(client, &address.database)?.is_none() {
        return Ok(false);
    }
    let there = layout::extensions(&mut connect(address)?)?;
    Ok(beyond.iter().any(|name| there.contains(name)))
}

/// `address` is of a database that exists; `beside`: it is live, and was to be restored beside.
fn check_extensions(
    client: &mut Client,
    address: Option<&Address>,
    beside: bool,
    expected: &DatabaseFigures,
    plan: &mut TargetPlan,
) -> Result<()> {
    let beyond = beyond_the_role(client, expected)?;
    let there = match address {
        Some(address) if !beyond.is_empty() => layout::extensions(&mut connect(address)?)?,
        _ => Vec::new(),
    };
    let (kept, left_out): (Vec<String>, Vec<String>) = beyond.into_iter().partition(|name| there.contains(name));
    if !left_out.is_empty() {
        plan.warnings.push(format!(
            "only a superuser may create the extension {}: it is left out, and where something needs it the restore will fail. \
             Restore as a superuser, or have one make the database with the extension in it",
            left_out.join(", ")
        ));
    }
    if let Some(address) = address.filter(|_| beside && !kept.is_empty()) {
        let why = format!("only a superuser may create the extension {} in another database", kept.join(", "));
        warn_of_one_transaction(address, &why, "restore as a superuser", plan)?;
    }
    let query = "SELECT e.name FROM unnest($1::text[]) AS e (name)
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions a WHERE a.name::text = e.name) ORDER BY 1";
    let rows = client
        .query(query, &[&list(expected, "extensions")])
        .map_err(|error| database("looking for extensions", error))?;
    for row in rows {
        let name: String = row.get(0);
        plan.obstacles.push(format!(
            "the extension {name} is not installed on this server. Install its package (postgresql-contrib has the usual ones)"
        ));
    }
    Ok(())
}

/// A restore never mixes with what is there.
pub fn refuse_not_empty(address: &Address) -> Result<()> {
    let mut client = connect(address)?;
    let layout = layout::read(&mut client)?;
    let figures = figures::of_catalog(&mut client, &layout)?;
    let counted =
        ["tables", "partitionedTables", "views", "materializedViews", "sequences", "routines", "types", "largeObjects"];
    let found: Vec<_> = counted
        .iter()
        .filter_map(|name| {
            figures.objects.get(*name).filter(|&&count| count > 0).map(|count| format!("{count} {name}"))
        })
        .chain(layout.schemas.iter().filter(|schema| *schema != "public").map(|schema| format!("schema {schema}")))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!("the database {} is not empty: {}", address.database, found.join(", ")),
        "Name a database that does not exist yet, or restore in place without --to.",
    ))
}
