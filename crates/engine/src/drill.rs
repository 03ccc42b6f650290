//! The story of a drill: a real restore into a scratch place, compared with the manifest, and the user's own assertions.
//!
//! The only proof that a backup can be restored is to have restored it. What came out is thrown away; what stays is the
//! fourth step of trust, with its time and how long a restore took.

use crate::catalog::backups::TrustStep;
use crate::config::{Assertion, ComponentConfig, ReferenceCheck};
use crate::locate::{self, Backup};
use crate::manifest::{ComponentKind, ComponentManifest, Figures, Manifest};
use crate::restore::stage::{self, Staged};
use crate::room::{Actor, Room};
use crate::scratch::Scratch;
use crate::target::{Context, Place};
use crate::{Error, ErrorKind, Result, component, verify};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use vault::{Noting, Progress};

/// No plan can be called that.
const LOCK_NAME: &str = "(drill)";

/// What a drill found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drilled {
    /// The backup.
    pub id: crate::id::Id,
    /// How long the restore itself took: the time to expect on the day that matters.
    pub restore_duration_ms: u64,
    /// Names of the components that came out as promised.
    pub components: Vec<String>,
    /// Assertions and checks that held.
    pub assertions: u64,
    /// What was not compared, or could not be put back and is no reason to call the backup bad.
    pub warnings: Vec<String>,
}

/// Restores a backup (an id, `latest`, or its location) into a scratch place and compares it.
pub fn run(room: &Room, wanted: &str, actor: &Actor, progress: &Arc<dyn Progress>) -> Result<Drilled> {
    let backup = locate::find(room, wanted)?;
    // One drill at a time: whatever scratch database lies about then was left by one that died.
    let _lock = room.lock_plan(LOCK_NAME)?;
    let result = rehearse(room, &backup, progress);
    let (id, details) = match &result {
        Ok(drilled) => {
            let details =
                serde_json::json!({ "durationMs": drilled.restore_duration_ms, "warnings": drilled.warnings });
            (Some(drilled.id.clone()), details)
        }
        Err(error) => {
            (backup.record.as_ref().map(|record| record.id.clone()), serde_json::json!({ "error": error.message() }))
        }
    };
    let subject = id.as_ref().map(crate::id::Id::as_str);
    room.audit(actor, "drill", subject, result.as_ref().map(|_| ()), details)?;
    if let Err(error) = &result {
        verify::distrust(room, &backup, error)?;
    }
    if let (Ok(drilled), true) = (&result, backup.cataloged) {
        for step in [TrustStep::Opened, TrustStep::Restored] {
            room.catalog.backup_trust(&drilled.id, step, room.now())?;
        }
        room.catalog.backup_restore_duration(&drilled.id, drilled.restore_duration_ms)?;
        tracing::info!(id = %drilled.id, duration_ms = drilled.restore_duration_ms, "drill succeeded");
    }
    result
}

fn rehearse(room: &Room, backup: &Backup, progress: &Arc<dyn Progress>) -> Result<Drilled> {
    let started = Instant::now();
    let noting = Arc::new(Noting::new(Arc::clone(progress)));
    let progress: &Arc<dyn Progress> = &(Arc::clone(&noting) as Arc<dyn Progress>);
    progress.phase("checking the backup", None);
    let (mut reader, manifest) = backup.open_with_manifest(room)?;
    let scratch = room.scratch("drill", &manifest.id)?;
    let context = Context { progress: &**progress, hash_key: manifest.hash_key()?, disconnect_clients: false };
    let mut places = Vec::new();
    let mut staged = Vec::new();
    for part in &manifest.components {
        let (config, place) = scratch_place(room, part, &manifest, &scratch)?;
        component::sweep_drill_databases(&config, &room.surroundings)?;
        let mut target = component::target(&config, place.clone(), &room.surroundings)?;
        let part = to_be_measured(part);
        refuse_if_obstructed(&part.name, &target.inspect(&context, &part)?)?;
        places.push((config, place));
        staged.push(Staged { manifest: part, target });
    }
    let outcome = stage::stage(&mut *reader, &manifest, &mut staged, &[], &context);
    let restore_duration_ms = started.elapsed().as_millis() as u64;
    let asserted = outcome.and_then(|()| assert_all(room, &places, progress));
    drop(staged);
    let removed = remove_databases(room, &places);
    let assertions = asserted?;
    removed?;
    Ok(Drilled {
        id: manifest.id.clone(),
        restore_duration_ms,
        components: manifest.components.iter().map(|part| part.name.clone()).collect(),
        assertions,
        warnings: noting.warnings(),
    })
}

