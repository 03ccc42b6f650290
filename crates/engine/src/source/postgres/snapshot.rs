//! One consistent snapshot, shared by several connections and by `pg_dump`, with every table locked against DDL.
//!
//! The locks come first: `LOCK TABLE` takes no snapshot in a transaction that has none yet, so a table cannot be dropped or
//! altered between the snapshot and its lock. They are held by the exporting connection until the [`Snapshot`] is dropped,
//! because `pg_dump`'s own end when it exits.

use super::address::Address;
use super::client::Client;
use super::connect::{connect, connect_pinned};
use super::error::{self, database};
use super::layout::{self, Layout};
use crate::{Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;

/// How often the set of tables may change under our hands before we give up.
const ATTEMPTS_MAX: u32 = 5;
/// How long a lock is waited for.
const LOCK_TIMEOUT: &str = "60s";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// An exported snapshot and the connections that share it.
pub struct Snapshot {
    /// Holds snapshot and locks; reads catalog and large objects.
    pub exporter: Client,
    /// Read rows.
    pub workers: Vec<Client>,
    /// The one server that all of them are connected to.
    pub address: Address,
    /// `00000003-0000001B-1`.
    pub name: String,
    /// What the database consists of in this snapshot.
    pub layout: Layout,
}

impl Snapshot {
    /// Locks every table, takes the snapshot and lets `connections` workers share it.
    pub fn take(address: &Address, connections: usize) -> Result<Self> {
        let (mut exporter, address) = connect_pinned(address)?;
        let mut workers = (0..connections).map(|_| connect(&address)).collect::<Result<Vec<_>>>()?;
        refuse_pooler(&mut exporter, &mut workers, &address)?;
        refuse_missing_privileges(&mut exporter, &address)?;
        let name = lock_and_export(&mut exporter, &address)?;
        for worker in &mut workers {
            import(worker, &name)?;
        }
        let layout = layout::read(&mut exporter)?;
        Ok(Self { exporter, workers, address, name, layout })
    }
}

fn lock_and_export(client: &mut Client, address: &Address) -> Result<String> {
    for _ in 0..ATTEMPTS_MAX {
        let before = layout::lockable(client)?;
        run(client, BEGIN)?;
        match lock(client, &before) {
            Ok(()) => {}
            Err(gone)
                if error::is(&gone, &SqlState::UNDEFINED_TABLE) || error::is(&gone, &SqlState::INVALID_SCHEMA_NAME) =>
            {
                run(client, "ROLLBACK")?;
                continue;
            }
            Err(other) => return Err(locks_failed(client, address, other)),
        }
        let row = client
            .query_one("SELECT pg_catalog.pg_export_snapshot()", &[])
            .map_err(|error| database("exporting a snapshot", error))?;
        let after = layout::lockable(client)?;
        if before == after {
            run(client, "SET lock_timeout = 0")?;
            return Ok(row.get(0));
        }
        run(client, "ROLLBACK")?;
    }
    Err(Error::new(
        ErrorKind::Busy,
        format!("{address}: tables were created or dropped faster than they could be locked ({ATTEMPTS_MAX} attempts)"),
        "Back up when no migration is running.",
    ))
}

/// Several tables in one statement: thousands of round trips would take long.
fn lock(client: &mut Client, tables: &[(u32, String)]) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
    for batch in tables.chunks(200) {
        let names: Vec<_> = batch.iter().map(|(_, name)| format!("ONLY {name}")).collect();
        client.batch_execute(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", ")))?;
    }
    Ok(())
}

