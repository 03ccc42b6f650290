//! From a component's settings to its source and its target.

use crate::Result;
use crate::config::component::{ComponentConfig, ComponentSettings};
use crate::source::{self, Source};
use crate::target::{self, Place, Target};

/// The source of a component.
pub fn source(component: &ComponentConfig) -> Result<Box<dyn Source>> {
    let name = component.name.clone();
    Ok(match component.settings.clone() {
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
