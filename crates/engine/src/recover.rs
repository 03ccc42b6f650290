//! What the start of every command does about commands that died.
//!
//! Restores first: one that was exchanging is rolled forward, one that was only staging is thrown away. Then backups: an
//! archive that was committed is adopted, a run that left none is recorded as failed. Last the litter.
//!
//! Invariant: whoever is alive holds a lock, and what is locked is left alone.

use crate::catalog::backups::BackupRecord;
use crate::catalog::restores::RestoreState;
use crate::hash::HashKey;
use crate::manifest::State;
use crate::restore::journal::{Journal, Phase};
use crate::restore::{discard, swap_all, targets};
use crate::room::{Actor, Room};
use crate::target::{Context, WayBack};
use crate::{Error, ErrorKind, Result, cleanup, rebuild};
use std::sync::Arc;
use vault::Progress;

/// Brings everything that was left half done to its end. Returns what was done, in words.
pub fn recover(room: &Room, progress: &Arc<dyn Progress>) -> Result<Vec<String>> {
    let mut news = Vec::new();
    if let Some(_lock) = room.try_lock_everything()? {
        for journal in Journal::all(room.state_folder())? {
            news.extend(recover_restore(room, journal, progress)?);
        }
        for record in room.catalog.backups_running()? {
            news.push(recover_backup(room, record)?);
        }
        cleanup::finish_removals(room, progress)?;
        room.sweep()?;
    }
    for line in &news {
        tracing::warn!("{line}");
    }
    Ok(news)
}

fn recover_restore(room: &Room, mut journal: Journal, progress: &Arc<dyn Progress>) -> Result<Option<String>> {
    let id = journal.restore_id.clone();
    let state_folder = room.state_folder();
    let context = Context { progress: &**progress, hash_key: HashKey::default(), disconnect_clients: false };
    let (state, line) = match journal.phase {
        Phase::Swapped | Phase::Undone => {
            let state = if journal.phase == Phase::Swapped { RestoreState::Swapped } else { RestoreState::Undone };
            return settle(room, &journal, state).map(|()| None);
        }
        Phase::Staging | Phase::Discarding => {
            journal.advance(state_folder, Phase::Discarding)?;
            discard(room, &journal, progress)?;
            (
                RestoreState::Failed,
                format!("the restore {id} had died before it touched anything; what it had prepared was removed"),
            )
        }
        Phase::Swapping | Phase::SwappingBack => recover_exchange(room, &mut journal, &context)?,
    };
    settle(room, &journal, state)?;
    room.audit(&recovery(), "recover", Some(id.as_str()), Ok(()), serde_json::json!({ "what": line }))?;
    Ok(Some(line))
}

/// Goes on in the direction in which it was going. But where a transaction was to be committed last, that decides: without its
/// commit everything else goes back to where it was.
fn recover_exchange(room: &Room, journal: &mut Journal, context: &Context<'_>) -> Result<(RestoreState, String)> {
    let id = journal.restore_id.clone();
    let wanted = journal.phase == Phase::Swapping;
    let mut targets = targets(room, journal)?;
    let mut forward = wanted;
    if let Some(last) = targets.last_mut()
        && last.way_back()? == WayBack::Backup
    {
        forward = last.is_restored_side_live()?;
    }
    swap_all(&mut targets, forward, context)?;
    let secured = journal.secured.take();
    if forward == wanted
        && let (Some(secured), Some(mut record)) = (secured, room.catalog.restore_find(&id)?)
    {
        record.pre_restore_id = Some(secured);
        room.catalog.restore_save(&record)?;
    }
    let first_time = room.catalog.restore_find(&id)?.is_none_or(|record| record.state == RestoreState::Prepared);
    if !forward && wanted && first_time {
        journal.advance(room.state_folder(), Phase::Discarding)?;
        targets.iter_mut().try_for_each(|target| target.discard(context))?;
        journal.forget(room.state_folder())?;
        let line = format!("the restore {id} had died before its transaction was committed; everything is as it was");
        return Ok((RestoreState::Failed, line));
    }
    let (phase, state) =
        if forward { (Phase::Swapped, RestoreState::Swapped) } else { (Phase::Undone, RestoreState::Undone) };
    journal.advance(room.state_folder(), phase)?;
    let what = if wanted { "the restore" } else { "the undo of" };
    let end = if forward == wanted { "it was brought to its end" } else { "it was taken back" };
    Ok((state, format!("{what} {id} had died while exchanging; {end}")))
}

/// Makes the record say what the journal says.
fn settle(room: &Room, journal: &Journal, state: RestoreState) -> Result<()> {
    let Some(mut record) = room.catalog.restore_find(&journal.restore_id)? else { return Ok(()) };
    // A restore that expired or was discarded keeps its state: only its leftovers went.
    if record.state == state || matches!(record.state, RestoreState::Expired | RestoreState::Failed) {
        return Ok(());
    }
    let now = room.now();
    let was_live = matches!(record.state, RestoreState::Swapped | RestoreState::Undone);
    record.state = if state == RestoreState::Failed && was_live { RestoreState::Expired } else { state };
    record.finished_at = Some(now);
    match state {
        RestoreState::Swapped => {
            record.swapped_at = record.swapped_at.or(Some(now));
            record.undo_until = record.undo_until.or_else(|| Some(crate::restore::expiry(room, now)));
        }
        RestoreState::Failed => record.error = Some((&died("the restore")).into()),
        _ => {}
    }
    room.catalog.restore_save(&record)
}

fn recover_backup(room: &Room, record: BackupRecord) -> Result<String> {
    let id = record.id.clone();
    if let Some(adopted) = rebuild::adopt(room, &record)? {
        let line =
            format!("the backup {id} had died after its archive was whole; it was adopted as {}", adopted.state.name());
        room.audit(&recovery(), "recover", Some(id.as_str()), Ok(()), serde_json::json!({ "what": line }))?;
        return Ok(line);
    }
    let mut failed = record.finished(State::Failed, room.now());
    let error = died("the backup");
    failed.error = Some((&error).into());
    room.catalog.backup_finish(&failed, None)?;
    room.audit(
        &recovery(),
        "backup",
        Some(id.as_str()),
        Err(&error),
        serde_json::json!({ "plan": failed.plan, "tier": failed.tier.name() }),
    )?;
    Ok(format!("the backup {id} had died before it was finished; it is recorded as failed"))
}

fn died(what: &str) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("{what} ended without a word: the process was killed, or the machine stopped"),
        "Nothing was damaged. Look for the reason in the system's log (out of memory? a reboot?) and run it again.",
    )
}

fn recovery() -> Actor {
    Actor { name: "recovery".to_owned(), origin: "start".to_owned() }
}