fn locks_failed(client: &mut Client, address: &Address, failure: tokio_postgres::Error) -> Error {
    if !error::is(&failure, &SqlState::LOCK_NOT_AVAILABLE) {
        return database(format!("locking the tables of {address} against changes of their definitions"), failure);
    }
    let holders = client
        .batch_execute("ROLLBACK")
        .and_then(|()| {
            client.query(
                "SELECT DISTINCT a.pid, a.usename::text, pg_catalog.left(a.query, 80)
                   FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
                  WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND a.pid <> pg_catalog.pg_backend_pid()
                    AND a.datname = pg_catalog.current_database()",
                &[],
            )
        })
        .unwrap_or_default();
    let holders: Vec<String> = holders
        .iter()
        .map(|row| {
            let (pid, user, query): (i32, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
            format!("process {pid} of {}: {}", user.unwrap_or_default(), query.unwrap_or_default())
        })
        .collect();
    Error::new(
        ErrorKind::Busy,
        format!("{address}: a table stayed locked for {LOCK_TIMEOUT} by {}", holders.join("; ")),
        "Wait for the migration or maintenance to end and back up again.",
    )
    .because(failure)
}

fn import(worker: &mut Client, name: &str) -> Result<()> {
    run(worker, BEGIN)?;
    worker.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{name}'")).map_err(|error| {
        Error::new(
            ErrorKind::Unsupported,
            format!("a second connection cannot see the first one's snapshot: {error}"),
            "A pooler or load balancer hands out connections to different servers or databases. Use the address of the \
             server itself.",
        )
        .because(error)
    })
}

/// A pooler in transaction mode lends one server connection to several clients in turn: a setting made on one of ours shows
/// up on another, or is gone. Session settings and held locks mean nothing there.
pub(crate) fn refuse_pooler(exporter: &mut Client, workers: &mut [Client], address: &Address) -> Result<()> {
    let marker = "SELECT pg_catalog.current_setting('strongroom.connection', true)";
    run(exporter, "SET strongroom.connection = 'exporter'")?;
    let mut shared = false;
    for worker in workers.iter_mut() {
        // In statement mode the pooler ends whoever begins a transaction.
        if worker.batch_execute(BEGIN).is_err() {
            let _ = exporter.batch_execute("RESET ALL");
            return Err(pooler(address));
        }
        shared |= ask(worker, marker)?.as_deref() == Some("exporter");
    }
    shared |= ask(exporter, marker)?.as_deref() != Some("exporter");
    if shared {
        // Our settings lie on connections that the application gets next. As many transactions as we made connections hold
        // the ones that were used last: these are set back.
        for client in std::iter::once(&mut *exporter).chain(workers.iter_mut()) {
            let _ = client.batch_execute("BEGIN; RESET ALL");
        }
        for client in std::iter::once(exporter).chain(workers.iter_mut()) {
            let _ = client.batch_execute("COMMIT");
        }
        return Err(pooler(address));
    }
    for worker in workers {
        run(worker, "ROLLBACK")?;
    }
    Ok(())
}

fn pooler(address: &Address) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "{address} is a connection pooler in transaction or statement mode (PgBouncer or alike): it gives every transaction \
             another connection, so settings do not hold, tables cannot be kept locked and a snapshot cannot be shared"
        ),
        "Use the address of the PostgreSQL server itself, or a pool in session mode.",
    )
}

/// Found beforehand and all together: not one by one, each after a long run.
fn refuse_missing_privileges(client: &mut Client, address: &Address) -> Result<()> {
    let missing = layout::missing_privileges(client)?;
    if missing.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = missing.iter().take(20).map(String::as_str).collect();
    let more = missing.len() - shown.len();
    let more =
        if more > 0 { format!("\n… and {more} more (`strongroom doctor` prints them all)") } else { String::new() };
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "the role {} cannot read everything in {}: {} privileges are missing",
            address.user,
            address.database,
            missing.len()
        ),
        format!("Run as a superuser or the owner:\n{}{more}", shown.join("\n")),
    ))
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).map_err(|error| database(statement, error))
}

fn ask(client: &mut Client, query: &str) -> Result<Option<String>> {
    Ok(client.query_one(query, &[]).map_err(|error| database("looking for a pooler", error))?.get(0))
}
