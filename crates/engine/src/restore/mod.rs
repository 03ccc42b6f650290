//! The story of a restore.
//!
//! Check everything, secure what is there now, put the backup beside it, compare with the manifest, and only then exchange.
//! The old stays beside until its undo expires.
//!
//! Invariant: nothing live is touched before every component is prepared and compared; from then on the journal says how
//! to go on, and after a crash the next start of any command does ([`recover`](crate::recover)).
//! Uncomfortable: a restore needs room for the new beside the old.

pub mod journal;
mod plan;
pub mod stage;
mod undo;
mod write_back;

pub use plan::{ComponentPlan, Destination, Plan, Request, plan};
pub(crate) use undo::{discard, expiry, swap_all, targets};
pub use undo::{expire, undo};

use crate::catalog::restores::{RestoreRecord, RestoreState};
use crate::id::Id;
use crate::manifest::Tier;
use crate::room::{Actor, Room};
use crate::target::{Context, Target};
use crate::{Error, ErrorKind, Result, backup, hooks};
use journal::{Journal, Phase};
use plan::Prepared;
use std::sync::Arc;
use vault::Progress;

/// Puts components back where they came from, and keeps what was there beside it.
pub fn run(room: &Room, request: &Request, progress: &Arc<dyn Progress>) -> Result<RestoreRecord> {
    let _lock = room.lock_everything("restore")?;
    let mut prepared = plan::prepare(room, request, progress)?;
    prepared.refuse_if_obstructed()?;
    progress.step("restore.checked");
    let mut record = prepared.record(room);
    room.catalog.restore_save(&record)?;
    let result = hooks::before_restore(room, &record)
        .and_then(|()| secure(room, request, &prepared, &mut record, progress))
        .and_then(|()| replace(room, &mut prepared, &mut record, progress));
    let result = conclude(room, request, record, result);
    progress.step("restore.finished");
    hooks::after_restore(room, &result);
    result
}

/// Backs up what is about to be replaced. What cannot be read any more (it may be the reason for the restore) is kept
/// beside, as it is, by the exchange itself.
fn secure(
    room: &Room,
    request: &Request,
    prepared: &Prepared,
    record: &mut RestoreRecord,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let names = prepared.existing_components(room);
    let overwritten = prepared.overwritten()?;
    if names.is_empty() {
        return Ok(());
    }
    match before(room, &request.actor, names, format!("before the restore {}", record.id), progress) {
        Ok(taken) => record.pre_restore_id = Some(taken),
        Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::NoSpace) => return Err(error),
        Err(error) if overwritten.is_some() => {
            return Err(error
                .within("what is there now could not be backed up, and that backup would be the only way back")
                .with_hint("Nothing was touched. Mend the cause first, or restore into a new database with --to."));
        }
        Err(error) => progress.warning(&format!(
            "what is there now could not be backed up before the restore ({error}); it is kept beside, as it is, until \
             the undo expires"
        )),
    }
    room.catalog.restore_save(record)?;
    progress.step("restore.secured");
    Ok(())
}

/// Backs these components up, to be had again after what comes now.
fn before(
    room: &Room,
    actor: &Actor,
    components: Vec<String>,
    why: String,
    progress: &Arc<dyn Progress>,
) -> Result<Id> {
    let wanted = backup::Request {
        id: None,
        plan: room.config.plans.first().map(|plan| plan.name.clone()).unwrap_or_default(),
        tier: Tier::PreRestore,
        description: Some(why),
        components,
        format: Some(crate::manifest::Format::Tar),
        late: false,
        force_reread: false,
        actor: actor.clone(),
    };
    let job = backup::Job::prepare(room, &wanted)?;
    Ok(backup::carry_out(room, &job, progress)?.id)
}

/// Stages, compares, exchanges. Whatever fails, all components are as they were.
fn replace(
    room: &Room,
    prepared: &mut Prepared,
    record: &mut RestoreRecord,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let mut journal = prepared.journal(&record.id);
    journal.write(room.state_folder())?;
    progress.step("restore.staging");
    let context = Context {
        progress: &**progress,
        hash_key: prepared.hash_key()?,
        disconnect_clients: prepared.disconnect_clients,
    };
    let tables = &prepared.tables;
    let staged = stage::stage(&mut *prepared.reader, &prepared.manifest, &mut prepared.components, tables, &context);
    if let Err(error) = staged {
        throw_away(room, prepared, &journal, &context);
        return Err(error);
    }
    progress.step("restore.compared");
    journal.advance(room.state_folder(), Phase::Swapping)?;
    progress.step("restore.swapping");
    progress.phase("exchanging", None);
    let mut targets: Vec<_> = prepared.components.iter_mut().map(|component| &mut component.target).collect();
    if let Err(error) = exchange(&mut targets, &context) {
        throw_away(room, prepared, &journal, &context);
        return Err(error);
    }
    journal.advance(room.state_folder(), Phase::Swapped)?;
    progress.step("restore.swapped");
    Ok(())
}

