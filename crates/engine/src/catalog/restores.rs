//! Records of restores, and how long each can be taken back.
//!
//! The truth about a restore is its journal in the state folder: what a crash left half-done is finished or undone from
//! there. These records are what people and programs see of it.

use super::{Catalog, failed, jobs::Failure, row};
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreState {
    /// Under way: nothing live was touched yet, or the exchange is not finished.
    Prepared,
    /// The restored components are live, the old ones lie beside.
    Swapped,
    /// The old components are live again, the restored ones lie beside.
    Undone,
    /// What lay beside is gone: it stays as it is.
    Expired,
    /// Nothing was restored; the old components are live.
    Failed,
}

impl RestoreState {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Swapped => "swapped",
            Self::Undone => "undone",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// Reads a state's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Prepared, Self::Swapped, Self::Undone, Self::Expired, Self::Failed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One restore of live components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRecord {
    /// Its id.
    pub id: Id,
    /// What was restored; an archive that no catalog knows has its manifest's id.
    pub backup_id: Id,
    /// The backup of the components as they were before.
    pub pre_restore_id: Option<Id>,
    /// Names of the components.
    pub components: Vec<String>,
    /// How far it has come.
    pub state: RestoreState,
    /// When it began.
    pub started_at: Timestamp,
    /// When the restored components became live.
    pub swapped_at: Option<Timestamp>,
    /// When it was over, or was last undone or redone.
    pub finished_at: Option<Timestamp>,
    /// Its journal's file.
    pub journal: Option<PathBuf>,
    /// Until when it can be undone; what lies beside is removed after that.
    pub undo_until: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<Failure>,
}

const COLUMNS: &str =
    "id, backup_id, pre_restore_id, components, state, started_at, swapped_at, finished_at, undo_until, error, journal";

const NEWEST_FIRST: &str = "started_at DESC, rowid DESC";

fn read(row: &Row<'_>) -> rusqlite::Result<RestoreRecord> {
    let has_pre_restore = row.get_ref(2)? != ValueRef::Null;
    Ok(RestoreRecord {
        id: row::id(row, 0)?,
        backup_id: row::id(row, 1)?,
        pre_restore_id: has_pre_restore.then(|| row::id(row, 2)).transpose()?,
        components: row::json(row, 3)?,
        state: row::named(row, 4, RestoreState::parse)?,
        started_at: row::time(row, 5)?,
        swapped_at: row::time_optional(row, 6)?,
        finished_at: row::time_optional(row, 7)?,
        undo_until: row::time_optional(row, 8)?,
        error: row::json_optional(row, 9)?,
        journal: row.get::<_, Option<String>>(10)?.map(PathBuf::from),
    })
}

impl Catalog {
    /// Writes a restore down as it is now.
    pub fn restore_save(&self, record: &RestoreRecord) -> Result<()> {
        let json = |text: serde_json::Result<String>| text.map_err(|cause| Error::internal(cause.to_string()));
        let components = json(serde_json::to_string(&record.components))?;
        let error = record.error.as_ref().map(serde_json::to_string).map(json).transpose()?;
        let journal = record.journal.as_ref().map(|path| path.to_str().ok_or_else(|| not_utf8(path))).transpose()?;
        let milliseconds = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        self.write(|tx| {
            tx.execute(
                &format!(
                    "INSERT INTO restores ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                     ON CONFLICT (id) DO UPDATE SET pre_restore_id = excluded.pre_restore_id, state = excluded.state, \
                     components = excluded.components, journal = excluded.journal, \
                     swapped_at = excluded.swapped_at, finished_at = excluded.finished_at, \
                     undo_until = excluded.undo_until, error = excluded.error"
                ),
                params![
                    record.id.as_str(),
                    record.backup_id.as_str(),
                    record.pre_restore_id.as_ref().map(Id::as_str),
                    components,
                    record.state.name(),
                    record.started_at.as_millisecond(),
                    milliseconds(record.swapped_at),
                    milliseconds(record.finished_at),
                    milliseconds(record.undo_until),
                    error,
                    journal,
                ],
            )
            .map(drop)
            .map_err(|cause| failed("writing down a restore", cause))
        })
    }

    /// One restore, if there is one of this id.
    pub fn restore_find(&self, id: &Id) -> Result<Option<RestoreRecord>> {
        self.connection()
            .query_row(&format!("SELECT {COLUMNS} FROM restores WHERE id = $1"), [id.as_str()], read)
            .optional()
            .map_err(|cause| failed("reading a restore's record", cause))
    }

