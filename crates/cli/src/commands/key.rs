//! `strongroom key`

use crate::args::Key as KeyCommand;
use crate::env_file;
use crate::output::Report;
use crate::session::Session;
use engine::config::EncryptionPolicy;
use engine::recovery_kit;
use serde_json::json;
use std::path::Path;
use vault::{Error, ErrorKind, Key, Result};

/// Prints a new key and nothing else, so that a script can take it.
pub fn generate() -> Result<Report> {
    let key = Key::generate()?;
    Ok(Report::done(
        json!({ "key": *key.expose_hex(), "fingerprint": key.fingerprint() }),
        key.expose_hex().to_string(),
    ))
}

/// The other commands about keys.
pub fn run(command: &KeyCommand, session: &Session) -> Result<Report> {
    match command {
        KeyCommand::Generate => generate(),
        KeyCommand::List => Ok(list(session)),
        KeyCommand::Rotate => rotate(session),
        KeyCommand::RecoveryKit { output } => recovery_kit(output.as_deref(), session),
    }
}

fn list(session: &Session) -> Report {
    let current = matches!(session.config.encryption, EncryptionPolicy::Key { .. });
    let keys = session.config.encryption.keys();
    let role = |at: usize| if at == 0 && current { "current" } else { "previous" };
    let document =
        keys.iter().enumerate().map(|(at, key)| json!({ "fingerprint": key.fingerprint(), "role": role(at) }));
    let text = if keys.is_empty() {
        "There is no key. `strongroom init` makes one.".to_owned()
    } else {
        keys.iter().enumerate().map(|(at, key)| format!("{}  {}\n", key.fingerprint(), role(at))).collect()
    };
    Report::done(document.collect(), text)
}

/// Old backups stay readable: the old key goes to the previous ones.
fn rotate(session: &Session) -> Result<Report> {
    let EncryptionPolicy::Key { key: old, previous } = &session.config.encryption else {
        return Err(Error::new(
            ErrorKind::NoKey,
            "there is no key to rotate",
            "`strongroom init` makes the first one.",
        ));
    };
    let origin = |name: &str| {
        session.config.values.iter().find(|value| value.key == name).map_or("", |value| value.origin.as_str())
    };
    if origin("encryption_key").contains("environment") || origin("previous_keys").contains("environment") {
        return rotated_by_hand(session, old, previous);
    }
    let new = Key::generate()?;
    let room = session.room()?;
    // The repository first: a key file too many does no harm, a key that opens nothing would.
    engine::repository::add_key(&room, &new)?;
    let older: Vec<_> = std::iter::once(old).chain(previous).map(|key| key.expose_hex().to_string()).collect();
    let path = session.config.folder.join(".env");
    env_file::set(&path, &[("BACKUP_PREVIOUS_KEYS", &older.join(",")), ("BACKUP_ENCRYPTION_KEY", &new.expose_hex())])?;
    let details = json!({ "from": old.fingerprint(), "to": new.fingerprint() });
    engine::repository::remove_key(&room, old, &new)?;
    room.audit(&session.actor, "key-rotate", None, Ok(()), details)?;
    let text = format!(
        "New backups use the key {}; older ones stay readable with {}.\nMake a new recovery kit now: strongroom key recovery-kit",
        new.fingerprint(),
        old.fingerprint()
    );
    Ok(Report::done(json!({ "fingerprint": new.fingerprint(), "previous": older.len() }), text))
}

/// The key was changed where this command cannot: what is left to do is the repository.
fn rotated_by_hand(session: &Session, current: &Key, previous: &[Key]) -> Result<Report> {
    let room = session.room()?;
    if previous.is_empty() || !engine::repository::replace_keys(&room, previous, current)? {
        return Err(Error::new(
            ErrorKind::Refused,
            "the key comes from the environment, which this command cannot change",
            "Make a key with `strongroom key generate`, set it as BACKUP_ENCRYPTION_KEY, and add the old one to \
             BACKUP_PREVIOUS_KEYS. If there is a repository, say this again then: it withdraws the old key there.",
        ));
    }
    let withdrawn: Vec<_> = previous.iter().map(Key::fingerprint).collect();
    let details = json!({ "from": withdrawn, "to": current.fingerprint() });
    room.audit(&session.actor, "key-rotate", None, Ok(()), details)?;
    let text = format!(
        "The repository opens with the key {} now, and no longer with {}.\nMake a new recovery kit now: strongroom key recovery-kit",
        current.fingerprint(),
        withdrawn.join(", ")
    );
    Ok(Report::done(json!({ "fingerprint": current.fingerprint(), "previous": previous.len() }), text))
}

fn recovery_kit(output: Option<&Path>, session: &Session) -> Result<Report> {
    let EncryptionPolicy::Key { key, previous } = &session.config.encryption else {
        return Err(Error::new(ErrorKind::NoKey, "there is no key to recover with", "`strongroom init` makes one."));
    };
    let kit = render_kit(key, previous, session);
    session.room()?.audit(&session.actor, "recovery-kit", None, Ok(()), json!({ "fingerprint": key.fingerprint() }))?;
    match output {
        None => Ok(Report::done(json!({ "recoveryKit": kit }), kit)),
        Some(path) => {
            env_file::write_private(path, kit.as_bytes())?;
            let text = format!("The recovery kit lies at {}. Print it or move it off this machine.", path.display());
            Ok(Report::done(json!({ "file": path, "fingerprint": key.fingerprint() }), text))
        }
    }
}

/// The kit of an application.
pub fn render_kit(key: &Key, previous: &[Key], session: &Session) -> String {
    recovery_kit::render(key, previous, &session.config.folder, &session.config.backup_dir, jiff::Timestamp::now())
}
