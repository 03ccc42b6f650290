//! From a component's settings to its source and its target, and back from a manifest to its settings.

use crate::config::component::{
    ComponentConfig, ComponentSettings, ConfigFilesSettings, FilesSettings, LogsSettings, ServerDatabaseSettings,
    SqliteSettings, default_config_files, default_log_patterns,
};
use crate::id::Id;
use crate::manifest::{ComponentKind, Export, Format};
use crate::source::{self, Source};
use crate::target::{self, Place, Target};
use crate::{Error, ErrorKind, Result, redact};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vault::error::IoContext;

/// A query that takes longer has failed.
const QUERY_TIMEOUT: Duration = Duration::from_mins(5);

/// What the binary found in its environment: the engine never looks there itself.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// For PostgreSQL: who we are, the password file, where the client programs are.
    pub postgres: source::postgres::ClientSettings,
}

/// The source of a component. A `json` archive takes a database's JSON export whatever its settings say.
pub fn source(component: &ComponentConfig, format: Format, surroundings: &Surroundings) -> Result<Box<dyn Source>> {
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
        ComponentSettings::Postgres(settings) => {
            let export = settings.export.unwrap_or(Export::Native);
            Box::new(source::postgres::PostgresSource::new(&name, &settings, surroundings.postgres.clone(), export))
        }
        ComponentSettings::Mysql(settings) => {
            Box::new(source::mysql::MysqlSource::new(&name, &settings, settings.export)?)
        }
    })
}

/// The target of a component, at a place.
pub fn target(component: &ComponentConfig, place: Place, surroundings: &Surroundings) -> Result<Box<dyn Target>> {
    let name = component.name.clone();
    Ok(match component.settings.clone() {
        ComponentSettings::Files(settings) => Box::new(target::files::target(name, settings, place)?),
        ComponentSettings::Config(settings) => Box::new(target::config::target(name, settings, place)?),
        ComponentSettings::Logs(settings) => Box::new(target::logs::target(name, settings, place)?),
        ComponentSettings::Sqlite(settings) => Box::new(target::sqlite::SqliteTarget::new(name, settings, place)?),
        ComponentSettings::Postgres(settings) => {
            Box::new(target::postgres::PostgresTarget::new(&name, &settings, surroundings.postgres.clone(), place))
        }
        ComponentSettings::Mysql(settings) => Box::new(target::mysql::MysqlTarget::new(&name, &settings, &place)?),
    })
}

/// The scratch database of a drill, for a component whose database lives on a server; `None` for one that is restored
/// into a folder.
pub fn drill_database(component: &ComponentConfig, id: &Id, surroundings: &Surroundings) -> Result<Option<Place>> {
    match &component.settings {
        ComponentSettings::Postgres(settings) => {
            target::postgres::drill_place(settings, id, &surroundings.postgres).map(Some)
        }
        ComponentSettings::Mysql(settings) => target::mysql::drill_place(settings, id).map(Some),
        _ => Ok(None),
    }
}

/// Removes scratch databases of drills that died.
pub fn sweep_drill_databases(component: &ComponentConfig, surroundings: &Surroundings) -> Result<()> {
    match &component.settings {
        ComponentSettings::Postgres(settings) => {
            let server = settings.drill_url.as_ref().unwrap_or(&settings.url);
            target::postgres::sweep_drills(server, &database_name(&settings.url), &surroundings.postgres).map(drop)
        }
        ComponentSettings::Mysql(settings) => target::mysql::sweep_drills(settings).map(drop),
        _ => Ok(()),
    }
}

/// The last part of an address's path.
fn database_name(url: &str) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    path.split('?').next().unwrap_or_default().to_owned()
}

/// Removes a drill's scratch database.
pub fn drop_drill_database(component: &ComponentConfig, url: &str, surroundings: &Surroundings) -> Result<()> {
    match &component.settings {
        ComponentSettings::Postgres(_) => target::postgres::drop_database(url, &surroundings.postgres),
        ComponentSettings::Mysql(_) => target::mysql::drop_database(url),
        _ => Ok(()),
    }
}

/// The first value of the first row that a query yields in a restored database, as text.
pub fn query(component: &ComponentConfig, place: &Place, sql: &str, surroundings: &Surroundings) -> Result<String> {
    match (&component.settings, place) {
        (ComponentSettings::Sqlite(_), Place::Folder { path }) => {
            source::sqlite::query(&only_file(path)?, sql, QUERY_TIMEOUT)
        }
        (ComponentSettings::Postgres(_), Place::Database { url }) => {
            target::postgres::query(url, sql, &surroundings.postgres)
        }
        (ComponentSettings::Mysql(_), Place::Database { url }) => target::mysql::query(url, sql),
        _ => Err(Error::new(
            ErrorKind::Config,
            format!("{} is no database: nothing can be asked of it", component.name),
            "Name a database component under [[assert]] or [[check]].",
        )),
    }
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let what = || format!("looking into {}", folder.display());
    let entries = std::fs::read_dir(folder).doing(what)?.collect::<std::io::Result<Vec<_>>>().doing(what)?;
    entries.first().map(std::fs::DirEntry::path).ok_or_else(|| Error::internal("a restored database has no file"))
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
                    format!(
                        "the backup's component {name} is a database on a server, and no address for it is configured"
                    ),
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
            settings.url = redact::address_without_password(&settings.url);
            settings.drill_url = settings.drill_url.as_deref().map(redact::address_without_password);
        }
        copy
    }

    /// Settings for a database component that only a manifest knows, at an address of the caller's.
    pub fn for_database(name: &str, kind: ComponentKind, url: &str) -> Result<Self> {
        let settings = ServerDatabaseSettings { url: url.to_owned(), ..ServerDatabaseSettings::default() };
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
