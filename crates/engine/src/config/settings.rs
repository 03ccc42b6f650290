//! The settings as they are written in `strongroom.toml`: one struct a section, with its defaults.
//!
//! Every other layer (`.env`, environment, command line) sets the same keys: see [`variables`](super::variables). Unknown
//! keys are errors. What is here is not yet checked: that is [`resolve`](super::resolve)'s work.

mod notify;
mod server;

pub use notify::{Event, NotifySettings, PingSettings, SmtpSettings, WebhookSettings, WebhookTemplate};
pub use server::{JwtAlgorithm, JwtSettings, ServerSettings};

use super::component::ComponentSettings;
use crate::manifest::Format;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where backups lie.
    pub backup_dir: PathBuf,
    /// IANA name of the zone of all schedules.
    pub timezone: String,
    /// `aes-256-gcm`, or `none`: backups are then written plainly.
    pub encryption: Encryption,
    /// 64 hexadecimal digits; only from `.env` or the environment.
    pub encryption_key: Option<String>,
    /// Older keys that still open their backups; only from `.env` or the environment.
    pub previous_keys: Vec<String>,
    /// `NODE_ENV`: `development` admits plain backups without a key.
    pub environment: String,
    /// What is backed up, by name; found by looking when absent.
    pub components: BTreeMap<String, ComponentSettings>,
    /// What is backed up together, by name; without any, one plan `default` with everything.
    pub plans: BTreeMap<String, PlanSettings>,
    /// When things run.
    pub schedule: ScheduleSettings,
    /// How long backups are kept.
    pub retention: RetentionSettings,
    /// How restores behave.
    pub restore: RestoreSettings,
    /// When a backup that shrank raises an alarm.
    pub collapse: CollapseSettings,
    /// Statements that every drill runs on the restored database.
    pub assert: Vec<Assertion>,
    /// Files that the restored database refers to.
    pub check: Vec<ReferenceCheck>,
    /// Commands before and after.
    pub hooks: HooksSettings,
    /// The log files.
    pub log: LogSettings,
    /// Who hears what.
    pub notify: NotifySettings,
    /// The service.
    pub server: ServerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backup_dir: "./backups".into(),
            timezone: "UTC".to_owned(),
            encryption: Encryption::Aes256Gcm,
            encryption_key: None,
            previous_keys: Vec::new(),
            environment: "production".to_owned(),
            components: BTreeMap::new(),
            plans: BTreeMap::new(),
            schedule: ScheduleSettings::default(),
            retention: RetentionSettings::default(),
            restore: RestoreSettings::default(),
            collapse: CollapseSettings::default(),
            assert: Vec::new(),
            check: Vec::new(),
            hooks: HooksSettings::default(),
            log: LogSettings::default(),
            notify: NotifySettings::default(),
            server: ServerSettings::default(),
        }
    }
}

/// Whether backups are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// AES-256-GCM, the default; needs a key.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// Said explicitly: backups are written plainly.
    #[serde(rename = "none")]
    None,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip, which everything opens.
    Gzip,
    /// zstd: smaller and faster, needs `zstd` to open by hand.
    Zstd,
    /// Not at all.
    None,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanSettings {
    /// For people.
    pub description: Option<String>,
    /// Names of its components; all when absent.
    pub components: Option<Vec<String>>,
    /// How it lies in its store.
    pub format: Format,
    /// Compression of archives; a repository always takes zstd.
    pub compression: Compression,
    /// Compression level: gzip 1 to 12 (6 when absent), zstd 1 to 19 (3 when absent).
    pub level: Option<u32>,
    /// When it runs.
    pub schedules: PlanSchedules,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            description: None,
            components: None,
            format: Format::Tar,
            compression: Compression::Gzip,
            level: None,
            schedules: PlanSchedules::default(),
        }
    }
}

/// Cron expressions of a plan; `off` or absent for never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanSchedules {
    /// Makes `daily` backups.
    pub daily: Option<String>,
    /// Makes `weekly` backups.
    pub weekly: Option<String>,
    /// Makes `monthly` backups.
    pub monthly: Option<String>,
}

