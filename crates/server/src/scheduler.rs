//! The loop that makes things run by themselves.
//!
//! Each look asks every task's ledger what is due *now*; the ledger knows which runs have happened, so it does not matter
//! how often anybody looks, whether the clock jumps, or how long the service was down. A job and the ledger that remembers
//! it are written in one transaction: a crash neither loses a run nor starts it twice.

use crate::events::{self, scheduler};
use crate::jobs::NewJob;
use crate::schedules::{Schedules, Task};
use crate::state::App;
use crate::work::{BackupRequest, Depth, DrillRequest, VerifyRequest};
use engine::Result;
use engine::id::Id;
use engine::schedule::{Due, Ledger};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The longest sleep: clocks can be set while we sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The ledgers' memory of the clock may be so old: far less than the jump that they look out for.
const REMEMBER_CLOCK: SignedDuration = SignedDuration::from_hours(1);

/// Looks until the service stops.
pub async fn run(app: App) {
    let mut failing = false;
    while !app.is_stopping() {
        let looked = tokio::task::spawn_blocking({
            let app = app.clone();
            move || look(&app)
        })
        .await;
        let sleep = match looked {
            Ok(Ok(next)) => {
                failing = false;
                app.ready();
                until(next, app.clock.now())
            }
            Ok(Err(error)) => {
                app.not_ready(&format!("the scheduler cannot work: {}", error.message()));
                if !std::mem::replace(&mut failing, true) {
                    events::critical(&app, "The scheduler cannot work", &error);
                }
                LOOK_AGAIN
            }
            Err(_) => LOOK_AGAIN,
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = app.scheduler_woken() => {}
            () = app.stopping() => {}
        }
    }
}

fn until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let wait =
        next.map_or(LOOK_AGAIN, |next| Duration::from_millis(next.duration_since(now).as_millis().max(1) as u64));
    wait.min(LOOK_AGAIN)
}

/// Starts what is due now; returns when the next run is. Public for tests, which have a clock of their own.
pub fn look(app: &App) -> Result<Option<Timestamp>> {
    let _alone = app.looking();
    let schedules = Schedules::read(app)?;
    let now = app.clock.now();
    if !schedules.running {
        return Ok(None);
    }
    let catch_up = app.strongroom.config().schedule.catch_up;
    let mut next = None;
    for task in &schedules.tasks {
        let Some(schedule) = &task.schedule else { continue };
        let known = task.ledger(app)?;
        let fresh = known.as_ref().is_some_and(|ledger| now.duration_since(ledger.seen()).abs() < REMEMBER_CLOCK);
        let mut ledger = known.unwrap_or_else(|| Ledger::new(now));
        if let Some(due) = ledger.due(schedule, now) {
            ledger.record(due.slot);
            // Switched off, a missed run is remembered as skipped, not made.
            if due.late && !catch_up {
                task.save_ledger(app, &ledger)?;
            } else {
                start(app, task, due, &ledger)?;
            }
        } else if !fresh {
            task.save_ledger(app, &ledger)?;
        }
        let upcoming = schedule.next_after(now).map(|slot| slot.at);
        next = [next, upcoming].into_iter().flatten().min();
    }
    Ok(next)
}

fn start(app: &App, task: &Task, due: Due, ledger: &Ledger) -> Result<()> {
    let id = Id::generate()?;
    let actor = scheduler();
    let new = match (task.key.tier(), &task.key.plan) {
        (Some(tier), Some(plan)) => NewJob::backup(
            BackupRequest {
                id,
                plan: plan.clone(),
                tier,
                description: None,
                components: None,
                format: None,
                late: due.late,
            },
            actor,
        ),
        _ => match task.key.task.as_str() {
            "cleanup" => NewJob::cleanup(id, actor),
            "verify" => NewJob::verify(VerifyRequest { id, backup_id: None, depth: Depth::Open }, actor),
            _ => NewJob::drill(DrillRequest { id, backup_id: None }, actor),
        },
    };
    let job = new.into_job(app);
    task.start(app, &job, ledger)?;
    let run = due.slot.key(task.key.plan.as_deref().unwrap_or("-"), &task.key.task);
    tracing::info!(job = %job.id, run, late = due.late, "a schedule starts a job");
    app.jobs.wake();
    Ok(())
}
