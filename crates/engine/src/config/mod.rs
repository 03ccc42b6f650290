//! Settings, from wherever they come: defaults < `strongroom.toml` < `.env` < environment < command line.
//!
//! Pure: the files' texts and the environment come in as values ([`ConfigInputs`]), a checked and typed [`Config`] goes
//! out, in which every value knows its origin. Relative paths are resolved against the configuration's folder.

mod cidr;
pub mod component;
mod dotenv;
mod encryption;
mod layers;
mod resolve;
pub mod settings;
mod show;
mod template;
mod variables;

pub use cidr::Cidr;
pub use component::{ComponentConfig, ComponentSettings};
pub use dotenv::parse as parse_dotenv;
pub use encryption::EncryptionPolicy;
pub use layers::Origin;
pub use settings::*;
pub use show::Value;
pub use template::render as render_template;
pub use variables::{VARIABLES, Variable};

use crate::manifest::{Format, Tier};
use crate::schedule::Schedule;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Name of the plan that exists when none is written down.
pub const DEFAULT_PLAN: &str = "default";
/// Name of the configuration file.
pub const CONFIG_FILE: &str = "strongroom.toml";

/// What the binary read. Nothing here is looked up again.
#[derive(Debug, Clone, Default)]
pub struct ConfigInputs {
    /// The application's folder, absolute.
    pub folder: PathBuf,
    /// `strongroom.toml`, path and text.
    pub toml: Option<(PathBuf, String)>,
    /// `.env`, path and text.
    pub dotenv: Option<(PathBuf, String)>,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// From the command line: dotted key and value, for instance `("server.listen", "0.0.0.0:80")`.
    pub overrides: Vec<(String, String)>,
}

/// What looking at the folder found; see [`detect`](crate::detect).
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The components.
    pub components: Vec<ComponentConfig>,
    /// What was decided while looking, for people.
    pub notes: Vec<String>,
}

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The application's folder, absolute.
    pub folder: PathBuf,
    /// `strongroom.toml`, where there is one.
    pub file: Option<PathBuf>,
    /// Where backups lie, absolute.
    pub backup_dir: PathBuf,
    /// Where our own records lie: `.strongroom` in the backup folder.
    pub state_dir: PathBuf,
    /// Whether and with what backups are encrypted.
    pub encryption: EncryptionPolicy,
    /// Zone of all schedules.
    pub timezone: TimeZone,
    /// What can be backed up, with absolute paths, sorted by name.
    pub components: Vec<ComponentConfig>,
    /// The components were found by looking, not written down.
    pub components_detected: bool,
    /// What is backed up together, sorted by name; never empty.
    pub plans: Vec<Plan>,
    /// When other things run.
    pub schedule: ServiceSchedules,
    /// How long backups are kept.
    pub retention: RetentionSettings,
    /// How restores behave.
    pub restore: RestoreSettings,
    /// When a backup that shrank raises an alarm.
    pub collapse: CollapseSettings,
    /// Statements for drills.
    pub assertions: Vec<Assertion>,
    /// Files that databases refer to.
    pub checks: Vec<ReferenceCheck>,
    /// Commands before and after.
    pub hooks: HooksSettings,
    /// The log files; the folder is absolute.
    pub log: LogSettings,
    /// Who hears what.
    pub notify: NotifySettings,
    /// The service.
    pub server: Server,
    /// What a person should know, though it stops nothing.
    pub notes: Vec<String>,
    /// Every setting with its value and origin, secrets redacted: `config show`.
    pub values: Vec<Value>,
}

/// What is backed up together.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Names of its components, all of them existing.
    pub components: Vec<String>,
    /// How it lies in its store.
    pub format: Format,
    /// Compression of archives.
    pub compression: Compression,
    /// Compression level, within the method's range.
    pub level: u32,
    /// When it runs, at most one schedule a tier.
    pub schedules: Vec<(Tier, Schedule)>,
}

/// When things other than backups run; `None` for never.
#[derive(Debug, Clone)]
pub struct ServiceSchedules {
    /// `ENABLE_SCHEDULED_BACKUPS`; `false` beats a start through the API.
    pub enabled: bool,
    /// Make up for a missed run at start.
    pub catch_up: bool,
    /// Retention and litter.
    pub cleanup: Option<Schedule>,
    /// Verification.
    pub verify: Option<Schedule>,
    /// Drills.
    pub drill: Option<Schedule>,
}

/// The service, checked.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate chain and private key, both or none.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Admits listening beyond this machine without TLS.
    pub allow_plain_http: bool,
    /// Who may use the management endpoints; all when empty.
    pub allow: Vec<Cidr>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Cidr>,
    /// How long a sign-in lasts.
    pub session_hours: u32,
    /// How long a running backup gets when the service stops.
    pub shutdown_timeout: std::time::Duration,
    /// The host application's tokens; `None` when none is accepted.
    pub jwt: Option<JwtSettings>,
}

impl Config {
    /// The component of this name.
    pub fn component(&self, name: &str) -> Option<&ComponentConfig> {
        self.components.iter().find(|component| component.name == name)
    }

    /// The plan of this name.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }
}

#[cfg(test)]
mod tests;
