//! Notices a backup that is much smaller than the one before: an emptied table or a deleted folder is backed up as
//! faithfully as everything else, and retention would then remove the last backup that still had the data.

use crate::Result;
use crate::catalog::backups::{BackupRecord, Collapse};
use crate::manifest::{Figures, Manifest, Tier};
use crate::room::Room;
use std::collections::BTreeMap;

/// Compares a finished backup with its predecessor of the same plan.
pub fn against_predecessor(room: &Room, record: &BackupRecord, manifest: &Manifest) -> Result<Option<Collapse>> {
    // Taken because something is wrong with the data: that it is smaller is why somebody restores.
    if record.tier == Tier::PreRestore {
        return Ok(None);
    }
    let ratio = room.config.collapse.ratio;
    let Some(before) = room.catalog.backup_predecessor(&record.plan, record.started_at)? else { return Ok(None) };
    let Some(before) = room.catalog.manifest(&before.id)? else { return Ok(None) };
    Ok(reason(&before, manifest, ratio).map(|reason| Collapse { reason, acknowledged: false }))
}

/// What collapsed, in words. Only what both backups hold is compared: one with fewer components is no collapse.
fn reason(before: &Manifest, after: &Manifest, ratio: f64) -> Option<String> {
    let old: BTreeMap<_, _> = before.components.iter().map(|component| (&component.name, component)).collect();
    let mut reasons = Vec::new();
    for component in &after.components {
        let Some(old) = old.get(&component.name) else { continue };
        for (what, old, new) in
            measures(&old.figures).into_iter().zip(measures(&component.figures)).map(|(o, n)| (o.0, o.1, n.1))
        {
            // A handful of rows or files comes and goes every day.
            if old >= 20 && (new as f64) < old as f64 * ratio {
                reasons.push(format!("{}: {new} {what}, {old} before", component.name));
            }
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn measures(figures: &Figures) -> Vec<(&'static str, u64)> {
    match figures {
        Figures::Tree { files, bytes, .. } => vec![("files", *files), ("bytes", *bytes)],
        Figures::Database(figures) => {
            vec![("rows", figures.tables.iter().map(|table| table.rows).sum()), ("tables", figures.tables.len() as u64)]
        }
    }
}
