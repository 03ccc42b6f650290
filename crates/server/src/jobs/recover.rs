//! What a start does about jobs that an earlier life left running.
//!
//! Proofs and cleanups change nothing that a second try would harm: they run again. A restore was finished or undone by the
//! engine already; its record says which. A backup is looked up: committed just before the crash it counts, otherwise it
//! failed, and says so. A schedule's backup is made up for by a new one, once.

use super::run::Done;
use super::{NewJob, worker};
use crate::events::{SCHEDULER, scheduler};
use crate::state::App;
use crate::view::{Backup, Restore};
use crate::work::BackupRequest;
use engine::catalog::jobs::{Job, JobKind};
use engine::catalog::restores::RestoreState;
use engine::id::Id;
use engine::manifest::State;
use engine::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde_json::json;

/// A job that kills the process each time is not tried for ever.
const ATTEMPTS_MAX: u32 = 3;

/// Looks after every job that was running; called once, before the worker starts and after the engine's own recovery.
pub fn recover(app: &App) -> Result<()> {
    // One service has the catalog: whatever runs was an earlier life's.
    for job in app.catalog.jobs_abandoned(Timestamp::MAX)? {
        tracing::warn!(job = %job.id, kind = job.kind.name(), "a job was interrupted when the service ended");
        let again = matches!(job.kind, JobKind::Verify | JobKind::Drill | JobKind::Cleanup);
        if again && job.attempt < ATTEMPTS_MAX {
            app.catalog.job_requeue(&job.id)?;
            continue;
        }
        let result = outcome(app, &job)?;
        // First the new job: a crash between the two makes one backup too many, never one too few.
        if result.is_err() {
            make_up(app, &job)?;
        }
        worker::record(app, &job, &result)?;
    }
    Ok(())
}

fn outcome(app: &App, job: &Job) -> Result<Result<Done>> {
    let interrupted = || {
        Err(Error::new(
            ErrorKind::Cancelled,
            "the service ended before this was over",
            "Nothing half-done was left behind; ask for it again.",
        ))
    };
    Ok(match job.kind {
        JobKind::Backup => match app.catalog.backup_find(job.id.as_str())? {
            Some(record) if matches!(record.state, State::Succeeded | State::Partial) => Ok(Done {
                state: record.state.into(),
                result: json!(Backup::from(record.clone())),
                backup: Some(record),
            }),
            _ => interrupted().map_err(|error: Error| as_failure(error)),
        },
        JobKind::Restore => match app.catalog.restore_find(&job.id)? {
            Some(record) if record.state == RestoreState::Swapped => {
                Ok(Done::good_or_failed(true, json!(Restore::from(record))))
            }
            _ => interrupted().map_err(|error: Error| as_failure(error)),
        },
        _ => interrupted().map_err(|error: Error| as_failure(error)),
    })
}

/// A crash is nobody's wish: it is a failure, not a cancellation.
fn as_failure(error: Error) -> Error {
    Error::new(ErrorKind::External, error.message().to_owned(), error.hint().to_owned())
}

/// Queues another backup in place of a schedule's that was interrupted; marked late. One that was itself such a second try
/// is not made up for again: the failure was reported.
pub fn make_up(app: &App, job: &Job) -> Result<()> {
    if job.kind != JobKind::Backup || job.actor != SCHEDULER || job.attempt > 1 {
        return Ok(());
    }
    let Ok(request) = serde_json::from_value::<BackupRequest>(job.request.clone()) else { return Ok(()) };
    let again = BackupRequest { id: Id::generate()?, late: true, ..request };
    let job = Job { attempt: 2, ..NewJob::backup(again, scheduler()).into_job(app) };
    app.catalog.job_add(&job, None).map(drop)
}
