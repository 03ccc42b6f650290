//! What the records say: ages, collapses, restores that wait for an undo, and the audit chain.

use super::{Check, age};
use crate::Result;
use crate::catalog::audit::heads;
use crate::catalog::{Catalog, RestoreState};
use crate::config::Config;
use jiff::{SignedDuration, Timestamp};

pub(super) fn checks(config: &Config, catalog: &Catalog, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, look) in [
        ("backups", ages as fn(&Config, &Catalog, Timestamp) -> Result<Vec<Check>>),
        ("collapsed backups", collapsed),
        ("restores", restores),
        ("audit log", audit),
    ] {
        checks.extend(look(config, catalog, now).unwrap_or_else(|error| vec![Check::from_error(name, &error)]));
    }
    checks
}

/// The newest good and the newest proven backup of each plan.
fn ages(config: &Config, catalog: &Catalog, now: Timestamp) -> Result<Vec<Check>> {
    let figures = catalog.backup_figures()?;
    let stale_after = SignedDuration::from_hours(i64::from(config.notify.stale_after_hours));
    let unproven_after = SignedDuration::from_hours(24 * i64::from(config.notify.unproven_after_days));
    let mut checks = Vec::new();
    for plan in &config.plans {
        let of_plan = || figures.iter().filter(|figures| figures.plan == plan.name);
        let scheduled = config.schedule.enabled && !plan.schedules.is_empty();
        let good = of_plan().filter_map(|figures| figures.last_success_at).max();
        let name = format!("newest backup of {}", plan.name);
        let remedy = format!("Make one with `strongroom backup {}`; is `strongroom serve` running?", plan.name);
        checks.push(match good.map(|at| now.duration_since(at)) {
            None => Check::warn(name, "there is no good backup yet", remedy),
            Some(old) if scheduled && old > stale_after => Check::fail(name, format!("it is {} old", age(old)), remedy),
            Some(old) => Check::ok(name, format!("it is {} old", age(old))),
        });
        let name = format!("newest proven backup of {}", plan.name);
        let remedy = "Prove one with `strongroom drill`: it restores into a scratch place and compares.";
        if good.is_some() {
            checks.push(
                match of_plan().filter_map(|figures| figures.last_proven_at).max().map(|at| now.duration_since(at)) {
                    None => Check::warn(name, "no backup was ever restored by a drill", remedy),
                    Some(old) if old > unproven_after => {
                        Check::warn(name, format!("the last drill was {} ago", age(old)), remedy)
                    }
                    Some(old) => {
                        let took =
                            catalog.restore_measured(&plan.name)?.map_or_else(String::new, |(_, duration_ms)| {
                                format!(
                                    " and restored everything in {:.1} s: the recovery time to expect",
                                    duration_ms as f64 / 1000.0
                                )
                            });
                        Check::ok(name, format!("the last drill was {} ago{took}", age(old)))
                    }
                },
            );
        }
    }
    Ok(checks)
}

fn collapsed(_: &Config, catalog: &Catalog, _: Timestamp) -> Result<Vec<Check>> {
    let waiting = catalog.backups_all()?.into_iter().filter_map(|record| {
        let collapse = record.collapsed.filter(|collapse| !collapse.acknowledged)?;
        let remedy =
            "Look at what is missing. When it is right so, acknowledge it; until then nothing older is removed.";
        Some(Check::warn("collapsed backups", format!("{}: {}", record.id, collapse.reason), remedy))
    });
    Ok(waiting.collect())
}

fn restores(_: &Config, catalog: &Catalog, now: Timestamp) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for restore in catalog.restores_open()? {
        let remedy = "`strongroom cleanup` removes it; the next command finishes or undoes what a crash interrupted.";
        if restore.state == RestoreState::Prepared {
            let message = format!("{} was begun at {} and never ended", restore.id, restore.started_at);
            checks.push(Check::warn("restores", message, remedy));
        } else if restore.undo_until.is_some_and(|until| until <= now) {
            let message = format!("what was kept for undoing {} is still there, though its time is over", restore.id);
            checks.push(Check::warn("restores", message, remedy));
        }
    }
    Ok(checks)
}

fn audit(config: &Config, catalog: &Catalog, _: Timestamp) -> Result<Vec<Check>> {
    let report = catalog.audit_verify(&heads::read(&config.state_dir)?)?;
    let remedy = "Somebody or something changed the records. Keep a copy of the catalog, and find out who had access.";
    Ok(match report.problems.first() {
        Some(problem) => vec![Check::fail("audit log", problem.clone(), remedy)],
        None => vec![Check::ok("audit log", format!("{} entries, unbroken", report.entries))],
    })
}
