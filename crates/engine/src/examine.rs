//! What `doctor` adds for database and mail servers: it asks them.

use crate::catalog::Catalog;
use crate::component::Surroundings;
use crate::config::{ComponentSettings, Config};
use crate::doctor::{self, Check, Probe};
use crate::{notify, source};
use jiff::Timestamp;

/// Every check, those of database and mail servers included.
pub fn examine(config: &Config, catalog: Option<&Catalog>, surroundings: &Surroundings, now: Timestamp) -> Vec<Check> {
    doctor::checks(config, catalog, now, &[&Databases { surroundings }, &Mail])
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
                    .map(|needed| (needed, Vec::new()))
            }
            ComponentSettings::Mysql(settings) => {
                source::mysql::check_rights(settings).map(|report| (report.needed, report.advised))
            }
            _ => return None,
        };
        let run = |grants: &[String]| format!("Run on the server: {}", grants.join(" "));
        Some(match missing {
            Err(error) => Check::from_error(title, &error),
            Ok((needed, _)) if !needed.is_empty() => Check::fail(title, "not everything may be read", run(&needed)),
            Ok((_, advised)) if !advised.is_empty() => Check::warn(
                title,
                "everything may be read, but by one connection alone, and not all of it of one instant",
                run(&advised),
            ),
            Ok(_) => Check::ok(title, "the server answers, and everything may be read"),
        })
    }
}

struct Mail;

impl Probe for Mail {
    fn check(&self, config: &Config) -> Vec<Check> {
        let (name, smtp) = ("mail server", &config.notify.smtp);
        if !config.notify.email_enabled || smtp.host.is_none() {
            return Vec::new();
        }
        vec![match notify::probe_mail(smtp) {
            Ok(()) => Check::ok(name, "it answers, and signing in works"),
            Err(error) => Check::from_error(name, &error),
        }]
    }
}
