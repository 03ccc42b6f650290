//! Folders, permissions, space, and whether what is to be backed up can be read.

use super::Check;
use crate::catalog::Catalog;
use crate::config::{ComponentConfig, ComponentSettings, Config};
use crate::source::sqlite::turn;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const GIBIBYTE: f64 = 1_073_741_824.0;
/// Temporary files above this age belong to nobody.
const LITTER_AGE: Duration = Duration::from_hours(24);

pub(super) fn checks(config: &Config, catalog: Option<&Catalog>) -> Vec<Check> {
    let mut checks =
        vec![folder_check("backup folder", &config.backup_dir), folder_check("log folder", &config.log.folder)];
    checks.extend(env_file(config));
    checks.extend(space(config, catalog));
    checks.extend(same_disk(config));
    checks.extend(litter(config));
    if config.components.is_empty() {
        let remedy =
            "Run it in the application's folder, or name the components in strongroom.toml (`strongroom init`).";
        checks.push(Check::fail(
            "components",
            format!("nothing to back up was found in {}", config.folder.display()),
            remedy,
        ));
    }
    checks.extend(config.components.iter().map(component));
    checks
}

/// Whether files can be made in it; one that does not exist yet counts by the folder above that does.
fn folder_check(name: &str, folder: &Path) -> Check {
    let existing = nearest_existing(folder);
    let remedy =
        format!("Give the user that runs strongroom the right to write there: `chown` {}.", existing.display());
    if let Err(cause) = tempfile::Builder::new().prefix(".strongroom-doctor-").tempfile_in(&existing) {
        let message = format!("{} cannot be written: {cause}", existing.display());
        return Check::fail(name, message, remedy);
    }
    if existing != folder {
        return Check::ok(name, format!("{} will be made", folder.display()));
    }
    match fs::metadata(folder) {
        Ok(metadata) if name == "backup folder" && metadata.mode() & 0o077 != 0 => Check::warn(
            name,
            format!("{} can be entered by others (mode {:o})", folder.display(), metadata.mode() & 0o777),
            format!("chmod 700 {}", folder.display()),
        ),
        Ok(_) => Check::ok(name, format!("{} can be written", folder.display())),
        Err(cause) => Check::fail(name, format!("{} cannot be looked at: {cause}", folder.display()), remedy),
    }
}

fn nearest_existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// The key lies in `.env`: nobody else should read it.
fn env_file(config: &Config) -> Option<Check> {
    let path = config.folder.join(".env");
    let metadata = fs::metadata(&path).ok()?;
    let has_key = config.values.iter().any(|value| value.key == "encryption_key" && value.origin.contains(".env"));
    let others_bits = metadata.permissions().mode() & 0o077;
    if others_bits == 0 || !has_key {
        return Some(Check::ok(".env", "only its owner can read it, or no key is in it"));
    }
    let message = format!("others can read the key in {} (mode {:o})", path.display(), metadata.mode() & 0o777);
    Some(Check::warn(".env", message, format!("chmod 600 {}, keeping its owner", path.display())))
}

/// Free space against the last backup's size and the alarm's share.
fn space(config: &Config, catalog: Option<&Catalog>) -> Option<Check> {
    let name = "space";
    let stat = rustix::fs::statvfs(nearest_existing(&config.backup_dir)).ok()?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let percent = stat.f_bavail.saturating_mul(100) / stat.f_blocks.max(1);
    let free = format!("{:.1} GiB ({percent} %) are free on the backup disk", free_bytes as f64 / GIBIBYTE);
    let remedy = "Free some space, keep fewer backups (`[retention]`), or point BACKUP_DIR at a larger disk.";
    let last = catalog.and_then(|catalog| catalog.backup_latest(None).ok().flatten()).and_then(|record| record.bytes);
    // A restore needs room for the backup before it and for the data beside the live one.
    if let Some(last) = last.filter(|last| free_bytes < last.saturating_mul(2)) {
        let needed =
            format!("{free}; the last backup took {:.1} GiB, and two of that size should fit", last as f64 / GIBIBYTE);
        let fits = free_bytes >= last;
        return Some(if fits { Check::warn(name, needed, remedy) } else { Check::fail(name, needed, remedy) });
    }
    if percent < u64::from(config.notify.low_disk_percent) {
        return Some(Check::warn(name, free, remedy));
    }
    Some(Check::ok(name, free))
}

/// A disk that dies takes backups on it along.
fn same_disk(config: &Config) -> Option<Check> {
    let device = |path: &Path| fs::metadata(nearest_existing(path)).map(|metadata| metadata.dev()).ok();
    let backups = device(&config.backup_dir)?;
    let beside: Vec<&str> = config
        .components
        .iter()
        .filter(|component| path_of(component).is_some_and(|path| device(path) == Some(backups)))
        .map(|component| component.name.as_str())
        .collect();
    if beside.is_empty() {
        return Some(Check::ok("disk", "backups lie on another disk than the data"));
    }
    Some(Check::warn(
        "disk",
        format!("backups lie on the same disk as {}: when it dies, both are gone", beside.join(", ")),
        "Point BACKUP_DIR at another disk, or copy the backup folder to another machine regularly.",
    ))
}

fn litter(config: &Config) -> Option<Check> {
    let folder = config.backup_dir.join("temp");
    let old = fs::read_dir(&folder)
        .ok()?
        .filter_map(std::result::Result::ok)
        .filter(|entry| {
            entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|e| e > LITTER_AGE))
        })
        .count();
    if old == 0 {
        return Some(Check::ok("temporary files", "none are left over"));
    }
    let message = format!("{old} in {} are older than a day", folder.display());
    Some(Check::warn(
        "temporary files",
        message,
        "`strongroom cleanup` removes those that belong to no running process.",
    ))
}

const fn path_of(component: &ComponentConfig) -> Option<&PathBuf> {
    match &component.settings {
        ComponentSettings::Files(files) => Some(&files.path),
        ComponentSettings::Config(files) => Some(&files.path),
        ComponentSettings::Logs(logs) => Some(&logs.path),
        ComponentSettings::Sqlite(sqlite) => Some(&sqlite.path),
        ComponentSettings::Postgres(_) | ComponentSettings::Mysql(_) => None,
    }
}

fn component(component: &ComponentConfig) -> Check {
    let name = format!("component {}", component.name);
    let result = match &component.settings {
        ComponentSettings::Sqlite(sqlite) => sqlite_header(&sqlite.path),
        settings => match path_of(component) {
            Some(path) => fs::read_dir(path).map(|_| format!("{} can be read", path.display())),
            None => Ok(format!(
                "a {} server, checked by asking it",
                if matches!(settings, ComponentSettings::Mysql(_)) { "MySQL or MariaDB" } else { "PostgreSQL" }
            )),
        },
    };
    match result {
        Ok(message) => Check::ok(name, message),
        Err(cause) => {
            let place = path_of(component).map(|path| path.display().to_string()).unwrap_or_default();
            let remedy =
                "Check the path, who owns it and its permissions; correct it in strongroom.toml or DATABASE_URL.";
            Check::fail(name, format!("{place} cannot be read: {cause}"), remedy)
        }
    }
}

/// From outside: opening it as a database could make `-wal` and `-shm` files beside it. An empty file is an empty database.
fn sqlite_header(path: &Path) -> io::Result<String> {
    let _turn = turn::take(path);
    let mut header = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut header)?;
    if !header.is_empty() && header != b"SQLite format 3\0" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no SQLite database"));
    }
    Ok(format!("{} is a SQLite database and can be read", path.display()))
}
