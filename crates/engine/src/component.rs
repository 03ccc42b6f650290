//! From a component's settings to its source and its target, and back from a manifest to its settings.

use crate::config::component::{
    ComponentConfig, ComponentSettings, ConfigFilesSettings, FilesSettings, LogsSettings, ServerDatabaseSettings, SqliteSettings,
    default_config_files, default_log_patterns,
};
use crate::manifest::{ComponentKind, Export, Format};
use crate::source::{self, Source};
use crate::target::{self, Place, Target};
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// The source of a component. A `json` archive takes a database's JSON export whatever its settings say.
pub fn source(component: &ComponentConfig, format: Format) -> Result<Box<dyn Source>> {
    let name = component.name.clone();
    let mut settings = component.settings.clone();
    if format == Format::Json {
        match &mut settings {
            ComponentSettings::Sqlite(settings) => settings.export = Some(Export::Json),
            ComponentSettings::Postgres(settings) | ComponentSettings::Mysql(settings) => {
                settings.export = Some(Export::Json);
            }
            _ => {}
        }
    }
    Ok(match settings {
        ComponentSettings::Files(settings) => Box::new(source::files::FilesSource::new(name, settings)?),
        ComponentSettings::Config(settings) => Box::new(source::config::ConfigSource::new(name, settings)?),
        ComponentSettings::Logs(settings) => Box::new(source::logs::LogsSource::new(name, settings)?),
        ComponentSettings::Sqlite(settings) => Box::new(source::sqlite::SqliteSource::new(name, settings)),
        ComponentSettings::Postgres(_) | ComponentSettings::Mysql(_) => return Err(not_yet()),
    })
}

/// The target of a component, at a place.
pub fn target(component: &ComponentConfig, place: Place) -> Result<Box<dyn Target>> {
    let name = component.name.clone();
    Ok(match component.settings.clone() {
        ComponentSettings::Files(settings) => Box::new(target::files::FilesTarget::new(name, settings, place)?),
        ComponentSettings::Config(settings) => Box::new(target::config::ConfigTarget::new(name, settings, place)?),
        ComponentSettings::Logs(settings) => Box::new(target::logs::LogsTarget::new(name, settings, place)?),
        ComponentSettings::Sqlite(settings) => Box::new(target::sqlite::SqliteTarget::new(name, settings, place)?),
        ComponentSettings::Postgres(_) | ComponentSettings::Mysql(_) => return Err(not_yet()),
    })
}

fn not_yet() -> Error {
    Error::new(ErrorKind::Unsupported, "this build knows no server databases", "Use a build that does.")
}

impl ComponentConfig {
    /// Name and path of a component that lies in the application's folder, the path relative to it: so that a restore on
    /// a new machine, where nothing can be found by looking, knows where it belongs.
    pub fn origin(&self, application: &Path) -> Option<(String, String)> {
        let path = match &self.settings {
            ComponentSettings::Files(settings) => &settings.path,
            ComponentSettings::Config(settings) => &settings.path,
            ComponentSettings::Logs(settings) => &settings.path,
            ComponentSettings::Sqlite(settings) => &settings.path,
            ComponentSettings::Postgres(_) | ComponentSettings::Mysql(_) => return None,
        };
        let relative = path.strip_prefix(application).ok()?.to_str()?;
        Some((self.name.clone(), relative.to_owned()))
    }

    /// Settings for a component that only a manifest knows: it goes back where it came from below `application`.
    pub fn from_origin(name: &str, kind: ComponentKind, origin: &str, application: &Path) -> Result<Self> {
        if !origin.is_empty() {
            vault::EntryPath::new(origin)?;
        }
        let path = if origin.is_empty() { application.to_owned() } else { application.join(origin) };
        let settings = match kind {
            ComponentKind::Files => ComponentSettings::Files(FilesSettings {
                path,
                include: Vec::new(),
                exclude: Vec::new(),
                one_file_system: false,
            }),
            ComponentKind::Config => {
                ComponentSettings::Config(ConfigFilesSettings { path, files: default_config_files() })
            }
            ComponentKind::Logs => ComponentSettings::Logs(LogsSettings { path, include: default_log_patterns() }),
            ComponentKind::Sqlite => {
                ComponentSettings::Sqlite(SqliteSettings { path, export: None, busy_timeout_ms: None })
            }
            ComponentKind::Postgres | ComponentKind::Mysql => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("the backup's component {name} is a database on a server, and no address for it is configured"),
                    "Set DATABASE_URL, or restore it elsewhere with --to and the address of a new database.",
                ));
            }
        };
        Ok(Self { name: name.to_owned(), settings })
    }

    /// For journals: without what is nobody's business.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut copy = self.clone();
        if let ComponentSettings::Postgres(settings) | ComponentSettings::Mysql(settings) = &mut copy.settings {
            settings.url = redact_url(&settings.url);
            settings.drill_url = settings.drill_url.as_deref().map(redact_url);
        }
        copy
    }

    /// Settings for a database component that only a manifest knows, at an address of the caller's.
    pub fn for_database(name: &str, kind: ComponentKind, url: &str) -> Result<Self> {
        let settings = ServerDatabaseSettings {
            url: url.to_owned(),
            export: None,
            connections: None,
            content_hash_bytes_max: None,
            drill_url: None,
            tools_folder: None,
        };
        let settings = match kind {
            ComponentKind::Postgres => ComponentSettings::Postgres(settings),
            ComponentKind::Mysql => ComponentSettings::Mysql(settings),
            other => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{name} is a {} component: it cannot be restored into a database", other.name()),
                    "Name the database's component with --component, or give a folder with --to.",
                ));
            }
        };
        Ok(Self { name: name.to_owned(), settings })
    }

    /// Settings that serve to restore elsewhere: only the kind and the name matter.
    pub fn elsewhere(name: &str, kind: ComponentKind, folder: &Path) -> Result<Self> {
        Self::from_origin(name, kind, name, folder)
    }
}

/// An address without its password.
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let authority = match authority.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{user}@{host}")
        }
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        Some((path, query)) => {
            let kept: Vec<_> = query.split('&').filter(|pair| !pair.to_ascii_lowercase().starts_with("password=")).collect();
            if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_survive_in_an_address() {
        for url in ["postgres://crm:s3cr3t@db/crm", "postgres://crm:s3@cr3t@db:5432/crm?sslmode=require", "mysql://crm@db/crm?password=s3cr3t&x=1"] {
            let shown = redact_url(url);
            assert!(!shown.contains("s3"), "{shown}");
            assert!(shown.contains("crm@db"), "{shown}");
        }
    }
}
