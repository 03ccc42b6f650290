//! One instant of a database, seen by several connections.
//!
//! The goal: every connection reads the same state, nothing can be altered until the end, and writers wait as short as can be.
//!
//! 1. One connection takes `FLUSH TABLES WITH READ LOCK`; the others begin their transactions `WITH CONSISTENT SNAPSHOT` and
//!    touch every table, which holds its definition until they end: a migration waits for the backup.
//! 2. Still under the lock: definitions that no such hold protects (views, routines, events), sequence values, and the rows of
//!    tables that are in no snapshot (MyISAM, Aria, MEMORY), which go to scratch files.
//! 3. The lock is given up; the rest is read at leisure.
//!
//! The uncomfortable consequences: the lock waits for running statements and makes writers wait with it (at most 30 seconds,
//! then the backup fails and says so); non-transactional tables hold writers up for as long as they are read; and without the
//! RELOAD right there is no lock: one connection, and views, routines and non-transactional tables of a slightly later instant.

use super::address::Address;
use super::introspect::{self, Listed, Names};
use super::rights::Rights;
use super::schema::{ObjectKind, Schema, Table};
use super::session::{Session, quote_name};
use super::{rows, stream};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a snapshot is wanted.
pub(crate) struct Wanted<'a> {
    /// Parallel connections.
    pub connections: usize,
    /// Where rows of non-transactional tables wait; `None` where nobody else writes (a restored database): then they are read live.
    pub scratch: Option<&'a Path>,
    /// Tables above this get no content hash.
    pub content_hash_bytes_max: Option<u64>,
}

/// A database at one instant.
pub(crate) struct Snapshot {
    /// Connections that see it; at least one.
    pub sessions: Vec<Session>,
    /// How further connections are made, to end one that is in the middle of a result.
    pub address: Address,
    /// Everything that is not rows.
    pub schema: Schema,
    /// Counts from information_schema.
    pub counts: BTreeMap<String, u64>,
    /// Collations in use.
    pub collations: Vec<String>,
    /// Rows of non-transactional tables, by table.
    pub spooled: BTreeMap<String, PathBuf>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Something is not in it.
    pub partial: bool,
}

impl Snapshot {
    /// Takes it.
    pub fn take(address: &Address, wanted: &Wanted<'_>) -> Result<Self> {
        let mut first = Session::open(address)?;
        let database = first.text("SELECT DATABASE()")?.unwrap_or_default();
        let rights = Rights::read(&mut first, &database)?;
        rights.require(&database)?;
        let mut sessions = vec![first];
        let locked = rights.reload && wanted.scratch.is_some();
        // Where nobody else writes (a restored database), no lock is needed for several connections to see the same.
        let connections = if locked || wanted.scratch.is_none() { wanted.connections.max(1) } else { 1 };
        for _ in 1..connections {
            sessions.push(Session::open(address)?);
        }
        let lock = if locked { Some(global_lock(address)?) } else { None };
        let mut warnings = Vec::new();
        if !locked && wanted.scratch.is_some() {
            warnings.push(format!(
                "without the RELOAD right one connection reads everything, and views, routines and events may be of a moment \
                 later: {}",
                rights.grants_advised(&database).join(" ")
            ));
        }
        let names = begin(&mut sessions, &database)?;
        let mut schema = introspect::database(&mut sessions[0], &database)?;
        schema.objects = introspect::objects(&mut sessions[0], &database, &names.views)?;
        schema.sequences = introspect::sequences(&mut sessions[0], &database, &names.sequences)?;
        let spooled = match wanted.scratch {
            Some(scratch) => spool(address, &names, scratch, &rights, &mut warnings)?,
            None => BTreeMap::new(),
        };
        drop(lock);
        schema.tables = introspect::tables(&mut sessions[0], &database, &names.tables)?;
        for (table, listed) in schema.tables.iter_mut().zip(&names.tables) {
            table.without_hash = wanted.content_hash_bytes_max.is_some_and(|max| listed.data_bytes > max);
        }
        let partial = notes(&schema, &names, &mut warnings);
        Ok(Self {
            counts: introspect::counts(&mut sessions[0], &database)?,
            collations: introspect::collations(&mut sessions[0], &database)?,
            address: address.clone(),
            sessions,
            schema,
            spooled,
            warnings,
            partial,
        })
    }
}

