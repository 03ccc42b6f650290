//! Records of long work.
//!
//! A job is written down before anybody is told its id, so a restart can neither lose it nor start it twice. Whoever runs
//! it holds a lease that expires: a job whose runner died is found by [`Catalog::jobs_abandoned`]. The id of a job is also
//! the id of the backup or restore that it makes.

use super::outbox::{self, Message};
use super::{Catalog, failed, row};
use crate::id::Id;
use crate::manifest::State;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Makes a backup.
    Backup,
    /// Restores one.
    Restore,
    /// Undoes a restore.
    Undo,
    /// Reads backups back.
    Verify,
    /// Restores a backup into a scratch place and compares.
    Drill,
    /// Removes what retention lets go.
    Cleanup,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Backup, Self::Restore, Self::Undo, Self::Verify, Self::Drill, Self::Cleanup];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Undo => "undo",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::Cleanup => "cleanup",
        }
    }

    /// Reads a kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Done in part.
    Partial,
    /// Nothing came of it.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a state.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == text)
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Partial => Self::Partial,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// A failure as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.kind().code().to_owned(),
            message: error.message().to_owned(),
            hint: error.hint().to_owned(),
        }
    }
}

/// A piece of long work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id, and that of the backup or restore that it makes.
    pub id: Id,
    /// What it does.
    pub kind: JobKind,
    /// Jobs of one queue never overlap.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// What was asked for, by kind.
    pub request: Value,
    /// Who asked: a user's name, `token:NAME`, `scheduler`.
    pub actor: String,
    /// From where: an address, `scheduler`.
    pub origin: String,
    /// 1 for the first try; a job that a crash interrupted may be tried again.
    pub attempt: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// What came of it, by kind.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// Which jobs are wanted.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of this state.
    pub state: Option<JobState>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// So many at most.
    pub limit: u32,
    /// Without the first so many.
    pub offset: u32,
}

const COLUMNS: &str =
    "id, kind, queue, state, request, actor, origin, attempt, created_at, started_at, finished_at, result, error";

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let kind: String = row.get(1)?;
    let state: String = row.get(3)?;
    Ok(Job {
        id: row::id(row, 0)?,
        kind: JobKind::parse(&kind).ok_or_else(|| unreadable(1, &kind))?,
        queue: row.get(2)?,
        state: JobState::parse(&state).ok_or_else(|| unreadable(3, &state))?,
        request: row::json(row, 4)?,
        actor: row.get(5)?,
        origin: row.get(6)?,
        attempt: row.get(7)?,
        created_at: row::time(row, 8)?,
        started_at: row::time_optional(row, 9)?,
        finished_at: row::time_optional(row, 10)?,
        result: row::json_optional(row, 11)?,
        error: row::json_optional(row, 12)?,
    })
}

fn unreadable(column: usize, text: &str) -> rusqlite::Error {
    let cause = Error::new(ErrorKind::Unsupported, format!("a job says {text:?}"), "Use the newer program.");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(cause))
}

impl Catalog {
    /// Writes a new job down. With an `idempotency_key` that is known, the job that came first is returned instead, and
    /// `false`.
    pub fn job_add(&self, job: &Job, idempotency_key: Option<&str>) -> Result<(Job, bool)> {
        let doing = |cause| failed("writing a job down", cause);
        self.write(|tx| {
            let added = tx
                .execute(
                    "INSERT INTO jobs (id, kind, queue, state, request, actor, origin, idempotency_key, attempt, created_at)
                     VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING",
                    (
                        job.id.as_str(),
                        job.kind.name(),
                        &job.queue,
                        job.request.to_string(),
                        &job.actor,
                        &job.origin,
                        idempotency_key,
                        job.attempt,
                        job.created_at.as_millisecond(),
                    ),
                )
                .map_err(doing)?;
            if added == 1 {
                return Ok((job.clone(), true));
            }
            let first = tx
                .query_row(&format!("SELECT {COLUMNS} FROM jobs WHERE idempotency_key = $1"), [idempotency_key], read)
                .map_err(doing)?;
            Ok((first, false))
        })
    }

