//! What happened, handed to the outbox: with the record of a job's end, in one transaction. Never on the way of the work
//! itself: a message that cannot be made is logged, and the backup stays good.

use crate::figures::Figures;
use crate::jobs::Done;
use crate::state::App;
use engine::Result;
use engine::catalog::jobs::{Failure, Job, JobKind, JobState};
use engine::catalog::outbox::Message;
use engine::config::Event;
use engine::notify::{self, Fact, Notice};
use engine::room::Actor;
use serde_json::Value;

/// Who asks for what runs by itself.
pub const SCHEDULER: &str = "scheduler";

/// The same, for jobs.
pub fn scheduler() -> Actor {
    Actor { name: SCHEDULER.to_owned(), origin: SCHEDULER.to_owned() }
}

/// Writes a notice down for all who want it.
pub fn post(app: &App, notice: &Notice) {
    let settings = app.strongroom.config().notify.clone();
    match notify::post(&app.catalog, &settings, notice) {
        Ok(0) => {}
        Ok(_) => app.wake_outbox(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                event = notice.event,
                "a message was not written down"
            );
        }
    }
}

/// A backup begins: dead-man addresses hear of it.
pub fn run_started(app: &App, job: &Job) {
    let plan = job.request.get("plan").and_then(Value::as_str).unwrap_or_default();
    post(app, &Notice::run_started(app.clock.now(), plan));
}

/// Notices as messages. One that cannot be made is logged, and the work stays what it is.
pub fn about(app: &App, notices: &[Notice]) -> Vec<Message> {
    let settings = app.strongroom.config().notify.clone();
    let made = |notice: &Notice| {
        notify::messages(&settings, notice).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                event = notice.event,
                "a message was not written down"
            );
            Vec::new()
        })
    };
    notices.iter().flat_map(made).collect()
}

/// A job is over: what whoever wants to know hears of it.
pub fn job_over(app: &App, job: &Job, result: &Result<Done>, failure: Option<&Failure>) -> Vec<Notice> {
    let now = app.clock.now();
    let health = || health(app);
    match (job.kind, result, failure) {
        (JobKind::Backup, Ok(done), _) => {
            let Some(record) = &done.backup else { return Vec::new() };
            let collapse = record.collapsed.as_ref().filter(|collapse| !collapse.acknowledged);
            let collapsed = collapse.map(|collapse| Notice::collapsed(record, &collapse.reason, now));
            [Notice::backup(record, now).facts(&health())].into_iter().chain(collapsed).collect()
        }
        (JobKind::Backup, Err(_), Some(failure)) => vec![failed_backup(app, job, failure).facts(&health())],
        (JobKind::Cleanup, Ok(done), _) => vec![cleanup(app, done)],
        (JobKind::Verify | JobKind::Drill, Ok(done), _) if done.state == JobState::Failed => {
            vec![damaged(app, job, done)]
        }
        (_, Ok(done), _) if done.state == JobState::Failed => {
            let unknown = Failure {
                code: "failed".to_owned(),
                message: format!("the {} failed", job.kind.name()),
                hint: String::new(),
            };
            let failure: Option<Failure> = serde_json::from_value(done.result["error"].clone()).ok();
            vec![Notice::job_failed(title(job.kind), job.id.as_str(), &failure.unwrap_or(unknown), now)]
        }
        (kind, Err(_), Some(failure)) => {
            vec![Notice::job_failed(title(kind), job.id.as_str(), failure, now).facts(&health())]
        }
        (_, Ok(_) | Err(_), _) => Vec::new(),
    }
}

/// From the record, where it got that far.
fn failed_backup(app: &App, job: &Job, failure: &Failure) -> Notice {
    let now = app.clock.now();
    match app.catalog.backup_find(job.id.as_str()) {
        Ok(Some(record)) if record.finished_at.is_some() => Notice::backup(&record, now),
        _ => {
            let plan = job.request.get("plan").and_then(Value::as_str).unwrap_or_default();
            let notice = Notice::job_failed(&format!("Backup of {plan}"), job.id.as_str(), failure, now);
            Notice { ping: Some(notify::Ping::Failure), ..notice }
        }
    }
}

