//! The exchange of live and new: both names in one transaction.
//!
//! `ALTER DATABASE … RENAME` takes an exclusive lock on the database before it waits for others to leave, and whoever connects
//! meanwhile waits for that lock. So connections that are in the way are ended from a second connection *while* the rename
//! waits: nobody can come back in between, and nothing is left switched off when we are killed.

use super::admin::{busy, clients_of, connect_maintenance, disconnect};
use super::names::{Record, Standing};
use crate::source::postgres::address::Address;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::sql;
use crate::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One direction of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The new becomes live.
    Forth,
    /// The old becomes live again.
    Back,
}

/// Makes it so that the new (or again the old) is live. Does nothing where it is.
pub fn exchange(address: &Address, record: &Record, direction: Direction, disconnect_clients: bool) -> Result<()> {
    let mut client = connect_maintenance(address, &record.live)?;
    let standing = record.standing(&mut client)?;
    let (away, home) = match (direction, standing) {
        (Direction::Forth, Standing::New) | (Direction::Back, Standing::Old) => return Ok(()),
        (Direction::Forth, Standing::Old) => ((record.old_oid, &record.before), (record.new_oid, &record.beside)),
        (Direction::Back, Standing::New) => ((record.new_oid, &record.beside), (record.old_oid, &record.before)),
    };
    let incoming = super::names::oid_of(&mut client, home.1)?;
    if incoming != home.0 || (incoming.is_none() && direction == Direction::Forth) {
        return Err(gone(home.1, direction));
    }
    let mut renames = Vec::new();
    if away.0.is_some() {
        renames.push((record.live.as_str(), away.1.as_str()));
    }
    if incoming.is_some() {
        renames.push((home.1.as_str(), record.live.as_str()));
    }
    for (name, _) in &renames {
        let clients = clients_of(&mut client, name)?;
        if !clients.is_empty() && !disconnect_clients {
            return Err(busy(name, &clients));
        }
    }
    if disconnect_clients {
        rename_against_clients(&mut client, address, record, &renames)
    } else {
        rename(&mut client, &renames)
    }
}

fn gone(name: &str, direction: Direction) -> Error {
    let hint = match direction {
        Direction::Forth => "Start the restore again.",
        Direction::Back => "It was removed when the time for undoing ended: restore the pre-restore backup instead.",
    };
    Error::new(ErrorKind::NotFound, format!("the database {name} is gone, or another one has its name"), hint)
}

fn rename(client: &mut Client, renames: &[(&str, &str)]) -> Result<()> {
    let mut statements = String::from("BEGIN;\n");
    for (from, to) in renames {
        let _ = writeln!(statements, "ALTER DATABASE {} RENAME TO {};", sql::identifier(from), sql::identifier(to));
    }
    statements.push_str("COMMIT");
    client.batch_execute(&statements).map_err(|error| {
        let failed = database("exchanging the databases' names", error);
        let _ = client.batch_execute("ROLLBACK");
        failed
    })
}

/// Renames while a second connection keeps ending whoever is in the way.
fn rename_against_clients(
    client: &mut Client,
    address: &Address,
    record: &Record,
    renames: &[(&str, &str)],
) -> Result<()> {
    let mut second = connect_maintenance(address, &record.live)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                for (name, _) in renames {
                    disconnect(&mut second, name)?;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        let renamed = rename(client, renames);
        over.store(true, Ordering::Release);
        let ended: Result<()> = ending.join().unwrap_or_else(|_| Err(Error::internal("ending connections panicked")));
        renamed.map_err(|failed| ended.err().unwrap_or(failed))
    })
}