    /// Writes a schedule's job down together with the setting that remembers its run: both or neither.
    pub fn job_add_scheduled(&self, job: &Job, setting: (&str, &str)) -> Result<()> {
        let doing = |cause| failed("writing a schedule's job down", cause);
        let now = job.created_at.as_millisecond();
        self.write(|tx| {
            tx.execute(
                "INSERT INTO jobs (id, kind, queue, state, request, actor, origin, attempt, created_at)
                 VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8)",
                (
                    job.id.as_str(),
                    job.kind.name(),
                    &job.queue,
                    job.request.to_string(),
                    &job.actor,
                    &job.origin,
                    job.attempt,
                    now,
                ),
            )
            .map_err(doing)?;
            tx.execute(
                "INSERT INTO settings (name, value, changed_at, changed_by) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE SET value = $2, changed_at = $3, changed_by = $4",
                (setting.0, setting.1, now, &job.actor),
            )
            .map_err(doing)?;
            Ok(())
        })
    }

    /// One job.
    pub fn job(&self, id: &str) -> Result<Option<Job>> {
        self.connection()
            .query_row(&format!("SELECT {COLUMNS} FROM jobs WHERE id = $1"), [id], read)
            .optional()
            .map_err(|cause| failed("reading a job", cause))
    }

    /// Jobs, newest first, and how many there are in all.
    pub fn jobs(&self, filter: &JobFilter) -> Result<(Vec<Job>, u64)> {
        let doing = |cause| failed("reading the jobs", cause);
        let (state, kind) = (filter.state.map(JobState::name), filter.kind.map(JobKind::name));
        let wanted = "FROM jobs WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR kind = $2)";
        let connection = self.connection();
        let total = connection
            .query_row(&format!("SELECT count(*) {wanted}"), (state, kind), |row| row.get::<_, i64>(0))
            .map_err(doing)?;
        let mut statement = connection
            .prepare(&format!("SELECT {COLUMNS} {wanted} ORDER BY created_at DESC, id LIMIT $3 OFFSET $4"))
            .map_err(doing)?;
        let rows = statement.query_map((state, kind, filter.limit, filter.offset), read).map_err(doing)?;
        Ok((rows.collect::<rusqlite::Result<_>>().map_err(doing)?, total.unsigned_abs()))
    }

    /// The oldest queued job whose queue is idle becomes running and belongs to `owner` until `lease_until`.
    pub fn job_claim(&self, owner: &str, now: Timestamp, lease_until: Timestamp) -> Result<Option<Job>> {
        self.write(|tx| {
            tx.query_row(
                &format!(
                    "UPDATE jobs SET state = 'running', owner = $1, lease_until = $2, started_at = $3
                     WHERE id = (SELECT id FROM jobs j WHERE state = 'queued' AND NOT EXISTS
                                   (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.queue = j.queue)
                                 ORDER BY created_at, id LIMIT 1)
                     RETURNING {COLUMNS}"
                ),
                (owner, lease_until.as_millisecond(), now.as_millisecond()),
                read,
            )
            .optional()
            .map_err(|cause| failed("claiming a job", cause))
        })
    }

    /// Prolongs the leases of everything that `owner` runs.
    pub fn jobs_renew(&self, owner: &str, lease_until: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE jobs SET lease_until = $1 WHERE owner = $2 AND state = 'running'",
                (lease_until.as_millisecond(), owner),
            )
            .map(drop)
            .map_err(|cause| failed("renewing the leases of jobs", cause))
        })
    }

    /// Writes down how a job ended, and the messages about it: both or neither, so that a crash loses no message. A job
    /// that is over stays as it is, and nobody hears of it again; says whether this was the end.
    pub fn job_finish(
        &self,
        id: &Id,
        state: JobState,
        result: Option<&Value>,
        error: Option<&Failure>,
        now: Timestamp,
        messages: &[Message],
    ) -> Result<bool> {
        let error = error.map(|error| serde_json::json!(error).to_string());
        self.write(|tx| {
            let ended = tx.execute(
                "UPDATE jobs SET state = $1, result = $2, error = $3, finished_at = $4, owner = NULL, lease_until = NULL
                 WHERE id = $5 AND state IN ('queued', 'running')",
                (state.name(), result.map(Value::to_string), error, now.as_millisecond(), id.as_str()),
            );
            let ended = ended.map_err(|cause| failed("writing down how a job ended", cause))? == 1;
            if ended {
                outbox::add(tx, messages)?;
            }
            Ok(ended)
        })
    }

    /// Cancels a job that has not begun; says whether it had not.
    pub fn job_cancel_queued(&self, id: &str, now: Timestamp) -> Result<bool> {
        self.write(|tx| {
            tx.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at = $1 WHERE id = $2 AND state = 'queued'",
                (now.as_millisecond(), id),
            )
            .map(|cancelled| cancelled == 1)
            .map_err(|cause| failed("cancelling a job", cause))
        })
    }

    /// Running jobs whose runner has let its lease expire.
    pub fn jobs_abandoned(&self, now: Timestamp) -> Result<Vec<Job>> {
        let doing = |cause| failed("looking for abandoned jobs", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare(&format!(
                "SELECT {COLUMNS} FROM jobs WHERE state = 'running' AND lease_until <= $1 ORDER BY created_at"
            ))
            .map_err(doing)?;
        let rows = statement.query_map([now.as_millisecond()], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Puts an abandoned job back into its queue, as another attempt.
    pub fn job_requeue(&self, id: &Id) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE jobs SET state = 'queued', attempt = attempt + 1, owner = NULL, lease_until = NULL,
                 started_at = NULL WHERE id = $1 AND state = 'running'",
                [id.as_str()],
            )
            .map(drop)
            .map_err(|cause| failed("queueing a job again", cause))
        })
    }

    /// How many jobs are in each state that is not over, and how many ended in each other one.
    pub fn jobs_count(&self) -> Result<Vec<(JobState, u64)>> {
        let doing = |cause| failed("counting the jobs", cause);
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT state, count(*) FROM jobs GROUP BY state").map_err(doing)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
            .map_err(doing)?
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(doing)?;
        let count = |state: JobState| {
            rows.iter().find(|(name, _)| name == state.name()).map_or(0, |(_, count)| count.unsigned_abs())
        };
        Ok(JobState::ALL.into_iter().map(|state| (state, count(state))).collect())
    }

    /// Forgets jobs that were over before `before`, whose keys count no more either.
    pub fn jobs_forget(&self, before: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM jobs WHERE finished_at < $1", [before.as_millisecond()])
                .map(drop)
                .map_err(|cause| failed("forgetting old jobs", cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(queue: &str, second: i64) -> Job {
        Job {
            id: Id::generate().unwrap(),
            kind: JobKind::Backup,
            queue: queue.to_owned(),
            state: JobState::Queued,
            request: serde_json::json!({"tier": "manual"}),
            actor: "ann".to_owned(),
            origin: "::1".to_owned(),
            attempt: 1,
            created_at: at(second),
            started_at: None,
            finished_at: None,
            result: None,
            error: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn jobs_of_one_queue_wait_for_each_other_and_others_do_not() {
        let catalog = Catalog::in_memory().unwrap();
        let jobs = [job("a", 1), job("a", 2), job("b", 3)];
        for job in &jobs {
            assert!(catalog.job_add(job, None).unwrap().1);
        }
        let claim = || catalog.job_claim("me", at(10), at(40)).unwrap().map(|job| job.id);
        assert_eq!(claim().as_ref(), Some(&jobs[0].id));
        assert_eq!(claim().as_ref(), Some(&jobs[2].id));
        assert_eq!(claim(), None);
        assert!(catalog.job_finish(&jobs[0].id, JobState::Succeeded, None, None, at(11), &[]).unwrap());
        assert!(!catalog.job_finish(&jobs[0].id, JobState::Failed, None, None, at(12), &[]).unwrap(), "over is over");
        assert_eq!(claim().as_ref(), Some(&jobs[1].id));
    }

    #[test]
    fn a_job_ends_together_with_its_messages_and_only_once() {
        let catalog = Catalog::in_memory().unwrap();
        let job = job("a", 1);
        catalog.job_add(&job, None).unwrap();
        let message = || Message {
            id: Id::generate().unwrap(),
            channel: "email".to_owned(),
            event: "success".to_owned(),
            body: Value::Null,
            attempts: 0,
            created_at: at(2),
            last_error: None,
        };
        let finish =
            |messages: &[Message]| catalog.job_finish(&job.id, JobState::Succeeded, None, None, at(2), messages);
        let twice = message();
        finish(&[twice.clone(), twice]).unwrap_err();
        assert!(!catalog.job(job.id.as_str()).unwrap().unwrap().state.is_over(), "neither without the other");
        assert!(finish(&[message()]).unwrap());
        assert!(!finish(&[message()]).unwrap());
        assert!(catalog.outbox_claim(at(3), at(9)).unwrap().is_some());
        assert!(catalog.outbox_claim(at(3), at(9)).unwrap().is_none());
    }

    #[test]
    fn the_same_key_makes_one_job() {
        let catalog = Catalog::in_memory().unwrap();
        let (first, new) = catalog.job_add(&job("a", 1), Some("k")).unwrap();
        assert!(new);
        let (second, new) = catalog.job_add(&job("a", 2), Some("k")).unwrap();
        assert!(!new);
        assert_eq!(first.id, second.id);
        assert_eq!(catalog.jobs(&JobFilter { limit: 9, ..JobFilter::default() }).unwrap().1, 1);
    }

    #[test]
    fn a_job_whose_runner_died_is_found_and_can_run_again() {
        let catalog = Catalog::in_memory().unwrap();
        catalog.job_add(&job("a", 1), None).unwrap();
        let claimed = catalog.job_claim("me", at(10), at(40)).unwrap().unwrap();
        assert!(catalog.jobs_abandoned(at(39)).unwrap().is_empty());
        catalog.jobs_renew("me", at(50)).unwrap();
        assert!(catalog.jobs_abandoned(at(49)).unwrap().is_empty());
        assert_eq!(catalog.jobs_abandoned(at(50)).unwrap()[0].id, claimed.id);
        catalog.job_requeue(&claimed.id).unwrap();
        assert_eq!(catalog.job_claim("you", at(60), at(90)).unwrap().unwrap().attempt, 2);
    }
}