    /// One restore by its id, or `latest`: the one that was swapped last and is not undone or expired.
    pub fn restore(&self, id: &str) -> Result<RestoreRecord> {
        if id == "latest" {
            let order = "swapped_at DESC, started_at DESC, rowid DESC LIMIT 1";
            let newest = self.restores_where("state = 'swapped'", order)?.pop();
            return newest.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "there is no restore that could be undone",
                    "`strongroom audit` shows every restore and what became of it.",
                )
            });
        }
        let id = Id::parse(id)?;
        self.restore_find(&id)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no restore {id}"),
                "`strongroom audit` shows every restore with its id.",
            )
        })
    }

    /// All restores, newest first.
    pub fn restores(&self) -> Result<Vec<RestoreRecord>> {
        self.restores_where("1 = 1", NEWEST_FIRST)
    }

    /// Restores that keep data beside the live one: prepared, swapped or undone.
    pub fn restores_open(&self) -> Result<Vec<RestoreRecord>> {
        self.restores_where("state IN ('prepared', 'swapped', 'undone')", NEWEST_FIRST)
    }

    /// Restores whose time for an undo has passed at `now` but whose other data is still there.
    pub fn restores_to_expire(&self, now: Timestamp) -> Result<Vec<RestoreRecord>> {
        let passed = format!("state IN ('swapped', 'undone') AND undo_until <= {}", now.as_millisecond());
        self.restores_where(&passed, NEWEST_FIRST)
    }

    fn restores_where(&self, condition: &str, order: &str) -> Result<Vec<RestoreRecord>> {
        let doing = |cause| failed("reading the records of restores", cause);
        let connection = self.connection();
        let query = format!("SELECT {COLUMNS} FROM restores WHERE {condition} ORDER BY {order}");
        let mut statement = connection.prepare(&query).map_err(doing)?;
        let rows = statement.query_map([], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }
}

fn not_utf8(path: &Path) -> Error {
    let message = format!("the path {} is not UTF-8", path.display());
    Error::new(ErrorKind::Unsupported, message, "Choose a BACKUP_DIR with a UTF-8 name.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(started: i64, state: RestoreState) -> RestoreRecord {
        RestoreRecord {
            id: Id::generate().unwrap(),
            backup_id: Id::generate().unwrap(),
            pre_restore_id: Some(Id::generate().unwrap()),
            components: vec!["database".to_owned()],
            state,
            started_at: at(started),
            swapped_at: Some(at(started + 1)),
            finished_at: None,
            undo_until: Some(at(started + 100)),
            error: None,
            journal: Some("/backups/.strongroom/restores/1.json".into()),
        }
    }

    #[test]
    fn undo_takes_the_restore_that_was_swapped_last() {
        let catalog = Catalog::in_memory().unwrap();
        let (mut first, mut second) = (record(10, RestoreState::Swapped), record(20, RestoreState::Swapped));
        catalog.restore_save(&first).unwrap();
        catalog.restore_save(&second).unwrap();
        assert_eq!(catalog.restore("latest").unwrap(), second);
        second.state = RestoreState::Undone;
        catalog.restore_save(&second).unwrap();
        assert_eq!(catalog.restore("latest").unwrap(), first);
        assert_eq!(catalog.restore(second.id.as_str()).unwrap(), second);
        first.state = RestoreState::Expired;
        catalog.restore_save(&first).unwrap();
        for missing in ["latest", "000000000000"] {
            assert_eq!(catalog.restore(missing).unwrap_err().kind(), ErrorKind::NotFound);
        }
        assert_eq!(catalog.restores().unwrap(), [second, first]);
    }

    #[test]
    fn a_restore_expires_when_its_time_for_an_undo_has_passed() {
        let catalog = Catalog::in_memory().unwrap();
        catalog.restore_save(&record(10, RestoreState::Swapped)).unwrap();
        catalog.restore_save(&record(10, RestoreState::Failed)).unwrap();
        assert!(catalog.restores_to_expire(at(109)).unwrap().is_empty());
        assert_eq!(catalog.restores_to_expire(at(110)).unwrap().len(), 1);
        assert_eq!(catalog.restores_open().unwrap().len(), 1);
    }
}
