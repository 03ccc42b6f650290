//! What a swap is about to do, on disk before it is done.
//!
//! Invariant: the journal says which side is wholly live, and holds every definition that a swap drops from the server until
//! it is made again there. It is written to a temporary name, synced, renamed and its folder synced: after a crash the old or
//! the new one is there, whole.

use super::keys::{self, Key};
use super::{Beside, shown};
use crate::source::mysql::introspect;
use crate::source::mysql::schema::{Object, Schema};
use crate::source::mysql::session::Session;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use vault::error::IoContext;

const FILE: &str = "mysql-swap.json";
const VERSION: u32 = 1;

/// Which of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// What was live before the restore.
    Old,
    /// What was restored.
    New,
}

/// What one side consists of, apart from rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contents {
    /// Tables and sequences.
    pub tables: Vec<String>,
    pub objects: Vec<Object>,
    pub character_set: String,
    pub collation: String,
    pub comment: String,
    /// Where single tables are exchanged: their keys to tables that stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
}

/// An exchange that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    /// The side that becomes live.
    pub to: Side,
    /// What is live until then.
    pub outgoing: Contents,
}

/// The journal of one restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Journal {
    version: u32,
    /// The live database's name.
    pub database: String,
    /// The side that is wholly live, unless an exchange is pending.
    pub live: Side,
    /// The side that is not.
    pub beside: Contents,
    /// Only the tables named in it are exchanged; everything else stays live.
    pub only_tables: bool,
    pub pending: Option<Pending>,
}

impl Contents {
    /// Of a backup.
    pub fn of_schema(schema: &Schema) -> Self {
        Self {
            tables: schema
                .tables
                .iter()
                .map(|t| t.name.clone())
                .chain(schema.sequences.iter().map(|s| s.name.clone()))
                .collect(),
            objects: schema.objects.clone(),
            character_set: schema.character_set.clone(),
            collation: schema.collation.clone(),
            comment: schema.comment.clone(),
            keys: Vec::new(),
        }
    }

    /// Of a database as it is.
    pub fn of_database(session: &mut Session, database: &str) -> Result<Self> {
        session.use_database(database)?;
        let names = introspect::names(session, database)?;
        let settings = introspect::database(session, database)?;
        Ok(Self {
            objects: introspect::objects(session, database, &names.views)?,
            tables: names.tables.into_iter().map(|table| table.name).chain(names.sequences).collect(),
            character_set: settings.character_set,
            collation: settings.collation,
            comment: settings.comment,
            keys: Vec::new(),
        })
    }

    /// Only these tables and what hangs on them.
    pub fn keep_only(&mut self, session: &mut Session, database: &str, tables: &[String]) -> Result<()> {
        self.tables.retain(|table| tables.contains(table));
        self.keys = keys::of_live(session, database, &self.tables)?;
        self.objects.retain(|object| object.table.as_ref().is_some_and(|table| tables.contains(table)));
        Ok(())
    }
}

impl Journal {
    /// Reads it, if there is one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::io(format!("reading {}", shown(&path)), cause)),
        };
        let journal: Self = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(
                ErrorKind::Damaged,
                format!("{} cannot be read: {cause}", shown(&path)),
                "It holds the definitions of triggers, views and routines of the old database: keep it, and report this.",
            )
        })?;
        if journal.version > VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} has version {}, this build reads up to {VERSION}", shown(&path), journal.version),
                "Use the Strongroom that made the restore, or a newer one.",
            ));
        }
        Ok(Some(journal))
    }

    /// Writes it, durably.
    pub fn write(&self, folder: &Path) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let (path, temporary) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|cause| Error::internal(format!("writing a journal: {cause}")))?;
        let what = || format!("writing {}", shown(&temporary));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).doing(what)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).doing(what)?;
        fs::rename(&temporary, &path).doing(|| format!("renaming to {}", shown(&path)))?;
        sync(folder)
    }

    /// Removes it, durably.
    pub fn remove(folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Ok(()) => sync(folder),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::io(format!("removing {}", shown(&path)), cause)),
        }
    }
}

/// The restored database is complete: from here on a swap knows all it needs.
pub(super) fn begin(beside: &Beside, database: &str, schema: &Schema, only_tables: Option<Vec<Key>>) -> Result<()> {
    let journal = Journal {
        version: VERSION,
        database: database.to_owned(),
        live: Side::Old,
        only_tables: only_tables.is_some(),
        beside: Contents { keys: only_tables.unwrap_or_default(), ..Contents::of_schema(schema) },
        pending: None,
    };
    journal.write(&beside.state_folder)
}

/// A restore that was swapped once must not be filled again: its folder holds the way back.
pub(super) fn refuse_if_any(folder: &Path) -> Result<()> {
    match Journal::read(folder)? {
        Some(journal) if journal.live == Side::New || journal.pending.is_some() => Err(Error::new(
            ErrorKind::Refused,
            format!("{} belongs to a restore that is live or half swapped", shown(folder)),
            "Undo or discard that restore first, or restore under a new id.",
        )),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).doing(|| format!("syncing the folder {}", shown(folder)))
}
