//! One job from its request to its result.

use super::Live;
use crate::state::App;
use crate::view::{Backup, Restore};
use engine::catalog::backups::BackupRecord;
use engine::catalog::jobs::{Job, JobKind, JobState};
use engine::manifest::State;
use engine::room::Actor;
use engine::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use vault::Progress;

/// What came of a job.
pub struct Done {
    /// Never `queued` or `running`.
    pub state: JobState,
    /// By kind.
    pub result: Value,
    /// The backup it made.
    pub backup: Option<BackupRecord>,
}

impl Done {
    /// Good, or found not to be.
    pub(super) fn good_or_failed(good: bool, result: Value) -> Self {
        let state = if good { JobState::Succeeded } else { JobState::Failed };
        Self { state, result, backup: None }
    }

    /// What was warned of on the way stays part of the result, when there is no progress to look at any more.
    fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        if let (Value::Object(result), false) = (&mut self.result, warnings.is_empty()) {
            result.entry("warnings").or_insert_with(|| json!(warnings));
        }
        self
    }
}

/// Does the work; blocks.
pub fn run(app: &App, job: &Job, live: &Arc<Live>) -> Result<Done> {
    let done = work(app, job, Arc::clone(live) as Arc<dyn Progress>)?;
    Ok(done.with_warnings(live.view().warnings))
}

fn work(app: &App, job: &Job, progress: Arc<dyn Progress>) -> Result<Done> {
    let actor = &Actor { name: job.actor.clone(), origin: job.origin.clone() };
    match job.kind {
        JobKind::Backup => {
            let record = app.strongroom.run_backup(request(job)?, actor, progress)?;
            let state = if record.state == State::Running { JobState::Failed } else { record.state.into() };
            Ok(Done { state, result: json!(Backup::from(record.clone())), backup: Some(record) })
        }
        JobKind::Restore => {
            let record = app.strongroom.restore(request(job)?, actor, progress)?;
            Ok(Done::good_or_failed(record.error.is_none(), json!(Restore::from(record))))
        }
        JobKind::Undo => {
            let record = app.strongroom.undo(request(job)?, actor, progress)?;
            Ok(Done::good_or_failed(record.error.is_none(), json!(Restore::from(record))))
        }
        JobKind::Verify => {
            let found = app.strongroom.verify(request(job)?, actor, progress)?;
            let good = found.iter().all(|found| found.good);
            Ok(Done::good_or_failed(good, json!({"good": good, "backups": found})))
        }
        JobKind::Drill => {
            let found = app.strongroom.drill(request(job)?, actor, progress)?;
            Ok(Done::good_or_failed(found.good, json!(found)))
        }
        JobKind::Cleanup => {
            let cleaned = app.strongroom.cleanup(actor, progress)?;
            let state = if cleaned.problems.is_empty() { JobState::Succeeded } else { JobState::Partial };
            Ok(Done { state, result: json!(cleaned), backup: None })
        }
    }
}

fn request<T: DeserializeOwned>(job: &Job) -> Result<T> {
    serde_json::from_value(job.request.clone()).map_err(|cause| {
        Error::new(
            ErrorKind::Unsupported,
            format!("job {} was written by another version and cannot be read", job.id),
            "Ask for it again.",
        )
        .because(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stay_with_the_result_and_replace_none_of_its_own() {
        let warned = |result| Done::good_or_failed(true, result).with_warnings(vec!["left out".to_owned()]).result;
        assert_eq!(warned(json!({"good": true})), json!({"good": true, "warnings": ["left out"]}));
        assert_eq!(warned(json!({"warnings": ["its own"]})), json!({"warnings": ["its own"]}));
        assert_eq!(Done::good_or_failed(true, json!({})).with_warnings(Vec::new()).result, json!({}));
    }
}
