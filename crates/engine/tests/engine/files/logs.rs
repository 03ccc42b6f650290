//! Log files.

use super::double::{Memory, look, put, read, source_context, write};
use engine::config::component::{LogsSettings, default_log_patterns};
use engine::manifest::State;
use engine::source::Source;
use engine::source::logs::LogsSource;
use engine::target::Place;
use flate2::read::GzDecoder;
use std::io::{Read, Write};
use std::path::Path;
use vault::Silent;

fn settings(path: &Path) -> LogsSettings {
    LogsSettings { path: path.to_owned(), include: default_log_patterns() }
}

fn sample(folder: &Path) {
    for file in ["app.log", "app.log.1", "http/access.log", "notes.txt", "twice.log", "x/notes.txt", "empty.log"] {
        write(&folder.join(file), &file.repeat(if file == "empty.log" { 0 } else { 20_000 }));
    }
    for file in ["app.log.2.gz", "twice.log.gz"] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"rotated by the application").unwrap();
        std::fs::write(folder.join(file), gzip.finish().unwrap()).unwrap();
    }
    std::fs::hard_link(folder.join("app.log"), folder.join("current.log")).unwrap();
}

#[test]
fn in_an_archive_each_log_is_a_gzip_file_and_comes_back_plain() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    sample(&logs);
    let (memory, manifest) = read(&mut LogsSource::new("logs", settings(&logs)).unwrap());
    assert_eq!(manifest.warnings, Vec::<String>::new());
    let names: Vec<_> = memory.entries.iter().map(|(entry, _)| entry.path.to_string()).collect();
    let expected = [
        "app.log.gz",
        "app.log.1.gz",
        "app.log.2.gz",
        "current.log.gz",
        "empty.log.gz",
        "http",
        "http/access.log.gz",
        "twice.log",
        "twice.log.gz",
    ];
    assert_eq!(names, expected);
    let mut plain = String::new();
    GzDecoder::new(memory.entries[0].1.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, "app.log".repeat(20_000));

    let to = folder.path().join("to");
    let place = Place::Folder { path: to.clone() };
    put(&mut engine::target::logs::target("logs", settings(&logs), place).unwrap(), &memory, &manifest);
    let mut expected = look(&logs);
    expected.retain(|path, _| !path.ends_with("notes.txt") && path.as_path() != Path::new("x"));
    let links = |seen: std::collections::BTreeMap<_, String>| -> Vec<_> {
        seen.into_iter().map(|(path, text)| (path, text.replace(") 2 ", ") 1 "))).collect()
    };
    assert_eq!(links(look(&to)), links(expected));
}

#[test]
fn in_a_repository_logs_stay_plain_and_come_to_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    sample(&logs);
    let (_, in_archive) = read(&mut LogsSource::new("logs", settings(&logs)).unwrap());
    let mut memory = Memory::default();
    let context = engine::source::Context { deduplicating: true, ..source_context(&Silent, folder.path()) };
    let manifest = LogsSource::new("logs", settings(&logs)).unwrap().read(&context, &mut memory).unwrap();
    assert_eq!(manifest, in_archive);
    assert!(memory.entries.iter().any(|(entry, _)| entry.path.as_bytes() == b"app.log"));
    let place = Place::Folder { path: folder.path().join("to") };
    put(&mut engine::target::logs::target("logs", settings(&logs), place).unwrap(), &memory, &manifest);
}

#[test]
fn a_log_that_grows_while_it_is_read_is_no_warning_and_one_that_shrinks_is() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    for (length, state) in [(100_000, State::Succeeded), (1, State::Partial)] {
        std::fs::write(&log, vec![b'x'; 50_000]).unwrap();
        let changed = log.clone();
        let act = move |_: &vault::Entry| {
            std::fs::File::options().write(true).open(&changed).unwrap().set_len(length).unwrap();
        };
        let mut memory = Memory { while_reading: Some(Box::new(act)), ..Memory::default() };
        let context = engine::source::Context { deduplicating: true, ..source_context(&Silent, folder.path()) };
        let manifest = LogsSource::new("logs", settings(folder.path())).unwrap().read(&context, &mut memory).unwrap();
        assert_eq!(manifest.state, state, "{:?}", manifest.warnings);
        assert_eq!(memory.entries[0].1.len(), 50_000);
    }
}
