//! `strongroom restore`, `strongroom undo`

use super::json;
use crate::args::Restore;
use crate::output::{Report, units};
use crate::session::Session;
use engine::catalog::restores::{RestoreRecord, RestoreState};
use engine::manifest::Figures;
use engine::restore::{self, Destination, Plan, Request};
use engine::{contents, locate, redact};
use std::path::{Path, PathBuf};
use vault::{Error, ErrorKind, Result};

/// The word that replacing live data needs.
const CONFIRMATION: &str = "CONFIRM_RESTORE";

/// Puts a backup back, or somewhere else.
pub fn run(arguments: &Restore, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let destination = destination(arguments, session);
    if !arguments.path.is_empty() {
        return fetch(arguments, &destination, session, &room);
    }
    let request = Request {
        id: None,
        backup: arguments.id.clone(),
        components: arguments.components.clone(),
        tables: arguments.tables.clone(),
        destination,
        disconnect_clients: arguments.disconnect_clients,
        actor: session.actor.clone(),
    };
    if arguments.dry_run {
        let plan = restore::plan(&room, &request, &session.progress());
        session.reporter.finish();
        let plan = plan?;
        return Ok(Report::done(json(&plan)?, describe(&plan)));
    }
    if request.destination != Destination::Live {
        let result = restore::elsewhere(&room, &request, &session.progress());
        session.reporter.finish();
        let manifest = match result {
            // What another program made says of itself which files it holds, and no more.
            Err(error)
                if error.kind() == ErrorKind::NotABackup
                    && request.components.is_empty()
                    && matches!(request.destination, Destination::Folder(_)) =>
            {
                return fetch(arguments, &request.destination, session, &room);
            }
            other => other?,
        };
        let to = redact::address(arguments.to.as_deref().unwrap_or_default());
        let text = format!(
            "Restored {} to {to} and compared it with its manifest: equal. The application was not touched.",
            manifest.id
        );
        return Ok(Report::done(
            serde_json::json!({ "backupId": manifest.id, "to": to, "components": names(&manifest) }),
            text,
        ));
    }
    refuse_unconfirmed(arguments, &room, &request, session)?;
    let result = restore::run(&room, &request, &session.progress());
    session.reporter.finish();
    let record = result?;
    Ok(Report::done(json(&record)?, summary(&record, &arguments.tables)))
}

fn destination(arguments: &Restore, session: &Session) -> Destination {
    match arguments.to.as_deref() {
        None => Destination::Live,
        Some(to) if to.contains("://") => Destination::Database(to.to_owned()),
        Some(to) => Destination::Folder(absolute(to, session)),
    }
}

/// Relative to where the person is, not to the application's folder.
fn absolute(to: &str, session: &Session) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| session.config.folder.clone());
    here.join(Path::new(to))
}

fn names(manifest: &engine::manifest::Manifest) -> Vec<&str> {
    manifest.components.iter().map(|component| component.name.as_str()).collect()
}

fn fetch(
    arguments: &Restore,
    destination: &Destination,
    session: &Session,
    room: &engine::room::Room,
) -> Result<Report> {
    let Destination::Folder(folder) = destination else {
        return Err(Error::new(
            ErrorKind::Usage,
            "--path fetches files and folders into a new folder, never over live ones",
            "Name that folder with --to; a whole component is put back with --component.",
        ));
    };
    let backup = locate::find(room, &arguments.id)?;
    let fetched = contents::fetch(room, &backup, &arguments.path, folder, &session.progress());
    session.reporter.finish();
    let fetched = fetched?;
    let mut text =
        format!("Fetched {} into {}.", units::counted(fetched.entries, "entry", "entries"), folder.display());
    if !fetched.has_manifest {
        text.push_str(
            "\nThe snapshot has no manifest: what was fetched was compared with its hashes, but nothing says what it should hold.",
        );
    }
    Ok(Report::done(
        serde_json::json!({ "entries": fetched.entries, "hasManifest": fetched.has_manifest, "to": folder }),
        text,
    ))
}

