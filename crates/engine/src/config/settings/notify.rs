//! `[notify]`: who hears what.

use serde::{Deserialize, Serialize};

/// Who hears what, and when silence itself is news.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySettings {
    /// Whether mail is sent.
    pub email_enabled: bool,
    /// Hours after which a plan without a new good backup is *stale*.
    pub stale_after_hours: u32,
    /// Days after which a plan without a newly drilled backup is *unproven*.
    pub unproven_after_days: u32,
    /// Alarm when less than this share of the backup disk is free, in percent.
    pub low_disk_percent: u32,
    /// A run *ran too long* when it took more than this many times the median of its plan's last ones.
    pub long_run_factor: f64,
    /// A run *ran too long* after this many minutes, whatever its history; no such limit when absent.
    pub max_run_minutes: Option<u32>,
    /// Mail.
    pub smtp: SmtpSettings,
    /// Web hooks.
    pub webhook: Vec<WebhookSettings>,
    /// Dead-man pings.
    pub ping: PingSettings,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            email_enabled: false,
            stale_after_hours: 26,
            unproven_after_days: 14,
            low_disk_percent: 10,
            long_run_factor: 3.0,
            max_run_minutes: None,
            smtp: SmtpSettings::default(),
            webhook: Vec::new(),
            ping: PingSettings::default(),
        }
    }
}

/// What can be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A backup succeeded.
    Success,
    /// Part of a backup is missing.
    Partial,
    /// A backup, verification, drill or restore failed.
    Failure,
    /// What a cleanup removed.
    Cleanup,
    /// The service started.
    Start,
    /// Something of the service itself is broken.
    Critical,
    /// A backup is much smaller than its predecessor.
    Collapsed,
    /// No good backup for too long.
    Stale,
    /// No drilled backup for too long.
    Unproven,
    /// The backup disk is nearly full.
    LowDisk,
    /// A run takes too long.
    LongRun,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Partial,
        Self::Failure,
        Self::Cleanup,
        Self::Start,
        Self::Critical,
        Self::Collapsed,
        Self::Stale,
        Self::Unproven,
        Self::LowDisk,
        Self::LongRun,
    ];
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpSettings {
    /// The mail server.
    pub host: Option<String>,
    /// Its port; 465 or 587 by `secure` when absent.
    pub port: Option<u16>,
    /// TLS from the first byte; otherwise STARTTLS.
    pub secure: bool,
    /// Name to sign in with.
    pub user: Option<String>,
    /// Password to sign in with.
    pub password: Option<String>,
    /// The sender; `user` when absent.
    pub from: Option<String>,
    /// The receivers.
    pub to: Vec<String>,
    /// What is mailed.
    pub events: Vec<Event>,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            secure: false,
            user: None,
            password: None,
            from: None,
            to: Vec::new(),
            events: Event::ALL.to_vec(),
        }
    }
}

/// A web hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Its name in logs and messages; the host of `url` when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Where to.
    pub url: String,
    /// Shape of the message.
    #[serde(default)]
    pub template: WebhookTemplate,
    /// A body of one's own instead of the template's, with `{{event}}`, `{{title}}`, `{{text}}` and the like in it.
    #[serde(default)]
    pub body: Option<String>,
    /// Key of the HMAC-SHA-256 signature in `X-Strongroom-Signature`; unsigned when absent.
    #[serde(default)]
    pub secret: Option<String>,
    /// What is sent.
    #[serde(default = "default_webhook_events")]
    pub events: Vec<Event>,
}

fn default_webhook_events() -> Vec<Event> {
    let quiet = [Event::Success, Event::Cleanup, Event::Start];
    Event::ALL.into_iter().filter(|event| !quiet.contains(event)).collect()
}

/// Ready-made shapes of web hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookTemplate {
    /// The event as JSON.
    #[default]
    Generic,
    /// Slack.
    Slack,
    /// Discord.
    Discord,
    /// Telegram's `sendMessage`; `chat_id` stands in the address.
    Telegram,
    /// ntfy.
    Ntfy,
}

/// Addresses that are fetched to say that something happened: their silence is the alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PingSettings {
    /// At a run's start.
    pub start: Option<String>,
    /// After a succeeded run.
    pub success: Option<String>,
    /// After a failed one.
    pub failure: Option<String>,
}