/// Makes all writers wait. Ends when the session is dropped.
fn global_lock(address: &Address) -> Result<Session> {
    let mut session = Session::connect(address)?;
    session.execute("FLUSH TABLES WITH READ LOCK").map_err(|error| {
        if error.kind() != ErrorKind::Busy {
            return error;
        }
        Error::new(
            ErrorKind::Busy,
            format!(
                "{}: the short read lock for a consistent snapshot was not to be had in 30 seconds",
                session.place()
            ),
            "A long statement or transaction is running: back up when it has ended. Nothing was locked any longer.",
        )
        .because(error)
    })?;
    Ok(session)
}

/// Begins the transactions and holds every definition, on every connection: one that came later would queue behind a
/// migration that waits for us.
fn begin(sessions: &mut [Session], database: &str) -> Result<Names> {
    for session in sessions.iter_mut() {
        session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    }
    let names = introspect::names(&mut sessions[0], database)?;
    for session in sessions {
        for table in names.tables.iter().filter(|table| !table.without_rows) {
            session.execute(&format!("SELECT 1 FROM {} LIMIT 0", quote_name(&table.name)))?;
        }
    }
    Ok(names)
}

/// Copies the rows of tables that are in no snapshot into scratch files, while nobody can write them.
fn spool(
    address: &Address,
    names: &Names,
    scratch: &Path,
    rights: &Rights,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, PathBuf>> {
    let outside = names.tables.iter().filter(|table| !table.transactional && !table.without_rows).cloned();
    let outside = outside.collect::<Vec<_>>();
    if outside.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut session = Session::open(address)?;
    if !rights.reload {
        let how = if rights.lock_tables { "under a lock of its own" } else { "without a lock" };
        warnings.push(format!(
            "{} in no snapshot and was read {how}: GRANT RELOAD to have all of one instant",
            describe(&outside)
        ));
        if rights.lock_tables {
            let locks = outside.iter().map(|table| format!("{} READ", quote_name(&table.name))).collect::<Vec<_>>();
            session.execute(&format!("LOCK TABLES {}", locks.join(", ")))?;
        }
    }
    let tables = introspect::tables(&mut session, &address.database, &outside)?;
    let mut spooled = BTreeMap::new();
    for (at, table) in tables.iter().enumerate() {
        let path = scratch.join(format!("rows-{at}"));
        stream::spool(&mut session, &rows::select(table, true), &path)?;
        spooled.insert(table.name.clone(), path);
    }
    Ok(spooled)
}

fn describe(tables: &[Listed]) -> String {
    let names = tables.iter().map(|table| format!("{} ({})", table.name, table.engine)).collect::<Vec<_>>();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// What a person should know of this schema; whether something is left out.
fn notes(schema: &Schema, names: &Names, warnings: &mut Vec<String>) -> bool {
    let mut partial = false;
    for (table, listed) in schema.tables.iter().zip(&names.tables) {
        if table.without_rows {
            warnings.push(format!(
                "table {}: its rows are not its own (engine {}): only its definition is kept",
                table.name, table.engine
            ));
        }
        if listed.system_versioned && !table.system_versioned {
            partial = true;
            warnings.push(format!(
                "table {}: earlier versions of its rows are not in the backup: servers before MariaDB 10.11 cannot take them back",
                table.name
            ));
        }
        notes_on_columns(table, warnings);
    }
    for object in &schema.objects {
        let kind = object.kind.sql().to_lowercase();
        if object.broken {
            warnings.push(format!(
                "view {} does not work (something it refers to is gone): its definition is kept, it is not restored",
                object.name
            ));
        // In a view's text the server itself leaves the name out; what looks like it there is a table of the same name.
        } else if object.kind != ObjectKind::View && names_database(&object.definition, &schema.database) {
            warnings.push(format!(
                "{kind} {} names the database {} itself: restored under another name it still refers to that one",
                object.name, schema.database
            ));
        }
    }
    partial
}

fn notes_on_columns(table: &Table, warnings: &mut Vec<String>) {
    for column in &table.columns {
        // The server keeps such names, but shows them in its own three-byte character set.
        if matches!(column.kind, super::schema::Kind::Enum) && column.declared.contains('?') {
            warnings.push(format!(
                "table {}: column {} is {}: where a ? stands for a character beyond U+FFFF, the server itself cannot tell, and rows with it cannot be restored",
                table.name, column.name, column.declared
            ));
        }
    }
}

fn names_database(definition: &str, database: &str) -> bool {
    let plain = format!("{database}.");
    definition.contains(&format!("{}.", quote_name(database)))
        || definition.match_indices(&plain).any(|(at, _)| {
            !definition[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '`' | '.'))
        })
}
