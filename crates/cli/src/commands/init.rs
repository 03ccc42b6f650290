//! `strongroom init`

use super::key::render_kit;
use crate::args::Init;
use crate::env_file;
use crate::output::Report;
use crate::session::Session;
use engine::config::{CONFIG_FILE, EncryptionPolicy, render_template};
use serde_json::json;
use vault::{Error, ErrorKind, Key, Result};

/// Prepares an application's folder. What is there already stays: a second key would be one too many.
pub fn run(arguments: &Init, session: &Session) -> Result<Report> {
    let config = &session.config;
    let file = config.folder.join(CONFIG_FILE);
    let has_key = matches!(config.encryption, EncryptionPolicy::Key { .. });
    if has_key && file.exists() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{} is prepared already: it has a key and a {CONFIG_FILE}", config.folder.display()),
            "`strongroom key recovery-kit` prints the recovery kit again, `strongroom key rotate` makes a new key.",
        ));
    }
    let mut text = String::new();
    if !file.exists() {
        let template = render_template(&config.folder, &config.components);
        // Whoever may read the application's folder may read its configuration: no secret stands in it.
        std::fs::write(&file, template).map_err(|cause| Error::io(format!("writing {}", file.display()), cause))?;
        text.push_str(&format!("Wrote {}.\n", file.display()));
    }
    let (key, previous) = match &config.encryption {
        EncryptionPolicy::Key { key, previous } => (key.clone(), previous.clone()),
        other => {
            let key = Key::generate()?;
            let env = config.folder.join(".env");
            env_file::set(&env, &[("BACKUP_ENCRYPTION_KEY", &key.expose_hex())])?;
            text.push_str(&format!("Wrote a new key into {} (only its owner can read it now).\n", env.display()));
            (key, other.keys().into_iter().cloned().collect())
        }
    };
    for component in &config.components {
        text.push_str(&format!("Found {} ({}).\n", component.name, component.settings.kind().name()));
    }
    let kit = render_kit(&key, &previous, session);
    if let Some(path) = &arguments.recovery_kit {
        env_file::write_private(path, kit.as_bytes())?;
        text.push_str(&format!("The recovery kit lies at {}: move it off this machine.\n", path.display()));
    } else {
        text.push_str(&format!("\n{kit}"));
    }
    text.push_str("\nNext: strongroom backup");
    let names: Vec<_> = config.components.iter().map(|component| &component.name).collect();
    let document =
        json!({ "config": file, "keyFingerprint": key.fingerprint(), "components": names, "recoveryKit": kit });
    Ok(Report::done(document, text))
}
