//! The recovery kit: one page of text with which a person restores on a new machine, with Strongroom or without.
//!
//! Uncomfortable: it holds the key. Whoever has the kit and a backup can read everything; whoever has lost both the kit and
//! `.env` can read nothing, ever.

use std::path::Path;
use vault::Key;

/// The document whose scripts the kit carries: they are the ones that the tests run.
const FORMATS: &str = include_str!("../../../docs/formats.md");

/// Renders the kit.
pub fn render(
    key: &Key,
    previous: &[Key],
    application: &Path,
    backup_folder: &Path,
    made_at: jiff::Timestamp,
) -> String {
    let script = fenced_block(FORMATS, "js").unwrap_or("// See docs/formats.md of Strongroom.");
    let older = if previous.is_empty() {
        String::new()
    } else {
        let lines = previous.iter().map(|key| format!("  {}  ({})\n", *key.expose_hex(), key.fingerprint()));
        format!("\nOLDER KEYS (for backups made before a rotation)\n\n{}", lines.collect::<String>())
    };
    format!(
        "STRONGROOM RECOVERY KIT                                  made {made}

Print this, or keep it in a password manager: away from the server. Without the key below nobody can open the
backups, we included. With it and one backup file, anybody can.

  application     {application}
  backups         {backups}
  KEY             {key}
  fingerprint     {fingerprint}
{older}
THE SERVER IS LOST. WITH STRONGROOM:

  1. Install strongroom on the new machine. Copy the newest backup file (and, if it is there, the file of the same
     name with .manifest.json at its end) into an empty folder.
  2. export BACKUP_ENCRYPTION_KEY=<the key above>
  3. strongroom verify ./backup-<time>-<id>.tar.gz.enc
  4. strongroom restore ./backup-<time>-<id>.tar.gz.enc --to ./restored

WITHOUT STRONGROOM (Node.js and tar are enough):

  1. Save the script below as open-backup.mjs.
  2. BACKUP_ENCRYPTION_KEY=<the key above> node open-backup.mjs backup-<time>-<id>.tar.gz.enc backup.tar.gz
  3. tar -xzf backup.tar.gz            (a .enc without .tar in its name is JSON: gunzip it and use jq)

BACKUPS IN A REPOSITORY (copy the whole folder `repository`; <snapshot> is a file's name in its folder `snapshots`):

  strongroom restore ./repository#<snapshot> --to ./restored
  RESTIC_PASSWORD=<the key above> restic -r ./repository restore latest --target ./restored     (restic alone)

--------------------------------------------------------------------------------------------- open-backup.mjs
{script}
--------------------------------------------------------------------------------------------------------------
",
        made = made_at.strftime("%Y-%m-%d %H:%M UTC"),
        application = application.display(),
        backups = backup_folder.display(),
        key = *key.expose_hex(),
        fingerprint = key.fingerprint(),
    )
}

/// The first fenced code block of a language in a Markdown text.
fn fenced_block<'a>(markdown: &'a str, language: &str) -> Option<&'a str> {
    let opening = format!("\n```{language}\n");
    let start = markdown.find(&opening)? + opening.len();
    let length = markdown[start..].find("\n```")?;
    Some(&markdown[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_holds_the_key_and_a_script_that_opens_a_backup() {
        let (key, old) = (Key::generate().unwrap(), Key::generate().unwrap());
        let kit = render(
            &key,
            std::slice::from_ref(&old),
            Path::new("/srv/crm"),
            Path::new("/srv/crm/backups"),
            jiff::Timestamp::UNIX_EPOCH,
        );
        for wanted in [
            key.expose_hex().as_str(),
            old.expose_hex().as_str(),
            &key.fingerprint(),
            "createDecipheriv",
            "/srv/crm/backups",
            "restic -r",
        ] {
            assert!(kit.contains(wanted), "{wanted} is missing");
        }
    }
}
