//! Takes jobs from the catalog and does them, each on a blocking thread, until the service stops.
//!
//! At a stop nothing new is taken. What runs gets its time to finish, is then asked to stop, and is made up for at the next
//! start when it was a schedule's. A process that dies leaves its jobs `running`: the next start finds them
//! ([`super::recover`]).

use super::run::{self, Done};
use super::{Live, recover};
use crate::events;
use crate::state::App;
use engine::catalog::jobs::{Failure, Job, JobKind, JobState};
use engine::{Error, ErrorKind, Result};
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use vault::Progress;

/// A running job whose lease is not renewed for so long has lost its process.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Leases are renewed, and the queue is looked at unasked, so often.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// By how much jobs step back behind everything else.
const NICENESS: i32 = 10;
/// How long a job that was asked to stop may take to clean up behind itself.
const CLEAN_UP: Duration = Duration::from_secs(15);
/// A schedule's job waits so long for a lock that somebody else holds.
const WAIT_FOR_LOCK: Duration = Duration::from_hours(1);
/// How often it looks whether the lock is free.
const LOOK_AT_LOCK: Duration = Duration::from_secs(5);

/// Runs until the service stops and everything that ran is over.
pub async fn work(app: App) {
    let owner = owner(&app);
    let mut running = JoinSet::new();
    while !app.is_stopping() {
        match claim(&app, &owner).await {
            Some((job, live)) => {
                running.spawn(execute(app.clone(), job, live));
                continue;
            }
            None => renew(&app, &owner).await,
        }
        tokio::select! {
            () = app.jobs.added() => {}
            Some(_) = running.join_next() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = app.stopping() => {}
        }
    }
    finish(&app, &owner, running).await;
}

fn owner(app: &App) -> String {
    format!("{}-{}", std::process::id(), app.started_at.as_millisecond())
}

async fn claim(app: &App, owner: &str) -> Option<(Job, Arc<Live>)> {
    let owner = owner.to_owned();
    let claimed = app
        .blocking(move |app| {
            let now = app.clock.now();
            app.catalog.job_claim(&owner, now, now + LEASE)
        })
        .await;
    match claimed {
        Ok(job) => job.map(|job| {
            let live = app.jobs.begin(&job.id);
            (job, live)
        }),
        // Logged where it was turned into an answer; the next look tries again.
        Err(_) => None,
    }
}

async fn renew(app: &App, owner: &str) {
    let owner = owner.to_owned();
    let _ = app.blocking(move |app| app.catalog.jobs_renew(&owner, app.clock.now() + LEASE)).await;
}

/// Time to finish, then a request to stop, then a little time to clean up.
async fn finish(app: &App, owner: &str, mut running: JoinSet<()>) {
    let patience = app.strongroom.config().server.shutdown_timeout;
    for (number, wait) in [patience, CLEAN_UP].into_iter().enumerate() {
        if number == 1 {
            app.jobs.cancel_all();
        }
        let until = tokio::time::Instant::now() + wait;
        while !running.is_empty() {
            tokio::select! {
                _ = running.join_next() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => renew(app, owner).await,
                () = tokio::time::sleep_until(until) => break,
            }
        }
    }
    if !running.is_empty() {
        tracing::error!(jobs = running.len(), "jobs did not stop in time; the next start looks after them");
        running.detach_all();
    }
}

async fn execute(app: App, job: Job, live: Arc<Live>) {
    let id = job.id.clone();
    let worker = app.clone();
    let (tell, over) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("job".to_owned()).spawn(move || {
        give_way();
        // Nobody waits for it any more when the service stops without it.
        let _ = tell.send(do_and_record(&worker, &job, &live));
    });
    let done = match thread {
        Ok(_) => over.await.unwrap_or_else(|_| Err(Error::internal("the job's thread ended without a word"))),
        Err(cause) => Err(Error::io("starting a job's thread", cause)),
    };
    if let Err(error) = done {
        tracing::error!(error = &error as &dyn std::error::Error, job = %id, "what became of a job could not be written down");
    }
    app.jobs.end(&id);
    app.wake_outbox();
    app.jobs.wake();
}

/// A backup takes all cores there are: whoever looks at the service, and the application beside it, go first. The threads
/// that a job starts inherit it. A thread of the job's own, because priority once given away does not come back.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "a job runs at the priority of the service");
    }
}

fn do_and_record(app: &App, job: &Job, live: &Arc<Live>) -> Result<()> {
    tracing::info!(job = %job.id, kind = job.kind.name(), actor = job.actor, "a job starts");
    if job.kind == JobKind::Backup {
        events::run_started(app, job);
    }
    let started = Instant::now();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_patiently(app, job, live)))
        .unwrap_or_else(|_| Err(Error::internal(format!("the {} panicked", job.kind.name()))));
    let duration_ms = started.elapsed().as_millis() as u64;
    match &result {
        Ok(done) => {
            tracing::info!(job = %job.id, kind = job.kind.name(), state = done.state.name(), duration_ms, "a job is over");
        }
        Err(error) => {
            let cause = error as &dyn std::error::Error;
            tracing::error!(job = %job.id, kind = job.kind.name(), error = cause, duration_ms, "a job failed");
        }
    }
    let stopped_by_us = app.is_stopping() && live.is_cancelled();
    if stopped_by_us && is_cancelled(&result) {
        recover::make_up(app, job)?;
    }
    record(app, job, &result)
}

fn is_cancelled(result: &Result<Done>) -> bool {
    match result {
        Ok(done) => done.state == JobState::Cancelled,
        Err(error) => error.kind() == ErrorKind::Cancelled,
    }
}

/// A schedule's job has nobody who would try again: it waits for a lock that a run from the command line holds.
fn run_patiently(app: &App, job: &Job, live: &Arc<Live>) -> Result<Done> {
    let until = Instant::now() + WAIT_FOR_LOCK;
    loop {
        let result = run::run(app, job, live);
        let locked = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Locked);
        let patient = job.actor == events::SCHEDULER && Instant::now() < until && !app.is_stopping();
        if !locked || !patient || live.is_cancelled() {
            return result;
        }
        std::thread::sleep(LOOK_AT_LOCK);
    }
}

/// The job's end and the messages about it, in one.
pub(super) fn record(app: &App, job: &Job, result: &Result<Done>) -> Result<()> {
    let now = app.clock.now();
    let (state, value, failure) = match result {
        Ok(done) => (done.state, Some(&done.result), None),
        Err(error) if error.kind() == ErrorKind::Cancelled => (JobState::Cancelled, None, Some(Failure::from(error))),
        Err(error) => (JobState::Failed, None, Some(Failure::from(error))),
    };
    let messages = events::about(app, &events::job_over(app, job, result, failure.as_ref()));
    app.catalog.job_finish(&job.id, state, value, failure.as_ref(), now, &messages)?;
    app.wake_outbox();
    Ok(())
}
