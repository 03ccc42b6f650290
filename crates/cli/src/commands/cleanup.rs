//! `strongroom cleanup`, `strongroom delete`

use super::json;
use crate::args::{Cleanup, Delete};
use crate::output::{Report, units};
use crate::session::Session;
use engine::cleanup;
use engine::repository::Pruned;
use engine::retention::RetentionPlan;
use vault::Result;

/// Removes what the retention no longer keeps, or shows it.
pub fn run(arguments: &Cleanup, session: &Session) -> Result<Report> {
    let room = session.room()?;
    if arguments.dry_run {
        let plan = cleanup::plan(&room)?;
        let unused = plan.repository_line().map_or_else(String::new, |line| line + "\n");
        let text = format!("{}\n{unused}Nothing was removed: this was a dry run.", describe(&plan.plan, "would go"));
        return Ok(Report::done(json(&plan)?, text));
    }
    let result = cleanup::run(&room, &session.actor, &session.progress());
    session.reporter.finish();
    let cleaned = result?;
    let repository = cleaned.repository.iter().flat_map(Pruned::to_lines).map(|line| line + "\n").collect::<String>();
    let text = format!("{}\n{repository}{} freed.", describe(&cleaned.plan, "gone"), units::bytes(cleaned.freed_bytes));
    Ok(Report::done(json(&cleaned)?, text))
}

fn describe(plan: &RetentionPlan, gone: &str) -> String {
    let mut text = String::new();
    for kept in &plan.keep {
        text.push_str(&format!("{}  stays     {}\n", kept.id, kept.reasons.join("; ")));
    }
    for removed in &plan.remove {
        text.push_str(&format!("{}  {gone:8}  {}\n", removed.id, removed.reason));
    }
    if text.is_empty() { "There is no backup.\n".to_owned() } else { text }
}

/// Deletes one backup.
pub fn delete(arguments: &Delete, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let record = cleanup::delete(&room, &arguments.id, arguments.force, &session.actor, &session.progress())?;
    Ok(Report::done(json(&record)?, format!("The backup {} is deleted.", record.id)))
}
