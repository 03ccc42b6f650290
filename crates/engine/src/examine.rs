//! What `doctor` adds for database servers: it asks them.

use crate::catalog::Catalog;
use crate::component::Surroundings;
use crate::config::{ComponentSettings, Config};
use crate::doctor::{self, Check, Probe};
use crate::source;
use jiff::Timestamp;

/// Every check, those of database servers included.
pub fn examine(config: &Config, catalog: Option<&Catalog>, surroundings: &Surroundings, now: Timestamp) -> Vec<Check> {
    doctor::checks(config, catalog, now, &[&Databases { surroundings }])
}

struct Databases<'a> {
    surroundings: &'a Surroundings,
}

impl Probe for Databases<'_> {
    fn check(&self, config: &Config) -> Vec<Check> {
        config.components.iter().filter_map(|component| self.one(&component.name, &component.settings)).collect()
    }
}

impl Databases<'_> {
    fn one(&self, name: &str, settings: &ComponentSettings) -> Option<Check> {
        let title = format!("rights in {name}");
        let missing = match settings {
            ComponentSettings::Postgres(settings) => {
                source::postgres::check_privileges(settings, &self.surroundings.postgres)
            }
            ComponentSettings::Mysql(settings) => source::mysql::check_rights(settings).map(|report| report.needed),
            _ => return None,
        };
        Some(match missing {
            Err(error) => Check::from_error(title, &error),
            Ok(missing) if missing.is_empty() => Check::ok(title, "the server answers, and everything may be read"),
            Ok(missing) => {
                Check::fail(title, "not everything may be read", format!("Run on the server: {}", missing.join(" ")))
            }
        })
    }
}