const fn title(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Backup => "Backup",
        JobKind::Restore => "Restore",
        JobKind::Undo => "Undoing a restore",
        JobKind::Verify => "Verification",
        JobKind::Drill => "Restore drill",
        JobKind::Cleanup => "Cleanup",
    }
}

fn cleanup(app: &App, done: &Done) -> Notice {
    let deleted = done.result["deleted"].as_array().map_or(0, Vec::len);
    let freed = notify::size(done.result["freedBytes"].as_u64().unwrap_or(0));
    let title = match deleted {
        0 => "Cleanup: nothing to remove".to_owned(),
        1 => format!("Cleanup removed 1 backup, {freed}"),
        deleted => format!("Cleanup removed {deleted} backups, {freed}"),
    };
    let mut notice = Notice::new(Event::Cleanup, app.clock.now(), title, "")
        .fact("Removed", deleted)
        .fact("Kept", done.result["kept"].as_u64().unwrap_or(0))
        .fact("Freed", freed)
        .facts(&health(app));
    for note in strings(&done.result["notes"]) {
        notice = notice.fact("Repository", note);
    }
    notice.problems = strings(&done.result["problems"]);
    notice.details = done.result.clone();
    notice
}

/// A backup was found damaged, or did not restore as promised.
fn damaged(app: &App, job: &Job, done: &Done) -> Notice {
    let now = app.clock.now();
    let (title, text) = match job.kind {
        JobKind::Drill => ("A restore drill failed", "The restored data is not what the backup promised.".to_owned()),
        _ => ("Verification found damaged backups", "What lies in the store is not what was written.".to_owned()),
    };
    let mut notice = Notice::new(Event::Failure, now, title, text)
        .fact("Job", &job.id)
        .advice("Make a new backup now, and look why: a failing disk, or somebody who changed the files.");
    notice.problems = match job.kind {
        JobKind::Drill => strings(&done.result["differences"]),
        _ => done.result["backups"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|found| found["good"] == false)
            .flat_map(|found| {
                let id = found["backupId"].as_str().unwrap_or_default().to_owned();
                strings(&found["problems"]).into_iter().map(move |problem| format!("{id}: {problem}"))
            })
            .collect(),
    };
    notice.details = done.result.clone();
    notice
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// How the system stands, in a few lines.
fn health(app: &App) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push(Fact { name: name.to_owned(), value });
    if let Ok(figures) = Figures::read(app) {
        add("Backups kept", format!("{}, {}", figures.count, notify::size(figures.bytes)));
        let last = figures.plans.iter().filter_map(|plan| plan.last_success_at).max();
        add("Last good backup", last.map_or_else(|| "none".to_owned(), |at| at.to_string()));
    }
    if let Ok(Some(disk)) = app.strongroom.disk() {
        let (free, total) = (notify::size(disk.free_bytes), notify::size(disk.total_bytes));
        add("Disk", format!("{free} of {total} free"));
    }
    facts
}

/// The service started.
pub fn started(app: &App) {
    let config = app.strongroom.config();
    let notice = Notice::new(Event::Start, app.clock.now(), "Strongroom started", "Backups are looked after again.")
        .fact("Version", env!("CARGO_PKG_VERSION"))
        .fact("Application", config.folder.display())
        .fact("Plans", config.plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", "))
        .facts(&health(app));
    post(app, &notice);
}

/// Something of the service itself is broken.
pub fn critical(app: &App, title: &str, error: &engine::Error) {
    tracing::error!(error = error as &dyn std::error::Error, title);
    let mut notice = Notice::new(Event::Critical, app.clock.now(), title, error.message()).advice(error.hint());
    notice.problems.push(format!("{} ({})", error.message(), error.kind().code()));
    post(app, &notice);
}
