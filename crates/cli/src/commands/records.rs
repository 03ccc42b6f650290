//! Commands about records: lists, one backup, pins, restores, the audit log, the catalog.

use super::json;
use crate::args::{Audit, AuditCommand, List};
use crate::output::table::table;
use crate::output::{Report, backups, units};
use crate::session::Session;
use engine::catalog::audit::{AuditFilter, AuditOutcome};
use engine::catalog::backups::BackupFilter;
use engine::locate;
use serde_json::Value;
use vault::{Error, ErrorKind, Result};

/// `strongroom list`
pub fn list(arguments: &List, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let filter = BackupFilter {
        tier: arguments.tier.map(super::backup::tier),
        plan: arguments.plan.clone(),
        limit: Some(arguments.limit),
        ..BackupFilter::default()
    };
    let page = room.catalog.backups(&filter)?;
    let mut text = backups::list(&page.backups);
    if page.next.is_some() {
        text.push_str(&format!("\n({} of {}; more with --limit)", page.backups.len(), page.total));
    }
    Ok(Report::done(json(&page.backups)?, text))
}

/// `strongroom show`
pub fn show(id: &str, session: &Session) -> Result<Report> {
    let room = session.room()?;
    if id != "latest" && engine::id::Id::parse(id).is_err() {
        let (_, manifest) = locate::find(&room, id)?.open_with_manifest(&room)?;
        return Ok(Report::done(json(&manifest)?, format!("{manifest:#?}")));
    }
    let record = room.catalog.backup(id)?;
    let manifest = room.catalog.manifest(&record.id)?;
    let measured = room.catalog.restore_measured(&record.plan)?;
    let text = backups::one(&record, manifest.as_ref(), measured.as_ref());
    let mut document = json(&record)?;
    if let Value::Object(fields) = &mut document {
        fields.insert("manifest".to_owned(), json(&manifest)?);
        fields.insert("expectedRestoreMs".to_owned(), json(&measured.map(|(_, duration_ms)| duration_ms))?);
    }
    Ok(Report::done(document, text))
}

/// `strongroom restores`
pub fn restores(session: &Session) -> Result<Report> {
    let records = session.room()?.catalog.restores()?;
    Ok(Report::done(json(&records)?, backups::restores(&records)))
}

/// `strongroom pin`, `strongroom unpin`
pub fn pin(id: &str, pinned: bool, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let record = room.catalog.backup(id)?;
    room.catalog.backup_pin(&record.id, pinned)?;
    room.audit(
        &session.actor,
        if pinned { "pin" } else { "unpin" },
        Some(record.id.as_str()),
        Ok(()),
        serde_json::json!({}),
    )?;
    let record = room.catalog.backup(record.id.as_str())?;
    let text = if pinned { "is kept until it is unpinned" } else { "is kept as long as the retention says" };
    Ok(Report::done(json(&record)?, format!("{} {text}.", record.id)))
}

/// `strongroom acknowledge`
pub fn acknowledge(id: &str, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let record = room.catalog.backup(id)?;
    if record.collapsed.is_none() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!(
                "the backup {} is not much smaller than its predecessor: there is nothing to acknowledge",
                record.id
            ),
            "`strongroom list` marks those that are.",
        ));
    }
    room.catalog.backup_acknowledge(&record.id)?;
    room.audit(&session.actor, "acknowledge", Some(record.id.as_str()), Ok(()), serde_json::json!({}))?;
    let record = room.catalog.backup(record.id.as_str())?;
    Ok(Report::done(json(&record)?, format!("{} counts as right; retention goes on.", record.id)))
}

/// `strongroom audit`, `strongroom audit verify`
pub fn audit(arguments: &Audit, session: &Session) -> Result<Report> {
    match arguments.command {
        Some(AuditCommand::Verify) => audit_verify(session),
        None => audit_list(arguments.limit, session),
    }
}

fn audit_list(limit: u32, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let page = room.catalog.audit_entries(&AuditFilter { limit: Some(limit), ..AuditFilter::default() })?;
    let row = |entry: &engine::catalog::audit::AuditEntry| {
        let outcome = match entry.outcome {
            AuditOutcome::Success => "done",
            AuditOutcome::Failure => "FAILED",
            AuditOutcome::Refused => "refused",
        };
        [
            units::time(entry.at),
            entry.actor.clone(),
            entry.origin.clone(),
            entry.action.clone(),
            entry.subject.clone().unwrap_or_default(),
            outcome.to_owned(),
        ]
    };
    let text = table(["WHEN", "WHO", "FROM", "WHAT", "TO WHAT", "OUTCOME"], page.entries.iter().map(row));
    Ok(Report::done(json(&page.entries)?, text))
}

fn audit_verify(session: &Session) -> Result<Report> {
    let room = session.room()?;
    let heads = engine::verify::audit_heads(&room)?;
    let report = room.catalog.audit_verify(&heads)?;
    if report.problems.is_empty() {
        let text = format!(
            "The audit log is whole: {} entries, {} heads recorded elsewhere agree.",
            report.entries,
            heads.len()
        );
        return Ok(Report::done(
            serde_json::json!({ "ok": true, "entries": report.entries, "heads": heads.len() }),
            text,
        ));
    }
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("the audit log is not the whole log that was written: {}", problems.join("; ")),
        "If the catalog was lost, rebuilt or put back from a copy, its entries of before are gone with it. If not, somebody changed the log: compare with copies of the catalog and the heads in the backups' manifests, and find out who can write the backup folder.",
    ))
}

/// `strongroom catalog rebuild`
pub fn rebuild(session: &Session) -> Result<Report> {
    let room = session.room()?;
    let rebuilt = engine::rebuild::rebuild(&room, &session.actor, &session.progress())?;
    session.reporter.finish();
    let mut text = format!("{} on record again.", units::counted(rebuilt.backups, "backup is", "backups are"));
    for problem in &rebuilt.problems {
        text.push_str(&format!("\nno record: {problem}"));
    }
    let exit = if rebuilt.problems.is_empty() { crate::exit::DONE } else { crate::exit::PARTIAL };
    Ok(Report::done(json(&rebuilt)?, text).with_exit(exit))
}
