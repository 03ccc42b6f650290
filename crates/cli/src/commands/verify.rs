//! `strongroom verify`, `strongroom drill`

use super::json;
use crate::args::{DepthChoice, Verify};
use crate::exit;
use crate::output::{Report, units};
use crate::session::Session;
use engine::drill;
use engine::verify::{self, Depth, Verified};
use vault::Result;

/// Checks one backup, or all of them.
pub fn run(arguments: &Verify, session: &Session) -> Result<Report> {
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