/// When things run. The first three are the schedules of the plan `default`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// `false` halts all schedules, whatever was started through the API.
    pub enabled: bool,
    /// A run that was missed while the service was down is made up for, once, at its start.
    pub catch_up: bool,
    /// Of the plan `default`.
    pub daily: String,
    /// Of the plan `default`.
    pub weekly: String,
    /// Of the plan `default`.
    pub monthly: String,
    /// Retention and litter.
    pub cleanup: String,
    /// Re-reads and opens every backup that was not looked at for long.
    pub verify: String,
    /// Restores the newest backup into a scratch place and compares.
    pub drill: String,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            catch_up: true,
            daily: "0 2 * * *".to_owned(),
            weekly: "0 1 * * 0".to_owned(),
            monthly: "0 0 1 * *".to_owned(),
            cleanup: "0 3 * * *".to_owned(),
            verify: "0 4 * * *".to_owned(),
            drill: "0 5 * * 0".to_owned(),
        }
    }
}

/// How many succeeded backups each tier keeps, per plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Daily ones.
    pub daily: u32,
    /// Weekly ones.
    pub weekly: u32,
    /// Monthly ones.
    pub monthly: u32,
    /// Days for which records of failed, partial and cancelled runs stay.
    pub failed_days: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { daily: 30, weekly: 12, monthly: 12, failed_days: 30 }
    }
}

/// How restores behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreSettings {
    /// Days for which a restore can be taken back.
    pub undo_days: u32,
}

impl Default for RestoreSettings {
    fn default() -> Self {
        Self { undo_days: 7 }
    }
}

/// When a backup that shrank raises an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollapseSettings {
    /// Below this share of its predecessor's size or row count a backup counts as collapsed; 0 turns it off.
    pub ratio: f64,
}

impl Default for CollapseSettings {
    fn default() -> Self {
        Self { ratio: 0.5 }
    }
}

/// A statement that every drill runs on a restored database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The database component.
    pub component: String,
    /// A query with one row of one column.
    pub sql: String,
    /// What it must yield: a string, number or boolean.
    pub expect: toml::Value,
}

impl Assertion {
    /// `expect` as the text that the query's value is compared with; a boolean is `1` or `0`.
    pub fn expected_text(&self) -> String {
        match &self.expect {
            toml::Value::String(text) => text.clone(),
            toml::Value::Boolean(value) => u8::from(*value).to_string(),
            other => other.to_string(),
        }
    }
}

/// Files that the restored database refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceCheck {
    /// The database component.
    pub component: String,
    /// A query that yields one path a row, relative to the other component.
    pub sql: String,
    /// The file component in which each must exist.
    pub exists_in: String,
}

/// Commands before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HooksSettings {
    /// Before the first source is captured.
    pub before_backup: Option<HookSettings>,
    /// After a backup ended, however it did.
    pub after_backup: Option<HookSettings>,
    /// Before the first target is touched.
    pub before_restore: Option<HookSettings>,
    /// After a restore ended, however it did.
    pub after_restore: Option<HookSettings>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// A line for `/bin/sh -c`.
    pub command: String,
    /// What its failure means.
    #[serde(default)]
    pub on_error: OnError,
    /// Seconds after which it is ended and counts as failed.
    #[serde(default = "default_hook_timeout_seconds")]
    pub timeout_seconds: u64,
}

const fn default_hook_timeout_seconds() -> u64 {
    300
}

/// What a hook's failure means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// A warning.
    Ignore,
    /// The run is called off, as if somebody had stopped it.
    Cancel,
    /// The run fails.
    #[default]
    Fail,
}

/// The log files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Where `combined-*.log` and `error-*.log` lie.
    pub folder: PathBuf,
    /// `json` or `text`.
    pub format: LogFormat,
    /// Days of log files that are kept.
    pub keep: u32,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { folder: "logs".into(), format: LogFormat::Json, keep: 14, level: LogLevel::Info }
    }
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And warnings.
    Warn,
    /// And what is done.
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}