/// All or none: a failure swaps back whatever was swapped.
pub(crate) fn exchange(targets: &mut [&mut Box<dyn Target>], context: &Context<'_>) -> Result<()> {
    for at in 0..targets.len() {
        if let Err(error) = targets[at].swap(context) {
            for target in targets[..=at].iter_mut().rev() {
                target.swap_back(context).map_err(|second| half_done(&error, &second))?;
            }
            return Err(error);
        }
        context.progress.step("restore.exchanged");
    }
    Ok(())
}

fn half_done(first: &Error, second: &Error) -> Error {
    Error::internal(format!("the exchange failed ({first}), and so did taking it back ({second})")).with_hint(
        "Nothing is lost: old and new lie side by side. Mend the cause and run any strongroom command: it goes on from here.",
    )
}

/// Removes what lies beside the live data. A failure is no second error: the journal stays, and the next start tries again.
fn throw_away(room: &Room, prepared: &mut Prepared, journal: &Journal, context: &Context<'_>) {
    let mut journal = journal.clone();
    let result = journal.advance(room.state_folder(), Phase::Discarding).and_then(|()| {
        prepared.components.iter_mut().try_for_each(|component| component.target.discard(context))?;
        journal.forget(room.state_folder())
    });
    if let Err(error) = result {
        context.progress.warning(&format!("what was put beside the live data could not be removed yet: {error}"));
    }
}

fn conclude(room: &Room, request: &Request, mut record: RestoreRecord, result: Result<()>) -> Result<RestoreRecord> {
    let now = room.now();
    record.finished_at = Some(now);
    let details = |record: &RestoreRecord| serde_json::json!({ "backup": record.backup_id, "components": record.components, "tables": request.tables, "preRestore": record.pre_restore_id });
    match result {
        Ok(()) => {
            record.state = RestoreState::Swapped;
            record.swapped_at = Some(now);
            record.undo_until = Some(undo::expiry(room, now));
            room.catalog.restore_save(&record)?;
            room.audit(&request.actor, "restore", Some(record.id.as_str()), Ok(()), details(&record))?;
            tracing::info!(id = %record.id, backup = %record.backup_id, "restore finished");
            Ok(record)
        }
        Err(error) => {
            record.state = RestoreState::Failed;
            record.error = Some((&error).into());
            let written = room.catalog.restore_save(&record).and_then(|()| {
                room.audit(&request.actor, "restore", Some(record.id.as_str()), Err(&error), details(&record))
            });
            if let Err(second) = written {
                tracing::error!(id = %record.id, error = %second, "the failure of a restore could not be recorded");
            }
            tracing::error!(id = %record.id, error = %crate::chain(&error), hint = error.hint(), "restore failed");
            Err(error)
        }
    }
}

/// Restores into a folder, or a new database, and leaves the application alone. Returns the manifest of what was restored.
pub fn elsewhere(room: &Room, request: &Request, progress: &Arc<dyn Progress>) -> Result<crate::manifest::Manifest> {
    let mut prepared = plan::prepare(room, request, progress)?;
    prepared.refuse_if_obstructed()?;
    let context = Context { progress: &**progress, hash_key: prepared.hash_key()?, disconnect_clients: false };
    let mut result = stage::stage(&mut *prepared.reader, &prepared.manifest, &mut prepared.components, &[], &context);
    if matches!(request.destination, Destination::Database(_)) {
        // A new database that is filled by half would stand in the way of the next try.
        result = result.map_err(|error| {
            let removed = prepared.components.iter_mut().map(|component| component.target.discard(&context));
            let Err(left) = removed.fold(Ok(()), Result::and) else { return error };
            let hint = format!(
                "{} Drop the new database before the next try: it is there, filled by half, and could not be removed ({left}).",
                error.hint()
            );
            error.with_hint(hint)
        });
    }
    let id: Option<Id> = Some(prepared.manifest.id.clone());
    let details = serde_json::json!({ "to": request.place_text() });
    room.audit(&request.actor, "restore-elsewhere", id.as_ref().map(Id::as_str), result.as_ref().copied(), details)?;
    result.map(|()| prepared.manifest)
}
