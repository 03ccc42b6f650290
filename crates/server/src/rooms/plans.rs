//! Plans as pages show them.

use crate::view::Backup;
use crate::work::{CleanupLine, CleanupPlan, RestorePlan, RestorePlanComponent};
use engine::Result;
use engine::cleanup::{self, Planned};
use engine::manifest::Figures;
use engine::restore::{ComponentPlan, Plan};
use engine::room::Room;
use std::collections::BTreeMap;

/// What a restore would do, component by component.
pub(super) fn restore_plan(room: &Room, plan: &Plan) -> Result<RestorePlan> {
    let record = room.catalog.backup(plan.backup_id.as_str())?;
    let prefixed = |lines: fn(&ComponentPlan) -> &Vec<String>| {
        let line = |component: &ComponentPlan, text: &String| format!("{}: {text}", component.name);
        plan.components
            .iter()
            .flat_map(|component| lines(component).iter().map(|text| line(component, text)).collect::<Vec<_>>())
            .collect()
    };
    Ok(RestorePlan {
        backup: Backup::from(record),
        components: plan.components.iter().map(component).collect(),
        space_needed_bytes: plan.components.iter().map(|component| component.target.needs_bytes).sum(),
        space_free_bytes: plan.components.iter().filter_map(|component| component.target.free_bytes).min(),
        warnings: prefixed(|component| &component.target.warnings),
        obstacles: prefixed(|component| &component.target.obstacles),
    })
}

fn component(plan: &ComponentPlan) -> RestorePlanComponent {
    let live = plan.target.live.as_ref();
    let clients = plan.target.clients.len() as u64;
    RestorePlanComponent {
        name: plan.name.clone(),
        kind: plan.kind.name().to_owned(),
        target: plan.target.replaces.clone().unwrap_or_else(|| "nothing: it does not exist now".to_owned()),
        entries_now: live.map(entries),
        entries_then: entries(&plan.backup.figures),
        bytes_now: live.and_then(bytes),
        bytes_then: bytes(&plan.backup.figures).unwrap_or(plan.backup.bytes),
        clients: plan.kind.is_database().then_some(clients),
        details: details(&plan.backup.figures, live),
    }
}

/// Rows of a database, files of a tree.
fn entries(figures: &Figures) -> u64 {
    match figures {
        Figures::Tree { files, .. } => *files,
        Figures::Database(figures) => figures.tables.iter().map(|table| table.rows).sum(),
    }
}

fn bytes(figures: &Figures) -> Option<u64> {
    match figures {
        Figures::Tree { bytes, .. } => Some(*bytes),
        Figures::Database(_) => None,
    }
}

/// Table by table, where the number of rows differs.
fn details(then: &Figures, now: Option<&Figures>) -> Vec<String> {
    let (Figures::Database(then), Some(Figures::Database(now))) = (then, now) else { return Vec::new() };
    let now: BTreeMap<_, _> = now.tables.iter().map(|table| ((&table.schema, &table.name), table.rows)).collect();
    let line = |table: &engine::manifest::TableFigures| match now.get(&(&table.schema, &table.name)) {
        Some(rows) if *rows == table.rows => None,
        Some(rows) => Some(format!("{}: {} rows now, {} in the backup", table.name, rows, table.rows)),
        None => Some(format!("{}: does not exist now, {} rows in the backup", table.name, table.rows)),
    };
    then.tables.iter().filter_map(line).collect()
}

/// The fate of every backup, newest first.
pub(super) fn cleanup_plan(room: &Room, planned: &Planned) -> Result<CleanupPlan> {
    let plan = &planned.plan;
    let kept = plan.keep.iter().map(|kept| (&kept.id, (true, kept.reasons.join("; "))));
    let removed = plan.remove.iter().map(|removed| (&removed.id, (false, removed.reason.clone())));
    let fates: BTreeMap<_, _> = kept.chain(removed).collect();
    let mut backups = Vec::new();
    let (mut collapsed, mut freed_bytes) = (Vec::new(), 0);
    for record in room.catalog.backups_all()? {
        if record.collapsed.as_ref().is_some_and(|collapse| !collapse.acknowledged) {
            collapsed.push(format!("{} of plan {}", record.id, record.plan));
        }
        let Some((keep, reason)) = fates.get(&record.id) else { continue };
        freed_bytes += if *keep { 0 } else { cleanup::freed_by(&record) };
        backups.push(CleanupLine {
            plan: record.plan.clone(),
            tier: record.tier.name().to_owned(),
            created_at: record.started_at,
            size_bytes: record.bytes.unwrap_or(0),
            keep: *keep,
            reason: reason.clone(),
            id: record.id,
        });
    }
    let blocked = (!collapsed.is_empty()).then(|| {
        format!(
            "Much smaller than its predecessor: backup {}. Until a person looks at it and says that this is right, \
             nothing older of that plan is removed",
            collapsed.join(", ")
        )
    });
    Ok(CleanupPlan { backups, freed_bytes, repository: planned.repository_line(), blocked })
}
