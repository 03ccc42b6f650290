//! From a component's settings to its source and its target, and back from a manifest to its settings.

use crate::config::component::{
    ComponentConfig, ComponentSettings, ConfigFilesSettings, FilesSettings, LogsSettings, SqliteSettings,
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
        ComponentSettings::Sqlite(settings) => Box::new(source::sqlite::SqliteSource::new(name, settings)?),
        ComponentSettings::Postgres(settings) => Box::new(source::postgres::PostgresSource::new(name, settings)?),
        ComponentSettings::Mysql(settings) => Box::new(source::mysql::MysqlSource::new(name, settings)?),
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
        ComponentSettings::Postgres(settings) => Box::new(target::postgres::PostgresTarget::new(name, settings, place)?),
        ComponentSettings::Mysql(settings) => Box::new(target::mysql::MysqlTarget::new(name, settings, place)?),
    })
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

    /// Settings that serve to restore elsewhere: only the kind and the name matter.
    pub fn elsewhere(name: &str, kind: ComponentKind, folder: &Path) -> Result<Self> {
        Self::from_origin(name, kind, name, folder)
    }
}