/// Shows what would happen and refuses, unless the word was given.
fn refuse_unconfirmed(
    arguments: &Restore,
    room: &engine::room::Room,
    request: &Request,
    session: &Session,
) -> Result<()> {
    if arguments.confirm.as_deref() == Some(CONFIRMATION) {
        return Ok(());
    }
    let plan = restore::plan(room, request, &session.progress());
    session.reporter.finish();
    let plan = plan?;
    if !session.json {
        eprintln_plan(&plan);
    }
    Err(Error::new(
        ErrorKind::Refused,
        "nothing was restored: replacing live data has to be confirmed",
        format!("If that is what you want, say it again with --confirm {CONFIRMATION}. It can be undone."),
    ))
}

#[expect(clippy::print_stderr, reason = "the plan belongs to the refusal, and refusals go to standard error")]
fn eprintln_plan(plan: &Plan) {
    eprintln!("{}\n", describe(plan).trim_end());
}

/// A plan for people: what is replaced, what is there now against what was there then.
pub fn describe(plan: &Plan) -> String {
    let mut text =
        format!("Restoring the backup {} of {} would do this:\n", plan.backup_id, units::time(plan.captured_at));
    for component in &plan.components {
        let replaces = component.target.replaces.as_deref().unwrap_or("nothing (it does not exist now)");
        text.push_str(&format!("\n  {} ({})\n    replaces  {replaces}\n", component.name, component.kind.name()));
        for table in &component.tables {
            text.push_str(&format!("    only      table {table}\n"));
        }
        text.push_str(&format!("    then      {}\n", figures(&component.backup.figures)));
        if let Some(live) = &component.target.live {
            text.push_str(&format!("    now       {}\n", figures(live)));
        }
        let free = component.target.free_bytes.map_or_else(|| "unknown".to_owned(), units::bytes);
        text.push_str(&format!("    space     {} needed, {free} free\n", units::bytes(component.target.needs_bytes)));
        for client in &component.target.clients {
            text.push_str(&format!("    client    {client}\n"));
        }
        for warning in &component.target.warnings {
            text.push_str(&format!("    warning   {warning}\n"));
        }
        for obstacle in &component.target.obstacles {
            text.push_str(&format!("    REFUSED   {obstacle}\n"));
        }
    }
    text
}

fn figures(figures: &Figures) -> String {
    match figures {
        Figures::Tree { files, bytes, .. } => {
            format!("{}, {}", units::counted(*files, "file", "files"), units::bytes(*bytes))
        }
        Figures::Database(figures) => {
            let rows = figures.tables.iter().map(|table| table.rows).sum();
            format!(
                "{}, {}",
                units::counted(figures.tables.len() as u64, "table", "tables"),
                units::counted(rows, "row", "rows")
            )
        }
    }
}

fn summary(record: &RestoreRecord, tables: &[String]) -> String {
    let until = record.undo_until.map_or_else(String::new, |until| format!(" until {}", units::time(until)));
    let secured = record
        .pre_restore_id
        .as_ref()
        .map_or_else(String::new, |id| format!("What was there before is also the backup {id}.\n"));
    let of = if tables.is_empty() { String::new() } else { format!("the tables {} of ", tables.join(", ")) };
    format!(
        "Restored {of}{} from the backup {}, and compared with its manifest before anything was replaced.\n{secured}It can be taken back{until}: strongroom undo {}",
        record.components.join(", "),
        record.backup_id,
        record.id
    )
}

/// Takes a restore back, or takes that back.
pub fn undo(id: &str, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let result = restore::undo(&room, id, false, &session.actor, &session.progress());
    session.reporter.finish();
    let record = result?;
    let text = match record.state {
        RestoreState::Undone => format!(
            "Everything is as it was before the restore {0}. To have the restored data again: strongroom undo {0}",
            record.id
        ),
        _ => format!("The restored data of {0} is live again. To take it back: strongroom undo {0}", record.id),
    };
    Ok(Report::done(json(&record)?, text))
}
