//! `strongroom config`, `strongroom doctor`

use super::json;
use crate::args::ConfigCommand;
use crate::exit;
use crate::output::Report;
use crate::output::table::table;
use crate::session::Session;
use engine::doctor::{self, CheckState};
use vault::Result;

/// Checks or shows the configuration. A bad one never gets here: starting the session refused it.
pub fn run(command: &ConfigCommand, session: &Session) -> Result<Report> {
    let config = &session.config;
    match command {
        ConfigCommand::Check => {
            let mut text = format!("The configuration of {} is valid.", config.folder.display());
            for note in &config.notes {
                text.push_str(&format!("\nnote: {note}"));
            }
            Ok(Report::done(serde_json::json!({ "valid": true, "notes": config.notes }), text))
        }
        ConfigCommand::Show => {
            let row = |value: &engine::config::Value| [value.key.clone(), value.value.clone(), value.origin.clone()];
            Ok(Report::done(json(&config.values)?, table(["KEY", "VALUE", "FROM"], config.values.iter().map(row))))
        }
    }
}

/// Finds what will go wrong before it does. Fails when something does not work; a warning is no failure.
pub fn doctor(session: &Session) -> Result<Report> {
    // A backup folder that cannot be opened is a finding, not an end.
    let room = session.room();
    let catalog = room.as_ref().ok().map(|room| &*room.catalog);
    let mut checks =
        engine::examine::examine(&session.config, catalog, &crate::session::surroundings(), jiff::Timestamp::now());
    if let Err(error) = &room {
        checks.push(doctor::Check::from_error("records", error));
    }
    let mut text = String::new();
    for check in &checks {
        let mark = match check.state {
            CheckState::Ok => "ok   ",
            CheckState::Warn => "look ",
            CheckState::Fail => "FAIL ",
        };
        text.push_str(&format!("{mark} {}: {}\n", check.name, check.message));
        if !check.remedy.is_empty() {
            text.push_str(&format!("        {}\n", check.remedy));
        }
    }
    let exit = if doctor::worst(&checks) == CheckState::Fail { exit::FAILED } else { exit::DONE };
    Ok(Report::done(json(&checks)?, text).with_exit(exit))
}
