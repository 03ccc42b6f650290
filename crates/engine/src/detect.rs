//! Finds an application's components by looking into its folder, for those who have written no configuration.
//!
//! What is found is a guess that is shown before it is used, never a silent one: wherever two answers are possible, that is
//! an error that names both. The environment comes in as a function, because libraries never read it.

use crate::config::Found;
use crate::config::component::{
    ComponentConfig, ComponentSettings, ConfigFilesSettings, FilesSettings, LogsSettings, ServerDatabaseSettings,
    SqliteSettings, default_config_files, default_log_patterns,
};
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use vault::error::IoContext;

/// Looks into an application's folder. `env` answers for the application's environment, `.env` included.
///
/// Fails with [`ErrorKind::Config`] where `DATABASE_URL` is of no known kind, or a path in it fits two files.
pub fn detect(folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Found> {
    let folder = std::fs::canonicalize(folder).doing(|| format!("looking into {}", folder.display()))?;
    let mut detected = Found::default();
    match env("DATABASE_URL").filter(|url| !url.trim().is_empty()) {
        Some(url) => detected.add("database", database(&folder, url.trim())?),
        None => detected.database_without_address(&folder)?,
    }
    for (name, path) in [("uploads", "uploads"), ("public-uploads", "public/uploads")] {
        let path = folder.join(path);
        if path.is_dir() {
            let name = if detected.has("uploads") { name } else { "uploads" };
            let settings = FilesSettings { path, include: vec![], exclude: vec![], one_file_system: false };
            detected.add(name, ComponentSettings::Files(settings));
        }
    }
    if ["package.json", "prisma/schema.prisma"].iter().any(|file| folder.join(file).is_file()) {
        let settings = ConfigFilesSettings { path: folder.clone(), files: default_config_files() };
        detected.add("config", ComponentSettings::Config(settings));
    }
    let logs = folder.join("logs");
    if logs.is_dir() {
        detected.add("logs", ComponentSettings::Logs(LogsSettings { path: logs, include: default_log_patterns() }));
    }
    if detected.components.is_empty() {
        detected.notes.push(format!(
            "nothing to back up was found in {}: no DATABASE_URL, no prisma/, uploads/, logs/ or package.json",
            folder.display()
        ));
    }
    Ok(detected)
}

impl Found {
    fn add(&mut self, name: &str, settings: ComponentSettings) {
        self.components.push(ComponentConfig { name: name.to_owned(), settings });
    }

    fn has(&self, name: &str) -> bool {
        self.components.iter().any(|component| component.name == name)
    }

    /// Without `DATABASE_URL`: the one database file in `prisma/`, if it is the only one.
    fn database_without_address(&mut self, folder: &Path) -> Result<()> {
        let found = database_files(&folder.join("prisma"))?;
        match found.as_slice() {
            [] => {}
            [path] => {
                self.notes.push(format!("DATABASE_URL is not set; {} is the only database found", path.display()));
                self.add("database", sqlite(path.clone()));
            }
            several => {
                let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                self.notes.push(format!(
                    "DATABASE_URL is not set and there are several databases ({}): none is backed up until DATABASE_URL or \
                     strongroom.toml says which",
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }
}

fn sqlite(path: PathBuf) -> ComponentSettings {
    ComponentSettings::Sqlite(SqliteSettings { path, export: None, busy_timeout_ms: None })
}

fn database_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("looking into {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other.doing(doing)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if matches!(extension, "db" | "sqlite" | "sqlite3") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The database that an address names. The address is never part of a message: it may hold a password.
fn database(folder: &Path, url: &str) -> Result<ComponentSettings> {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let server = || ServerDatabaseSettings { url: url.to_owned(), ..ServerDatabaseSettings::default() };
    match scheme.to_ascii_lowercase().as_str() {
        "file" | "sqlite" | "sqlite3" => sqlite_file(folder, rest).map(sqlite),
        "postgres" | "postgresql" => Ok(ComponentSettings::Postgres(server())),
        "mysql" | "mariadb" => Ok(ComponentSettings::Mysql(server())),
        _ => Err(Error::new(
            ErrorKind::Config,
            "DATABASE_URL is the address of no database that can be backed up",
            "It must begin with file:, sqlite:, postgresql://, mysql:// or mariadb://.",
        )),
    }
}

/// The file that a SQLite address names: `./dev.db`, `dev.db?connection_limit=1`, `///srv/app.db`, `//dev.db`.
fn sqlite_file(folder: &Path, address: &str) -> Result<PathBuf> {
    let path = percent_decoded(address.split(['?', '#']).next().unwrap_or(address));
    // `sqlite:///srv/app.db` is absolute, `sqlite://dev.db` and `file:dev.db` are relative.
    let path = path.strip_prefix("//").unwrap_or(&path);
    if path.is_empty() || path == ":memory:" || path == "/" {
        return Err(Error::new(
            ErrorKind::Config,
            "DATABASE_URL names no database file",
            "Write it as `file:./dev.db` or `file:/srv/app/data.db`.",
        ));
    }
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let [by_schema, by_folder] = [folder.join("prisma").join(path), folder.join(path)].map(|path| tidy(&path));
    match (by_schema.is_file(), by_folder.is_file()) {
        (true, true) if !is_same_file(&by_schema, &by_folder) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "DATABASE_URL fits two files, {} and {}: Prisma means the first, most other programs the second",
                by_schema.display(),
                by_folder.display()
            ),
            "Write an absolute path in DATABASE_URL or strongroom.toml, or remove the file that is not in use.",
        )),
        (true, _) => Ok(by_schema),
        // Neither is there yet: what the schema's presence makes more likely; reading it will say that it is missing.
        (false, false) if folder.join("prisma/schema.prisma").is_file() => Ok(by_schema),
        (false, _) => Ok(by_folder),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((std::fs::canonicalize(one), std::fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Without `.` parts; `..` stays, because a symbolic link may stand before it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Decodes `%20` and the like; what is no such escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = escape
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(folder: &Path, url: Option<&str>) -> Result<Found> {
        detect(folder, &|name| (name == "DATABASE_URL").then(|| url.map(str::to_owned)).flatten())
    }

    fn database_path(folder: &Path, url: &str) -> PathBuf {
        let detected = found(folder, Some(url)).unwrap();
        let ComponentSettings::Sqlite(settings) = &detected.components[0].settings else { panic!("{detected:?}") };
        let root = std::fs::canonicalize(folder).unwrap();
        settings.path.strip_prefix(root).map_or_else(|_| settings.path.clone(), Path::to_owned)
    }

    #[test]
    fn a_whole_application_is_found() {
        let folder = app(&["package.json", "prisma/dev.db", "prisma/schema.prisma", "uploads/x", "logs/app.log"]);
        let detected = found(folder.path(), Some("file:./dev.db?connection_limit=1")).unwrap();
        let names: Vec<_> = detected.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["database", "uploads", "config", "logs"]);
        assert_eq!(detected.notes, Vec::<String>::new());
    }

    #[test]
    fn a_relative_path_is_tried_beside_the_schema_and_beside_env() {
        let folder = app(&["prisma/dev.db", "data/live.db", "prisma/with blank.db"]);
        for (url, path) in [
            ("file:./dev.db", "prisma/dev.db"),
            ("file:dev.db", "prisma/dev.db"),
            ("sqlite://dev.db", "prisma/dev.db"),
            ("sqlite:prisma/dev.db", "prisma/dev.db"),
            ("file:./data/live.db", "data/live.db"),
            ("file:../data/live.db", "prisma/../data/live.db"),
            ("file:with%20blank.db", "prisma/with blank.db"),
            ("sqlite:///srv/app.db", "/srv/app.db"),
            ("file:/srv/app.db", "/srv/app.db"),
            ("file:missing.db", "missing.db"),
        ] {
            assert_eq!(database_path(folder.path(), url), Path::new(path), "{url}");
        }
    }

    #[test]
    fn a_path_that_fits_two_files_is_refused_and_both_are_named() {
        let folder = app(&["dev.db", "prisma/dev.db"]);
        let error = found(folder.path(), Some("file:./dev.db")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("prisma/dev.db") && error.message().contains("/dev.db and"), "{error}");
        std::fs::remove_file(folder.path().join("dev.db")).unwrap();
        std::os::unix::fs::symlink("prisma/dev.db", folder.path().join("dev.db")).unwrap();
        assert!(found(folder.path(), Some("file:./dev.db")).is_ok(), "two names of one file are one");
    }

    #[test]
    fn servers_are_told_by_their_scheme_and_passwords_never_told() {
        let folder = app(&[]);
        for (url, kind) in [
            ("postgres://u:secret@h/d", "Postgres"),
            ("postgresql://u:secret@h/d?schema=public", "Postgres"),
            ("mysql://u:secret@h/d", "Mysql"),
            ("mariadb://u:secret@h/d", "Mysql"),
        ] {
            let detected = found(folder.path(), Some(url)).unwrap();
            assert!(format!("{:?}", detected.components[0].settings).starts_with(kind), "{url}");
        }
        let error = found(folder.path(), Some("mongodb://u:secret@h/d")).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert_eq!(found(folder.path(), Some("file::memory:")).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn without_an_address_a_single_database_counts_and_several_are_named() {
        let folder = app(&["prisma/dev.db", "prisma/dev.db-wal"]);
        assert_eq!(found(folder.path(), None).unwrap().components[0].name, "database");
        std::fs::write(folder.path().join("prisma/test.sqlite"), "x").unwrap();
        let detected = found(folder.path(), None).unwrap();
        assert!(detected.components.is_empty() && detected.notes[0].contains("test.sqlite"), "{detected:?}");
        assert!(found(app(&[]).path(), None).unwrap().notes[0].contains("nothing to back up"));
    }

    #[test]
    fn both_upload_folders_are_found_under_names_of_their_own() {
        let names = |files: &[&str]| -> Vec<String> {
            let folder = app(files);
            found(folder.path(), None).unwrap().components.into_iter().map(|component| component.name).collect()
        };
        assert_eq!(names(&["public/uploads/x"]), ["uploads"]);
        assert_eq!(names(&["public/uploads/x", "uploads/x"]), ["uploads", "public-uploads"]);
    }
}
