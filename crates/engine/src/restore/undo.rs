//! Takes a restore back, and takes that back again: the exchange works in both directions as often as wanted, until it
//! expires. Last in, first out: an older restore lies below a newer one.

use super::journal::{Journal, Phase};
use super::write_back;
use crate::catalog::restores::{RestoreRecord, RestoreState};
use crate::config::ComponentConfig;
use crate::hash::HashKey;
use crate::room::{Actor, Room};
use crate::target::{Context, Place, Target};
use crate::{Error, ErrorKind, Result, component};
use jiff::{Span, Timestamp};
use std::sync::Arc;
use vault::Progress;

/// When a restore that was finished at `time` can no longer be undone.
pub(crate) fn expiry(room: &Room, time: Timestamp) -> Timestamp {
    let hours = i64::from(room.config.restore.undo_days) * 24;
    time.checked_add(Span::new().hours(hours)).unwrap_or(Timestamp::MAX)
}

/// Undoes the restore `wanted` (an id, or `latest`); one that is undone already is redone.
pub fn undo(
    room: &Room,
    wanted: &str,
    disconnect_clients: bool,
    actor: &Actor,
    progress: &Arc<dyn Progress>,
) -> Result<RestoreRecord> {
    let _lock = room.lock_everything("undo")?;
    let mut record = room.catalog.restore(wanted)?;
    let forward = match record.state {
        RestoreState::Swapped => false,
        RestoreState::Undone => true,
        RestoreState::Prepared | RestoreState::Failed | RestoreState::Expired => return Err(not_undoable(&record)),
    };
    refuse_out_of_turn(room, &record, forward)?;
    let mut journal = Journal::read(room.state_folder(), &record.id)?.ok_or_else(|| not_undoable(&record))?;
    let (during, after, state) = if forward {
        (Phase::Swapping, Phase::Swapped, RestoreState::Swapped)
    } else {
        (Phase::SwappingBack, Phase::Undone, RestoreState::Undone)
    };
    let before = journal.phase;
    let mut targets = targets(room, &journal)?;
    journal.secured =
        write_back::prepare(room, &record, &journal, &mut targets, (actor, disconnect_clients), progress)?;
    journal.advance(room.state_folder(), during)?;
    progress.step("undo.began");
    progress.phase("exchanging", None);
    let context = Context { progress: &**progress, hash_key: HashKey::default(), disconnect_clients };
    let result = swap_all(&mut targets, forward, &context);
    let secured = journal.secured.take();
    journal.advance(room.state_folder(), if result.is_ok() { after } else { before })?;
    let action = if forward { "redo" } else { "undo" };
    let details = serde_json::json!({ "components": record.components });
    room.audit(actor, action, Some(record.id.as_str()), result.as_ref().copied(), details)?;
    result?;
    record.pre_restore_id = secured.or(record.pre_restore_id);
    record.state = state;
    record.finished_at = Some(room.now());
    room.catalog.restore_save(&record)?;
    progress.step("undo.finished");
    Ok(record)
}

/// Exchanges all components in one direction; a failure exchanges back those that were exchanged.
pub(crate) fn swap_all(targets: &mut [Box<dyn Target>], forward: bool, context: &Context<'_>) -> Result<()> {
    let turn = |target: &mut Box<dyn Target>, forward: bool| {
        if forward { target.swap(context) } else { target.swap_back(context) }
    };
    for at in 0..targets.len() {
        if let Err(error) = turn(&mut targets[at], forward) {
            for target in targets[..=at].iter_mut().rev() {
                turn(target, !forward).map_err(|second| super::half_done(&error, &second))?;
            }
            return Err(error);
        }
        context.progress.step("undo.exchanged");
    }
    Ok(())
}

/// The targets of a restore that lies on disk.
pub(crate) fn targets(room: &Room, journal: &Journal) -> Result<Vec<Box<dyn Target>>> {
    let target = |recorded: &ComponentConfig| {
        // The configuration of now knows the password; that of then knows where a component without one was.
        let now = room.config.component(&recorded.name).filter(|now| now.without_secrets() == *recorded);
        let state_folder = Journal::component_folder(room.state_folder(), &journal.restore_id, &recorded.name)?;
        let place = Place::Live { restore_id: journal.restore_id.clone(), state_folder };
        let mut target = component::target(now.unwrap_or(recorded), place, &room.surroundings)
            .map_err(|error| error.within(format!("component {}", recorded.name)))?;
        if !journal.tables.is_empty() {
            target.only_tables(&journal.tables)?;
        }
        Ok(target)
    };
    journal.components.iter().map(target).collect()
}

fn refuse_out_of_turn(room: &Room, record: &RestoreRecord, forward: bool) -> Result<()> {
    let shares = |other: &RestoreRecord| other.components.iter().any(|name| record.components.contains(name));
    let newer = |other: &&RestoreRecord| other.id != record.id && shares(other);
    let restores = room.catalog.restores()?;
    let position = restores.iter().position(|other| other.id == record.id).unwrap_or(0);
    let obstacle =
        if forward {
            // Older ones that are undone lie deeper and come first; newer ones that are live lie on top.
            restores[position..].iter().filter(newer).find(|other| other.state == RestoreState::Undone).or_else(|| {
                restores[..position].iter().filter(newer).find(|other| other.state == RestoreState::Swapped)
            })
        } else {
            restores[..position].iter().filter(newer).find(|other| other.state == RestoreState::Swapped)
        };
    match obstacle {
        None => Ok(()),
        Some(other) => Err(Error::new(
            ErrorKind::Refused,
            format!("the restore {} changed the same components and comes first", other.id),
            format!("Undo or redo {} first: restores are taken back in reverse order.", other.id),
        )),
    }
}

fn not_undoable(record: &RestoreRecord) -> Error {
    let why = match record.state {
        RestoreState::Failed => "it failed, and everything was as before",
        RestoreState::Expired => "its time is over, and what it replaced was removed",
        _ => "nothing is kept of it",
    };
    let hint = record.pre_restore_id.as_ref().map_or_else(
        || "`strongroom list` shows the backups that can be restored instead.".to_owned(),
        |id| format!("The backup {id} was taken before it: restore that one, if it is still there."),
    );
    Error::new(ErrorKind::Refused, format!("the restore {} cannot be undone: {why}", record.id), hint)
}

/// Removes what lies beside the live data of restores whose undo has expired.
pub fn expire(room: &Room, progress: &Arc<dyn Progress>) -> Result<Vec<RestoreRecord>> {
    let now = room.now();
    let mut expired = Vec::new();
    for mut record in room.catalog.restores()? {
        let over = record.undo_until.is_some_and(|until| until <= now);
        if !over || !matches!(record.state, RestoreState::Swapped | RestoreState::Undone) {
            continue;
        }
        if let Some(mut journal) = Journal::read(room.state_folder(), &record.id)? {
            journal.advance(room.state_folder(), Phase::Discarding)?;
            discard(room, &journal, progress)?;
        }
        record.state = RestoreState::Expired;
        room.catalog.restore_save(&record)?;
        expired.push(record);
    }
    Ok(expired)
}

/// Removes what a restore left beside the live data, then the restore's own folder.
pub(crate) fn discard(room: &Room, journal: &Journal, progress: &Arc<dyn Progress>) -> Result<()> {
    let context = Context { progress: &**progress, hash_key: HashKey::default(), disconnect_clients: false };
    for mut target in targets(room, journal)? {
        target.discard(&context)?;
        progress.step("expire.discarded");
    }
    journal.forget(room.state_folder())
}
