//! Backups and restores for people.

use super::table::{facts, table};
use super::units;
use engine::catalog::backups::{BackupRecord, Trust};
use engine::catalog::restores::RestoreRecord;
use engine::id::Id;
use engine::manifest::{Figures, Manifest, State};

/// A list of backups.
pub fn list(records: &[BackupRecord]) -> String {
    if records.is_empty() {
        return "There is no backup yet. Make one with `strongroom backup`.".to_owned();
    }
    let row = |record: &BackupRecord| {
        let notes = [
            record.pinned.then(|| "pinned".to_owned()),
            record.late.then(|| "late".to_owned()),
            record.collapsed.as_ref().filter(|collapse| !collapse.acknowledged).map(|_| "much smaller!".to_owned()),
            record.description.clone(),
        ];
        [
            record.id.to_string(),
            units::time(record.started_at),
            record.tier.name().to_owned(),
            state(record.state),
            record.bytes.map(units::bytes).unwrap_or_default(),
            trust_word(&record.trust).to_owned(),
            notes.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ]
    };
    table(["ID", "STARTED", "TIER", "STATE", "SIZE", "PROVEN", ""], records.iter().map(row))
}

/// The furthest step of trust, honestly.
pub fn trust_word(trust: &Trust) -> &'static str {
    match trust {
        Trust { restored: Some(_), .. } => "restored",
        Trust { opened: Some(_), .. } => "opened",
        Trust { re_read: Some(_), .. } => "re-read",
        Trust { stored: Some(_), .. } => "stored",
        _ => "-",
    }
}

fn state(state: State) -> String {
    state.name().to_owned()
}

/// One backup, with what its manifest says, and the recovery time that the plan's newest drill measured.
pub fn one(record: &BackupRecord, manifest: Option<&Manifest>, measured: Option<&(Id, u64)>) -> String {
    let step = |time: Option<jiff::Timestamp>| time.map_or_else(|| "not yet".to_owned(), units::time);
    let mut text = facts([
        ("backup", record.id.to_string()),
        ("state", state(record.state)),
        ("plan, tier", format!("{}, {}", record.plan, record.tier.name())),
        ("description", record.description.clone().unwrap_or_else(|| "-".to_owned())),
        ("started", units::time(record.started_at)),
        ("took", record.duration_ms.map_or_else(|| "-".to_owned(), units::milliseconds)),
        ("lies at", record.location.clone().unwrap_or_else(|| "-".to_owned())),
        ("size", record.bytes.map_or_else(|| "-".to_owned(), units::bytes)),
        ("SHA-256", record.sha256.clone().unwrap_or_else(|| "-".to_owned())),
        ("key", record.key_fingerprint.clone().unwrap_or_else(|| "not encrypted".to_owned())),
        ("stored", step(record.trust.stored)),
        ("re-read", step(record.trust.re_read)),
        ("opened", step(record.trust.opened)),
        ("restored", step(record.trust.restored)),
        ("recovery time", recovery_time(record, measured)),
    ]);
    if let Some(error) = &record.error {
        text.push_str(&format!("error  {}\n       {}\n", error.message, error.hint));
    }
    if let Some(collapse) = &record.collapsed {
        let word = if collapse.acknowledged {
            "acknowledged"
        } else {
            "nobody has looked at that yet: `strongroom acknowledge`"
        };
        text.push_str(&format!("\nmuch smaller than its predecessor ({word}): {}\n", collapse.reason));
    }
    text.push('\n');
    text.push_str(&components(record));
    if let Some(manifest) = manifest {
        text.push_str(&tables(manifest));
    }
    text
}

/// What to expect on the day that matters.
fn recovery_time(record: &BackupRecord, measured: Option<&(Id, u64)>) -> String {
    match (record.trust.restore_duration_ms, measured) {
        (Some(duration_ms), _) => format!("{}, as its drill measured", units::milliseconds(duration_ms)),
        (None, Some((id, duration_ms))) => {
            format!("about {}, as the drill of {id} measured", units::milliseconds(*duration_ms))
        }
        (None, None) => "not known yet: `strongroom drill` measures it".to_owned(),
    }
}

/// The parts of a backup.
pub fn components(record: &BackupRecord) -> String {
    let row = |component: &engine::catalog::backups::ComponentSummary| {
        [
            component.name.clone(),
            component.kind.name().to_owned(),
            state(component.state),
            component.entries.to_string(),
            units::bytes(component.bytes),
        ]
    };
    let mut text = table(["COMPONENT", "KIND", "STATE", "ENTRIES", "BYTES"], record.components.iter().map(row));
    text.push('\n');
    for component in &record.components {
        for warning in &component.warnings {
            text.push_str(&format!("warning: {}: {warning}\n", component.name));
        }
    }
    text
}

fn tables(manifest: &Manifest) -> String {
    let mut text = String::new();
    for component in &manifest.components {
        if let Figures::Database(figures) = &component.figures {
            let row = |table: &engine::manifest::TableFigures| {
                let name = table
                    .schema
                    .as_ref()
                    .map_or_else(|| table.name.clone(), |schema| format!("{schema}.{}", table.name));
                [name, table.rows.to_string(), table.content_hash.as_deref().unwrap_or("-").chars().take(16).collect()]
            };
            text.push_str(&format!("\n{}: {} {}\n", component.name, figures.engine, figures.engine_version));
            text.push_str(&table(["TABLE", "ROWS", "CONTENT HASH"], figures.tables.iter().map(row)));
            text.push('\n');
        }
    }
    text
}

/// A list of restores.
pub fn restores(records: &[RestoreRecord]) -> String {
    if records.is_empty() {
        return "Nothing was ever restored here.".to_owned();
    }
    let row = |record: &RestoreRecord| {
        [
            record.id.to_string(),
            units::time(record.started_at),
            record.backup_id.to_string(),
            record.components.join(", "),
            record.state.name().to_owned(),
            record.undo_until.map(units::time).unwrap_or_default(),
        ]
    };
    table(["ID", "STARTED", "BACKUP", "COMPONENTS", "STATE", "UNDO UNTIL"], records.iter().map(row))
}