/// A drill opens the database and reads every row of it: equal bytes are no excuse.
fn to_be_measured(part: &ComponentManifest) -> ComponentManifest {
    let mut part = part.clone();
    if let Figures::Database(figures) = &mut part.figures {
        figures.image_seal = None;
    }
    part
}

fn refuse_if_obstructed(name: &str, plan: &crate::target::TargetPlan) -> Result<()> {
    if let Some(free) = plan.free_bytes
        && plan.needs_bytes > free
    {
        return Err(Error::new(
            ErrorKind::NoSpace,
            format!("component {name}: a drill needs {} bytes, {free} are free", plan.needs_bytes),
            "Free some space in the backup folder, or give it a larger disk.",
        ));
    }
    match plan.obstacles.first() {
        None => Ok(()),
        Some(why) => Err(Error::new(
            ErrorKind::Refused,
            format!("component {name}: {why}"),
            "Remove the obstacle and try again.",
        )),
    }
}

fn scratch_place(
    room: &Room,
    part: &ComponentManifest,
    manifest: &Manifest,
    scratch: &Scratch,
) -> Result<(ComponentConfig, Place)> {
    let known = room.config.component(&part.name).filter(|config| config.settings.kind() == part.kind).cloned();
    let config = known.map_or_else(|| ComponentConfig::elsewhere(&part.name, part.kind, scratch.path()), Ok)?;
    let folder = || Place::Folder { path: scratch.path().join(&part.name) };
    let place = component::drill_database(&config, &manifest.id, &room.surroundings)?.unwrap_or_else(folder);
    Ok((config, place))
}

/// Scratch databases go whatever became of the drill.
fn remove_databases(room: &Room, places: &[(ComponentConfig, Place)]) -> Result<()> {
    let mut result = Ok(());
    for (config, place) in places {
        if let Place::Database { url } = place {
            result = result.and(component::drop_drill_database(config, url, &room.surroundings));
        }
    }
    result
}

fn assert_all(room: &Room, places: &[(ComponentConfig, Place)], progress: &Arc<dyn Progress>) -> Result<u64> {
    let place = |name: &str| places.iter().find(|(config, _)| config.name == name);
    let mut held = 0;
    for assertion in &room.config.assertions {
        let Some((config, place)) = place(&assertion.component) else { continue };
        progress.phase("asserting", None);
        assert_one(room, assertion, config, place)?;
        held += 1;
    }
    for check in &room.config.checks {
        let (Some((config, database)), Some((_, Place::Folder { path }))) =
            (place(&check.component), place(&check.exists_in))
        else {
            continue;
        };
        check_references(room, check, config, database, path)?;
        held += 1;
    }
    Ok(held)
}

fn assert_one(room: &Room, assertion: &Assertion, config: &ComponentConfig, place: &Place) -> Result<()> {
    let found = component::query(config, place, &assertion.sql, &room.surroundings)?;
    if found == assertion.expected_text() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!(
            "the assertion `{}` yields {found:?} on the restored {}, {:?} is expected",
            assertion.sql,
            config.name,
            assertion.expected_text()
        ),
        "Either the backup lacks something or the assertion is out of date; look at the restored data with `restore --to`.",
    ))
}

fn check_references(
    room: &Room,
    check: &ReferenceCheck,
    config: &ComponentConfig,
    database: &Place,
    folder: &Path,
) -> Result<()> {
    // One value instead of many rows: every engine answers that the same way.
    let gather = match config.settings.kind() {
        ComponentKind::Postgres => "coalesce(json_agg(path)::text, '[]')",
        ComponentKind::Mysql => "coalesce(json_arrayagg(path), '[]')",
        _ => "json_group_array(path)",
    };
    let sql =
        format!("WITH paths(path) AS ({}) SELECT {gather} FROM paths", check.sql.trim_end_matches([';', ' ', '\n']));
    let paths: Vec<Option<String>> =
        serde_json::from_str(&component::query(config, database, &sql, &room.surroundings)?).map_err(|cause| {
            Error::new(
                ErrorKind::Config,
                format!("`{}` does not yield paths: {cause}", check.sql),
                "It must yield one path a row.",
            )
        })?;
    let is_missing = |path: &String| {
        let path = vault::EntryPath::new(path.trim_start_matches('/'));
        path.map_or(true, |path| folder.join(path.to_os_path()).symlink_metadata().is_err())
    };
    let missing: Vec<_> = paths.into_iter().flatten().filter(is_missing).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "{} files that {} refers to are not in {}, the first is {first}",
                missing.len(),
                check.component,
                check.exists_in
            ),
            "Were they missing when the backup was taken? Compare with the application, and with an older backup.",
        )),
    }
}
