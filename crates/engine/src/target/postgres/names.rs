//! What a restore into a live database calls things, and its record in the state folder.
//!
//! Invariant: a database is only renamed or dropped when its name *and* its object id are those on record.

use crate::id::Id;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::sql;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use vault::error::IoContext;

/// The record of a restore beside a live database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The live database's name.
    pub live: String,
    /// `crm__restoring_<id>`: the new before the swap.
    pub beside: String,
    /// `crm__before_<id>`: the old after the swap.
    pub before: String,
    /// Object id of the old; `None` when there was no live database.
    pub old_oid: Option<u32>,
    /// Object id of the new, once it is made.
    pub new_oid: Option<u32>,
    /// Everything is in the new one and was measured: before that it is never swapped in.
    pub measured: bool,
    /// Restored within one transaction of the live database: its id, once it is about to be committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Restored within one transaction of the live database: nothing lies beside.
    #[serde(default)]
    pub in_place: bool,
    /// Whether that transaction makes the restored side live, or takes it back.
    #[serde(default)]
    pub makes_restored_live: bool,
    /// It is known to be committed: the server forgets after some hundred million others.
    #[serde(default)]
    pub committed: bool,
}

/// Where things stand, told from names and object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The old is live, the new lies beside (or is not there).
    Old,
    /// The new is live, the old lies beside (or is gone).
    New,
}

impl Record {
    /// Names for a restore of `live`, cut to PostgreSQL's 63 bytes.
    pub fn new(live: &str, id: &Id, old_oid: Option<u32>) -> Self {
        Self {
            live: live.to_owned(),
            beside: sql::cut_name(live, &format!("__restoring_{id}")),
            before: sql::cut_name(live, &format!("__before_{id}")),
            old_oid,
            new_oid: None,
            measured: false,
            transaction: None,
            in_place: false,
            makes_restored_live: false,
            committed: false,
        }
    }

    fn path(folder: &Path, component: &str) -> PathBuf {
        folder.join(format!("postgres-{}.json", sql::file_name(component)))
    }

    /// Reads the record, if there is one.
    pub fn load(folder: &Path, component: &str) -> Result<Option<Self>> {
        let path = Self::path(folder, component);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.doing(|| format!("reading {}", path.display()))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|cause| {
            Error::new(
                ErrorKind::Damaged,
                format!("the restore's record {} cannot be read: {cause}", path.display()),
                "Nothing was changed. The databases are still there under names that end in the restore's id.",
            )
            .because(cause)
        })
    }

    /// Writes the record durably.
    pub fn save(&self, folder: &Path, component: &str) -> Result<()> {
        let path = Self::path(folder, component);
        let what = || format!("writing {}", path.display());
        let json =
            serde_json::to_vec_pretty(self).map_err(|cause| Error::internal("a record is not JSON").because(cause))?;
        let temporary = path.with_extension("json.tmp");
        let mut file = File::create(&temporary).doing(what)?;
        file.write_all(&json).and_then(|()| file.sync_all()).doing(what)?;
        fs::rename(&temporary, &path).doing(what)?;
        File::open(folder).and_then(|folder| folder.sync_all()).doing(what)
    }

    /// Removes the record; it may be gone already.
    pub fn remove(folder: &Path, component: &str) -> Result<()> {
        let path = Self::path(folder, component);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.doing(|| format!("removing {}", path.display())),
        }
    }

    /// Tells where things stand; refuses when the names belong to databases that are not on record.
    pub fn standing(&self, client: &mut Client) -> Result<Standing> {
        let live = oid_of(client, &self.live)?;
        if live.is_some() && live == self.new_oid {
            return Ok(Standing::New);
        }
        if live == self.old_oid {
            return Ok(Standing::Old);
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!(
                "the database {} is neither the one that this restore found nor the one that it made (object id {live:?}, on \
                 record {:?} and {:?}): somebody replaced it meanwhile",
                self.live, self.old_oid, self.new_oid
            ),
            format!("Nothing was changed. Look at {} and {} and rename or drop by hand.", self.beside, self.before),
        ))
    }
}

/// Object id of the database of this name.
pub fn oid_of(client: &mut Client, name: &str) -> Result<Option<u32>> {
    let row = client
        .query_opt("SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", &[&name])
        .map_err(|error| database(format!("looking for database {name}"), error))?;
    Ok(row.map(|row| row.get(0)))
}
