//! The scripts of `docs/formats.md`, exactly as they stand there, on real archives; `tar` and `jq` after them.

use crate::samples::{Place, file, folder, key, noise, write};
use std::path::Path;
use std::process::{Command, Output};
use vault::archive::ArchiveFormat;
use vault::compress::Compression;

/// The fenced code block of that language.
fn script(language: &str) -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md")).unwrap();
    let start = document.find(&format!("```{language}\n")).expect("formats.md has the script") + language.len() + 4;
    let end = document[start..].find("```").unwrap();
    document[start..start + end].to_owned()
}

fn python() -> String {
    let python = std::env::var("STRONGROOM_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import cryptography"]).output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "{python} cannot import `cryptography`: install it (`pip install cryptography`), or name another interpreter in \
         STRONGROOM_TEST_PYTHON"
    );
    python
}

fn decrypt(interpreter: &str, script: &Path, archive: &Path, output: &Path, key: u8) -> Output {
    Command::new(interpreter)
        .args([script, archive, output])
        .env("BACKUP_ENCRYPTION_KEY", hex::encode([key; 32]))
        .output()
        .unwrap()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Decrypts a tar and a JSON archive by hand and compares; a wrong key and a flipped bit must leave nothing.
fn opens_with(interpreter: &str, script: &str, extension: &str) {
    let place = Place::new();
    let at = |name: &str| place.folder.path().join(name);
    std::fs::write(at(&format!("open.{extension}")), script).unwrap();
    let script = at(&format!("open.{extension}"));
    let large = noise(3_000_000, 9);
    let entries = [folder("uploads"), file("uploads/a.bin", large.clone())];
    let settings = |format| place.settings(format, Compression::GZIP_DEFAULT, Some(key(3)));
    write(&place, "a.tar.gz.enc", settings(ArchiveFormat::Tar), &entries);
    write(
        &place,
        "a.enc",
        settings(ArchiveFormat::Json),
        &[file("database/database.json", r#"{"tables":{"t":[1,2]}}"#)],
    );

    let output = decrypt(interpreter, &script, &place.path("a.tar.gz.enc"), &at("a.tar.gz"), 3);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run("tar", &["-xzf", at("a.tar.gz").to_str().unwrap(), "-C", place.folder.path().to_str().unwrap()]);
    assert_eq!(std::fs::read(at("uploads/a.bin")).unwrap(), large);
    assert!(at("manifest.json").is_file());

    let output = decrypt(interpreter, &script, &place.path("a.enc"), &at("a.json.gz"), 3);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run("gunzip", &[at("a.json.gz").to_str().unwrap()]);
    assert_eq!(run("jq", &["-c", ".tables.t", at("a.json").to_str().unwrap()]), "[1,2]\n");
    assert_eq!(run("jq", &["-c", ".manifest.version", at("a.json").to_str().unwrap()]), "1\n");

    let mut flipped = std::fs::read(place.path("a.tar.gz.enc")).unwrap();
    flipped[1000] ^= 1;
    std::fs::write(at("flipped.enc"), flipped).unwrap();
    for (archive, key) in [(place.path("a.tar.gz.enc"), 4), (at("flipped.enc"), 3)] {
        let output = decrypt(interpreter, &script, &archive, &at("bad.tar.gz"), key);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("wrong key, or the file is damaged"));
        assert!(!at("bad.tar.gz").exists() && !at("bad.tar.gz.unverified").exists());
    }
}

#[test]
fn the_node_script_opens_archives() {
    opens_with("node", &script("js"), "mjs");
}

#[test]
fn the_python_script_opens_archives() {
    opens_with(&python(), &script("python"), "py");
}

#[test]
fn the_node_script_decompresses_where_the_name_asks_for_it() {
    let place = Place::new();
    let at = |name: &str| place.folder.path().join(name);
    std::fs::write(at("open.mjs"), script("js")).unwrap();
    let settings = place.settings(ArchiveFormat::Json, Compression::GZIP_DEFAULT, Some(key(3)));
    write(&place, "a.enc", settings, &[file("database/database.json", "{}")]);
    let output = decrypt("node", &at("open.mjs"), &place.path("a.enc"), &at("a.json"), 3);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run("jq", &["-c", ".manifest.format", at("a.json").to_str().unwrap()]), "\"strongroom-manifest\"\n");
}
