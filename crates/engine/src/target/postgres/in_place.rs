//! Where the role may not make or rename databases: everything within one transaction of the live database.
//!
//! Invariant: the live database is wholly the old one until the commit, and wholly the new one after it, whoever is killed.
//! The uncomfortable consequences: its clients wait for as long as the restore takes, one connection does all the work, and
//! nothing lies beside afterwards: the way back is the backup that was taken before, written in the same way.

use super::admin::{connect_maintenance, disconnect};
use super::filling::Filling;
use super::names::Record;
use crate::source::postgres::address::Address;
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Layout;
use crate::source::postgres::sql;
use crate::{Error, ErrorKind, Result};

/// How long a lock on something that is replaced is waited for.
const LOCK_TIMEOUT: &str = "30s";

/// Whether the role may do what a restore beside the live database needs.
pub fn may_rename(client: &mut Client, name: &str) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT r.rolsuper OR (r.rolcreatedb AND COALESCE((SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE')
                 FROM pg_catalog.pg_database d WHERE d.datname = $1), true))
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            &[&name],
        )
        .map_err(|error| database("reading the role's rights", error))?;
    Ok(row.get(0))
}

/// Owners of what is in the live database that the role cannot act for: what they own could not be replaced.
pub fn foreign_owners(client: &mut Client) -> Result<Vec<String>> {
    let rows = client
        .query(
            "SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner)::text FROM (
               SELECT oid, 'pg_catalog.pg_class'::pg_catalog.regclass AS class, relowner AS owner
                 FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
               UNION ALL SELECT oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, proowner FROM pg_catalog.pg_proc
               UNION ALL SELECT oid, 'pg_catalog.pg_type'::pg_catalog.regclass, typowner
                           FROM pg_catalog.pg_type WHERE typtype IN ('e', 'd', 'r')
               UNION ALL SELECT oid, 'pg_catalog.pg_namespace'::pg_catalog.regclass, nspowner
                           FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
             ) o
             WHERE o.oid >= 16384 AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE') AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
             ORDER BY 1",
            &[],
        )
        .map_err(|error| database("looking for what others own", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Begins the transaction and empties the live database in it.
pub fn begin(address: &Address, layout: Layout, disconnect_clients: bool) -> Result<Filling> {
    if disconnect_clients {
        let mut maintenance = connect_maintenance(address, &address.database)?;
        disconnect(&mut maintenance, &address.database)?;
    }
    let mut client = connect(address)?;
    let what = format!("emptying {} within a transaction", address.database);
    let failed = |error| {
        database(&what, error)
            .with_hint("Nothing was changed. Stop the application, or use --disconnect-clients, and try again.")
    };
    client.batch_execute(&format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")).map_err(failed)?;
    let rows = client
        .query(
            "SELECT DISTINCT r.rolname::text FROM pg_catalog.pg_shdepend s
               JOIN pg_catalog.pg_database d ON d.oid = s.dbid AND d.datname = pg_catalog.current_database()
               JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
              WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o'
                AND pg_catalog.pg_has_role(r.oid, 'USAGE')",
            &[],
        )
        .map_err(failed)?;
    let owners: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !owners.is_empty() {
        client.batch_execute(&format!("DROP OWNED BY {} CASCADE", sql::identifiers(&owners))).map_err(failed)?;
    }
    Filling::within_transaction(address.clone(), client, layout)
}

/// The record of a restore within a transaction; that of an earlier turn of the same restore is kept.
pub fn record(earlier: Option<Record>, new: impl FnOnce() -> Record) -> Record {
    earlier.filter(|record| record.transaction.is_some()).unwrap_or_else(|| Record { in_place: true, ..new() })
}

/// Commits what was measured. The transaction's id is on record before: after a crash the server says what became of it.
pub fn commit(
    client: &mut Client,
    mut record: Record,
    makes_restored_live: bool,
    save: impl Fn(&Record) -> Result<()>,
) -> Result<()> {
    let row = client
        .query_one("SELECT pg_catalog.txid_current()::text", &[])
        .map_err(|error| database("asking for the transaction's id", error))?;
    record.transaction = Some(row.get(0));
    record.makes_restored_live = makes_restored_live;
    record.committed = false;
    save(&record)?;
    client.batch_execute("COMMIT").map_err(|error| database("committing the restore", error))?;
    record.committed = true;
    save(&record)
}

/// Whether the restored side is live: the last transaction on record made it so, or was to take it back and never was committed.
pub fn is_restored_side_live(address: &Address, record: &Record) -> Result<bool> {
    let Some(transaction) = &record.transaction else { return Ok(false) };
    let committed = record.committed || was_committed(address, transaction)?;
    Ok(committed == record.makes_restored_live)
}

/// Whether the recorded transaction was committed.
fn was_committed(address: &Address, transaction: &str) -> Result<bool> {
    let mut client = connect(address)?;
    let id: i64 = transaction.parse().map_err(|_| Error::internal("a transaction's id is no number"))?;
    let row = client
        .query_one("SELECT pg_catalog.txid_status($1)", &[&id])
        .map_err(|error| database("asking what became of the restore's transaction", error))?;
    match row.get::<_, Option<String>>(0).as_deref() {
        Some("committed") => Ok(true),
        Some("aborted") => Ok(false),
        Some(_) => Err(Error::new(
            ErrorKind::Busy,
            "the restore's transaction is still under way on the server",
            "The server has not noticed yet that its client is gone: try again in a moment.",
        )),
        None => Err(Error::new(
            ErrorKind::Refused,
            "the server no longer knows what became of the restore's transaction: it is too long ago",
            "Look whether the database holds the restored data, and restore again from the backup that you want.",
        )),
    }
}

/// Nothing lies beside, and no transaction that writes the old data back waits for its commit.
pub fn no_way_back() -> Error {
    Error::new(
        ErrorKind::Refused,
        "this restore was done in one transaction of the live database: there is nothing beside to exchange with",
        "`strongroom undo` writes the backup back that was taken before it.",
    )
}

/// The transaction ended without a commit: with the process, or with the server.
pub fn rolled_back() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the restore's transaction was not committed: the live database is as it was",
        "Start the restore again.",
    )
}
