//! Where messages go.

use super::notice::{Notice, Ping};
use super::{mail, webhook};
use crate::Result;
use crate::catalog::Catalog;
use crate::config::{Event, NotifySettings, SmtpSettings, WebhookSettings};
use crate::id::Id;

/// Name of the channel for mail.
pub const EMAIL: &str = "email";
/// What names of channels for pings begin with.
pub const PING_PREFIX: &str = "ping.";

/// A way to somebody.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name: `email`, a web hook's own, `ping.success`.
    pub name: String,
    /// What is sent there.
    pub events: Vec<Event>,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Mail(SmtpSettings),
    Webhook(WebhookSettings),
    Ping(Ping, String),
}

/// All channels that are configured.
pub fn channels(settings: &NotifySettings) -> Vec<Channel> {
    let mut channels = Vec::new();
    if settings.email_enabled && settings.smtp.host.is_some() {
        let events = settings.smtp.events.clone();
        channels.push(Channel { name: EMAIL.to_owned(), events, way: Way::Mail(settings.smtp.clone()) });
    }
    for hook in &settings.webhook {
        let wanted = hook.name.clone().unwrap_or_else(|| webhook::host(&hook.url));
        let name = unique(&channels, wanted);
        channels.push(Channel { name, events: hook.events.clone(), way: Way::Webhook(hook.clone()) });
    }
    let pings = &settings.ping;
    for (ping, url) in [(Ping::Start, &pings.start), (Ping::Success, &pings.success), (Ping::Failure, &pings.failure)] {
        if let Some(url) = url {
            let name = format!("{PING_PREFIX}{}", ping.name());
            channels.push(Channel { name, events: Vec::new(), way: Way::Ping(ping, url.clone()) });
        }
    }
    channels
}

fn unique(channels: &[Channel], wanted: String) -> String {
    let taken = |name: &str| channels.iter().any(|channel| channel.name == name);
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(wanted)
}

impl Channel {
    /// `email`, `webhook` or `ping`.
    pub const fn kind(&self) -> &'static str {
        match self.way {
            Way::Mail(_) => "email",
            Way::Webhook(_) => "webhook",
            Way::Ping(..) => "ping",
        }
    }

    /// For people. The path of a web hook is its secret: only its host is shown.
    pub fn target(&self) -> String {
        match &self.way {
            Way::Mail(smtp) if smtp.to.is_empty() => "the administrators' own addresses".to_owned(),
            Way::Mail(smtp) => smtp.to.join(", "),
            Way::Webhook(hook) => webhook::host(&hook.url),
            Way::Ping(_, url) => webhook::host(url),
        }
    }

    /// Whether this notice goes here.
    pub fn wants(&self, notice: &Notice) -> bool {
        match &self.way {
            Way::Ping(ping, _) => notice.ping == Some(*ping),
            _ => self.events.iter().any(|event| notice.is(*event)),
        }
    }

    /// Whether somebody hears here that a backup failed. Of a dead-man address, silence after a failure tells as much.
    pub fn tells_of_failures(&self) -> bool {
        match self.way {
            Way::Ping(ping, _) => matches!(ping, Ping::Failure | Ping::Success),
            _ => self.events.contains(&Event::Failure),
        }
    }

    /// Sends a message; returns what the receiver answered.
    pub(super) fn send(&self, catalog: &Catalog, id: &Id, notice: &Notice) -> Result<String> {
        match &self.way {
            Way::Mail(smtp) => mail::send(catalog, smtp, id, notice),
            Way::Webhook(hook) => webhook::send(hook, id, notice),
            Way::Ping(_, url) => webhook::ping(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_hooks_of_one_host_have_names_of_their_own() {
        let hook: WebhookSettings =
            serde_json::from_value(serde_json::json!({"url": "https://hooks.example.com/secret"})).unwrap();
        let settings = NotifySettings { webhook: vec![hook.clone(), hook], ..NotifySettings::default() };
        let channels = channels(&settings);
        let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, ["hooks.example.com", "hooks.example.com-2"]);
        assert!(channels.iter().all(|channel| !channel.target().contains("secret")));
    }
}
