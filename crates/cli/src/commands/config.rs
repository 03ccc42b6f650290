//! `strongroom config`, `strongroom doctor`

use super::json;
use crate::args::ConfigCommand;
use crate::output::Report;
use crate::output::table::table;
use crate::session::Session;
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
