//! The documents say what is so: exit codes, commands, links and paths in them are those of the program and of this tree.

#[path = "../../src/exit.rs"]
mod exit;

use crate::support::App;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vault::ErrorKind;

/// Every kind; the match makes a forgotten one an error of the compiler.
macro_rules! kinds {
    ($($kind:ident)*) => {
        const KINDS: &[ErrorKind] = &[$(ErrorKind::$kind),*];
        const fn _all_are_listed(kind: ErrorKind) {
            match kind { $(ErrorKind::$kind => {})* }
        }
    };
}

kinds! {
    Usage Config NoKey NotFound Locked Busy WrongKey WrongKeyOrDamaged Truncated Damaged NotABackup UnsafeEntry TooLarge
    Mismatch Unsupported NoSpace PermissionDenied Refused Database External Forbidden Cancelled Io Internal
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Every file that git has or would take, relative to the root: what was built, installed or left behind is there on one
/// machine only, and a document that names it is wrong on all others.
fn files() -> BTreeSet<PathBuf> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listing = std::process::Command::new("git").arg("-C").arg(root()).args(listed).output().unwrap();
    assert!(listing.status.success(), "git: {}", String::from_utf8_lossy(&listing.stderr));
    let names = listing.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(std::str::from_utf8(name).unwrap()));
    paths.filter(|path| root().join(path).exists()).collect()
}

/// Every Markdown document with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let documents = files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.map(|path| (path.clone(), std::fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// What stands between single backticks, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_page_of_exit_codes_says_what_both_tables_say() {
    let page = read("docs/exit-codes.md");
    for kind in KINDS {
        let (code, status) = (kind.code(), server::answer::status_of(*kind).as_u16());
        let row = format!("| `{code}` | {} | {status} |", exit::code(*kind));
        assert!(page.contains(&row), "docs/exit-codes.md lacks the row {row}");
    }
    let codes: BTreeSet<u8> = KINDS.iter().map(|kind| exit::code(*kind)).chain([exit::DONE, exit::PARTIAL]).collect();
    let listed = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")?.0.parse().ok());
    assert_eq!(listed.collect::<BTreeSet<u8>>(), codes);
}

#[test]
fn every_command_is_shown_to_people() {
    let help = App::empty().run(&["--help"]).stdout;
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let told = read("README.md") + &read("docs/operator-guide.md");
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.contains(&"backup"), "{help}");
    for name in names {
        // The cargo command of the README shows `demo`.
        let shown = told.contains(&format!("strongroom {name}")) || told.contains(&format!("-- {name}"));
        assert!(shown, "neither README.md nor docs/operator-guide.md shows `strongroom {name}`");
    }
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut links = 0;
    for (document, text) in documents() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let leads_to = root().join(&document).parent().unwrap().join(path);
            assert!(leads_to.exists(), "{}: the link to {target} leads nowhere", document.display());
        }
    }
    assert!(links > 10, "only {links} links were found");
}

/// Folders of the tree whose paths are recognised in prose.
const FOLDERS: [&str; 8] = ["crates/", "docs/", "bench/", "fuzz/", "scripts/", "testdata/", "web/", "clients/"];

#[test]
fn no_document_names_a_file_that_does_not_exist() {
    let files = files();
    let mut named = 0;
    for (document, text) in documents() {
        for name in quoted(&text).into_iter().filter(|name| !name.contains(['*', '<', ' ', '…', '{'])) {
            let exists = if FOLDERS.iter().any(|folder| name.starts_with(folder)) {
                files.iter().any(|file| file.starts_with(name))
            } else if Path::new(name).extension().is_some_and(|extension| extension == "rs") {
                files.iter().any(|file| file.ends_with(name))
            } else {
                continue;
            };
            named += 1;
            assert!(exists, "{} names {name}, which does not exist", document.display());
        }
    }
    assert!(named > 20, "only {named} paths were found");
}

#[test]
fn the_index_lists_every_document() {
    let index = read("docs/index.md");
    for (document, _) in documents().iter().filter(|(path, _)| path.parent() == Some(Path::new("docs"))) {
        let name = document.file_name().unwrap().to_str().unwrap();
        assert!(name == "index.md" || index.contains(&format!("]({name})")), "docs/index.md lacks {name}");
    }
}
