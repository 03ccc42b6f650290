//! Configuration files.

use super::double::{live, put, read, target_context, write};
use engine::ErrorKind;
use engine::config::component::{ConfigFilesSettings, default_config_files};
use engine::manifest::State;
use engine::source::config::ConfigSource;
use engine::target::{Place, Target};
use vault::Silent;

#[test]
fn listed_files_are_taken_and_missing_ones_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["package.json", "prisma/schema.prisma", ".env", ".env.example", "other.json"] {
        write(&folder.path().join(file), file);
    }
    let settings = ConfigFilesSettings { path: folder.path().to_owned(), files: default_config_files() };
    let (memory, manifest) = read(&mut ConfigSource::new("config", settings.clone()).unwrap());
    let names: Vec<_> = memory.entries.iter().map(|(entry, _)| entry.path.to_string()).collect();
    assert_eq!(names, [".env.example", "package.json", "prisma/schema.prisma"]);
    assert_eq!((manifest.state, manifest.warnings.len()), (State::Succeeded, 0));
    let place = Place::Folder { path: folder.path().join("elsewhere") };
    put(&mut engine::target::config::target("config", settings, place).unwrap(), &memory, &manifest);
    let text = std::fs::read_to_string(folder.path().join("elsewhere/prisma/schema.prisma")).unwrap();
    assert_eq!(text, "prisma/schema.prisma");
}

#[test]
fn none_of_them_there_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ConfigFilesSettings { path: folder.path().to_owned(), files: default_config_files() };
    let (_, manifest) = read(&mut ConfigSource::new("config", settings).unwrap());
    assert_eq!((manifest.state, manifest.warnings.len()), (State::Partial, 1));
}

#[test]
fn secrets_and_paths_out_of_the_folder_are_refused() {
    for bad in [".env", ".env.local", "config/.env", "../x", "/etc/passwd", ""] {
        let settings = ConfigFilesSettings { path: "/nowhere".into(), files: vec![bad.to_owned()] };
        let error = ConfigSource::new("config", settings).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
    }
}

#[test]
fn undoing_brings_back_exactly_the_files_that_were_there() {
    let folder = tempfile::tempdir().unwrap();
    let (app, state) = (folder.path().join("app"), folder.path().join("state"));
    std::fs::create_dir(&state).unwrap();
    write(&app.join("package.json"), "1");
    write(&app.join("prisma/schema.prisma"), "1");
    let settings = ConfigFilesSettings { path: app.clone(), files: default_config_files() };
    let (memory, manifest) = read(&mut ConfigSource::new("config", settings.clone()).unwrap());
    std::fs::remove_dir_all(app.join("prisma")).unwrap();
    write(&app.join("package.json"), "2");
    write(&app.join("package-lock.json"), "2");
    write(&app.join(".env"), "2");
    let mut target = engine::target::config::target("config", settings, live(&state)).unwrap();
    put(&mut target, &memory, &manifest);
    let text = |file: &str| std::fs::read_to_string(app.join(file)).ok();
    let all = || {
        ["package.json", "package-lock.json", "prisma/schema.prisma", ".env"].map(|file| text(file).unwrap_or_default())
    };
    target.swap(&target_context(&Silent)).unwrap();
    assert_eq!(all(), ["1", "", "1", "2"]);
    target.swap_back(&target_context(&Silent)).unwrap();
    assert_eq!(all(), ["2", "2", "", "2"]);
    assert!(!app.join("prisma").exists());
    target.swap(&target_context(&Silent)).unwrap();
    assert_eq!(all(), ["1", "", "1", "2"]);
}
