//! Real backups, opened with nothing of ours: the scripts in docs/formats.md, as they stand there.

use crate::support::{App, KEY, Outcome, dump};
use std::path::{Path, PathBuf};
use std::process::Command;

fn script(language: &str, folder: &Path) -> PathBuf {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md")).unwrap();
    let opening = format!("\n```{language}\n");
    let start = document.find(&opening).expect("docs/formats.md has the script") + opening.len();
    let length = document[start..].find("\n```").unwrap();
    let path = folder.join(if language == "js" { "open-backup.mjs" } else { "open_backup.py" });
    std::fs::write(&path, &document[start..start + length]).unwrap();
    path
}

fn open(language: &str, archive: &Path, key: &str, output: &Path) -> Outcome {
    let python = std::env::var("STRONGROOM_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let program = if language == "js" { "node".to_owned() } else { python };
    let script = script(language, output.parent().unwrap());
    Outcome::of(Command::new(program).arg(script).arg(archive).arg(output).env("BACKUP_ENCRYPTION_KEY", key))
}

#[test]
fn node_and_python_open_a_tar_backup() {
    let app = App::new();
    let archive = app.archive(&app.backup(&[]));
    for language in ["js", "python"] {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("backup.tar.gz");
        let outcome = open(language, &archive, KEY, &output);
        assert_eq!(outcome.exit, 0, "{language}: {outcome:?}");
        let outcome = Outcome::of(Command::new("tar").arg("-xzf").arg(&output).current_dir(folder.path()));
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(dump(&folder.path().join("database/dev.db")), dump(&app.database()));
        let difference = Outcome::of(
            Command::new("diff")
                .arg("-r")
                .arg("--no-dereference")
                .arg(folder.path().join("uploads"))
                .arg(app.path().join("uploads")),
        );
        assert_eq!(difference.exit, 0, "{difference:?}");
        assert!(folder.path().join("manifest.json").exists());
    }
}

#[test]
fn node_and_python_open_a_json_backup_and_jq_reads_it() {
    let app = App::new();
    let archive = app.archive(&app.backup(&["--format", "json", "--component", "database"]));
    for language in ["js", "python"] {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("backup.json.gz");
        let outcome = open(language, &archive, KEY, &output);
        assert_eq!(outcome.exit, 0, "{language}: {outcome:?}");
        let count = Outcome::of(
            Command::new("sh").arg("-c").arg("gunzip -c \"$0\" | jq '.tables.customers.rows | length'").arg(&output),
        );
        assert_eq!(count.stdout.trim(), app.query("SELECT count(*) FROM customers"), "{count:?}");
    }
}

#[test]
fn the_scripts_write_nothing_for_a_wrong_key_or_a_damaged_file() {
    let app = App::new();
    let archive = app.archive(&app.backup(&["--component", "config"]));
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.enc");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    for language in ["js", "python"] {
        for (file, key) in [(&damaged, KEY.to_owned()), (&archive, "ab".repeat(32))] {
            let output = folder.path().join(format!("{language}.out"));
            let outcome = open(language, file, &key, &output);
            assert_ne!(outcome.exit, 0, "{outcome:?}");
            assert!(!output.exists(), "unverified bytes must not lie under the final name");
        }
    }
}
