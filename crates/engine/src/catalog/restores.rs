//! Records of restores, and how long each can be taken back.
//!
//! The truth about a restore is its journal in the state folder; these records are what people and programs see of it.

use super::{Catalog, failed, jobs::Failure, row};
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

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
        [Self::Prepared, Self::Swapped, Self::Undone, Self::Expired, Self::Failed].into_iter().find(|state| state.name() == name)
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
    /// Until when it can be undone; what lies beside is removed after that.
    pub undo_until: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<Failure>,
}

const COLUMNS: &str =
    "id, backup_id, pre_restore_id, components, state, started_at, swapped_at, finished_at, undo_until, error";

fn read(row: &Row<'_>) -> rusqlite::Result<RestoreRecord> {
    let pre_restore: Option<String> = row.get(2)?;
    Ok(RestoreRecord {
        id: row::id(row, 0)?,
        backup_id: row::id(row, 1)?,
        pre_restore_id: pre_restore.and_then(|id| Id::parse(&id).ok()),
        components: row::json(row, 3)?,
        state: row::named(row, 4, RestoreState::parse)?,
        started_at: row::time(row, 5)?,
        swapped_at: row::time_optional(row, 6)?,
        finished_at: row::time_optional(row, 7)?,
        undo_until: row::time_optional(row, 8)?,
        error: row::json_optional(row, 9)?,
    })
}

impl Catalog {
    /// Writes a restore down as it is now.
    pub fn restore_save(&self, record: &RestoreRecord) -> Result<()> {
        let json = |text: serde_json::Result<String>| text.map_err(|cause| Error::internal(cause.to_string()));
        let components = json(serde_json::to_string(&record.components))?;
        let error = record.error.as_ref().map(serde_json::to_string).map(json).transpose()?;
        let milliseconds = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        self.write(|tx| {
            tx.execute(
                &format!(
                    "INSERT INTO restores ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                     ON CONFLICT (id) DO UPDATE SET pre_restore_id = excluded.pre_restore_id, state = excluded.state, \
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

    /// One restore by its id, or `latest`: the newest one that is not undone.
    pub fn restore(&self, id: &str) -> Result<RestoreRecord> {
        if id == "latest" {
            let restores = self.restores()?;
            return restores.into_iter().find(|restore| restore.state == RestoreState::Swapped).ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "there is no restore that could be undone",
                    "`strongroom restores` lists them, and until when each can be undone.",
                )
            });
        }
        let id = Id::parse(id)?;
        self.restore_find(&id)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no restore {id}"), "`strongroom restores` lists them.")
        })
    }

    /// All restores, newest first.
    pub fn restores(&self) -> Result<Vec<RestoreRecord>> {
        let doing = |cause| failed("reading the records of restores", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare(&format!("SELECT {COLUMNS} FROM restores ORDER BY started_at DESC, rowid DESC"))
            .map_err(doing)?;
        let rows = statement.query_map([], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_the_newest_that_is_not_undone() {
        let catalog = Catalog::in_memory().unwrap();
        let mut records: Vec<_> = (1..=3)
            .map(|n| RestoreRecord {
                id: Id::generate().unwrap(),
                backup_id: Id::generate().unwrap(),
                pre_restore_id: None,
                components: vec!["database".to_owned()],
                state: RestoreState::Swapped,
                started_at: Timestamp::from_second(n).unwrap(),
                swapped_at: None,
                finished_at: None,
                undo_until: None,
                error: None,
            })
            .collect();
        records.iter().for_each(|record| catalog.restore_save(record).unwrap());
        records[2].state = RestoreState::Undone;
        catalog.restore_save(&records[2]).unwrap();
        assert_eq!(catalog.restore("latest").unwrap(), records[1]);
        assert_eq!(catalog.restore(records[2].id.as_str()).unwrap(), records[2]);
        assert_eq!(catalog.restore("000000000000").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
