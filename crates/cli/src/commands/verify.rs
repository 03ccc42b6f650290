//! `strongroom verify`, `strongroom drill`

use super::json;
use crate::args::{DepthChoice, Verify};
use crate::exit;
use crate::output::{Report, units};
use crate::session::Session;
use engine::drill;
use engine::verify::{self, Depth, Verified};
use vault::repository::CheckDepth;
use vault::{ErrorKind, Result};

/// Checks one backup, or all of them.
pub fn run(arguments: &Verify, session: &Session) -> Result<Report> {
    if arguments.repository || arguments.read_data_subset.is_some() {
        return check(arguments, session);
    }
    let room = session.room()?;
    let depth = match arguments.depth {
        DepthChoice::Stored => Depth::Stored,
        DepthChoice::Read => Depth::Read,
        DepthChoice::Open => Depth::Open,
    };
    let progress = session.progress();
    let found = match &arguments.id {
        Some(id) => verify::one(&room, id, depth, &session.actor, &progress).map(|one| vec![one]),
        None => verify::all(&room, depth, &session.actor, &progress),
    };
    session.reporter.finish();
    let mut found = found?;
    if arguments.id.is_some()
        && let Some(error) = found.first_mut().and_then(|one| one.failure.take())
    {
        return Err(error);
    }
    let worst = found
        .iter()
        .filter_map(|one| one.failure.as_ref())
        .map(|error| exit::code(error.kind()))
        .max()
        .unwrap_or(exit::DONE);
    Ok(Report::done(json(&found)?, describe(&found, depth)).with_exit(worst))
}

fn describe(found: &[Verified], depth: Depth) -> String {
    let claim = match depth {
        Depth::Stored => "there, in the right size",
        Depth::Read => "there, and its bytes are what was written",
        Depth::Open => "whole: decrypted, unpacked and read to its end, holding what its manifest says",
    };
    let line = |one: &Verified| match &one.error {
        None => format!("{}  {claim}\n", one.id),
        Some(error) => format!("{}  NOT GOOD: {}\n              {}\n", one.id, error.message, error.hint),
    };
    if found.is_empty() { "There is no backup to verify.".to_owned() } else { found.iter().map(line).collect() }
}

/// Checks the repository as a whole.
fn check(arguments: &Verify, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let depth = match (arguments.read_data_subset, arguments.depth) {
        // Other packs each time.
        (Some(subset), _) => CheckDepth::Subset { subset, seed: room.now().as_nanosecond() as u64 },
        (None, DepthChoice::Stored) => CheckDepth::Index,
        (None, DepthChoice::Read | DepthChoice::Open) => CheckDepth::Everything,
    };
    let result = engine::repository::check(&room, depth, &session.actor, &session.progress());
    session.reporter.finish();
    let checked = result?;
    let mut text = format!(
        "{}: {} and {} of {}, {} read.",
        if checked.sound { "The repository is sound as far as was looked" } else { "The repository is DAMAGED" },
        units::counted(checked.snapshots as u64, "snapshot", "snapshots"),
        checked.packs_read,
        units::counted(checked.packs as u64, "pack", "packs"),
        units::bytes(checked.bytes_read),
    );
    checked.findings.iter().for_each(|finding| text.push_str(&format!("\n  {finding}")));
    checked.lost.iter().for_each(|lost| text.push_str(&format!("\nlost: {lost}")));
    if !checked.sound {
        text.push_str(
            "\n`strongroom repair` saves what can be saved; the next backup stores again what is still there.",
        );
    }
    let exit = if checked.sound { exit::DONE } else { exit::code(ErrorKind::Damaged) };
    Ok(Report::done(json(&checked)?, text).with_exit(exit))
}

/// Restores into a scratch place and compares.
pub fn drill(id: &str, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let result = drill::run(&room, id, &session.actor, &session.progress());
    session.reporter.finish();
    let drilled = result?;
    let assertions = match drilled.assertions {
        0 => String::new(),
        count => format!(" {} held.", units::counted(count, "assertion", "assertions")),
    };
    let text = format!(
        "{} restores: {} came out as the manifest promises, in {}.{assertions}",
        drilled.id,
        drilled.components.join(", "),
        units::milliseconds(drilled.restore_duration_ms)
    );
    Ok(Report::done(json(&drilled)?, text))
}

/// Mends the repository and says what is lost; files that are lost are a partial success.
pub fn repair(session: &Session) -> Result<Report> {
    let room = session.room()?;
    let result = engine::repository::repair(&room, &session.actor, &session.progress());
    session.reporter.finish();
    let repaired = result?;
    let mut text = match repaired.findings.len() {
        0 => "The repository is sound; nothing was changed.".to_owned(),
        count => format!("{} mended.", units::counted(count as u64, "thing was", "things were")),
    };
    for finding in &repaired.findings {
        text.push_str(&format!("\n  {finding}"));
    }
    for lost in &repaired.lost {
        text.push_str(&format!("\nlost: {lost}"));
    }
    let exit = if repaired.lost.is_empty() { exit::DONE } else { exit::PARTIAL };
    Ok(Report::done(json(&repaired)?, text).with_exit(exit))
}
