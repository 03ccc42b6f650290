//! Runs whose process died without a word: their records still say `running`.
//!
//! A run holds its plan's lock from before its record is written until after it is finished. So a record that says
//! `running` while its plan's lock is free belongs to nobody, and is failed honestly.

use super::{BackupRecord, Catalog, Failure, Holder, Locks};
use crate::manifest::State;
use crate::{ErrorKind, Result};
use jiff::Timestamp;

impl Catalog {
    /// Fails the records of dead runs and gives them back, for audit and notification. Records of plans that are running
    /// now, and all while a restore is under way, are left alone until the next call.
    pub fn fail_orphans(&self, locks: &Locks, now: Timestamp) -> Result<Vec<BackupRecord>> {
        let mut failed = Vec::new();
        for record in self.backups_running()? {
            let _lock = match locks.plan(&record.plan, &Holder::this("looking for runs that died", now)) {
                Ok(lock) => lock,
                Err(error) if error.kind() == ErrorKind::Locked => continue,
                Err(error) => return Err(error),
            };
            // Under the lock once more: it may have ended between the list and the lock.
            let Some(mut record) = self.backup_find(record.id.as_str())?.filter(|r| r.state == State::Running) else {
                continue;
            };
            record = record.finished(State::Failed, now);
            record.error = Some(Failure {
                code: ErrorKind::Internal.code().to_owned(),
                message: "the run ended without a word: its process was killed, crashed, or the machine went down"
                    .to_owned(),
                hint: "Nothing half-done counts as a backup. Run it again; look into the system's log for the reason \
                       (out of memory, a restart)."
                    .to_owned(),
            });
            self.backup_finish(&record, None)?;
            failed.push(record);
        }
        Ok(failed)
    }
}
