//! Schedules, notifications and the service's address.

use super::Check;
use crate::config::{Config, Event};
use jiff::Timestamp;

pub(super) fn checks(config: &Config, now: Timestamp) -> Vec<Check> {
    vec![schedules(config, now), notifications(config), listening(config)]
}

/// Expressions and the zone were parsed when the configuration was read: here it is whether and when they run.
fn schedules(config: &Config, now: Timestamp) -> Check {
    let name = "schedules";
    if !config.schedule.enabled {
        let remedy = "Remove ENABLE_SCHEDULED_BACKUPS=false, or make backups by hand or from cron.";
        return Check::warn(name, "scheduled backups are switched off", remedy);
    }
    let next = config
        .plans
        .iter()
        .flat_map(|plan| plan.schedules.iter().map(move |(tier, schedule)| (plan, tier, schedule)))
        .filter_map(|(plan, tier, schedule)| Some((schedule.next_after(now)?.at, plan, tier, schedule)))
        .min_by_key(|(at, ..)| *at);
    match next {
        Some((at, plan, tier, schedule)) => {
            let zone = config.timezone.iana_name().unwrap_or("UTC");
            let (plan, tier, sentence) = (&plan.name, tier.name(), schedule.sentence());
            Check::ok(
                name,
                format!("the next run is {plan}/{tier} at {at} ({sentence}, {zone}), while `strongroom serve` runs"),
            )
        }
        None => Check::warn(
            name,
            "no plan has a schedule",
            "Set `[schedule]` or the plan's `schedules` in strongroom.toml.",
        ),
    }
}

/// A failure that nobody hears of is found when the backup is needed.
fn notifications(config: &Config) -> Check {
    let name = "notifications";
    let notify = &config.notify;
    let remedy = "Set BACKUP_EMAIL_ENABLED=true, SMTP_HOST and BACKUP_EMAIL_TO, or a `[[notify.webhook]]` or \
                  `notify.ping.failure`; then try it with the test message.";
    let mail = notify.email_enabled && notify.smtp.events.contains(&Event::Failure);
    if mail && (notify.smtp.host.is_none() || notify.smtp.to.is_empty()) {
        return Check::fail(
            name,
            "mail is enabled, but SMTP_HOST or BACKUP_EMAIL_TO is missing: none can be sent",
            remedy,
        );
    }
    let webhooks = notify.webhook.iter().filter(|hook| hook.events.contains(&Event::Failure)).count();
    let ping = notify.ping.failure.is_some() || notify.ping.success.is_some();
    if !mail && webhooks == 0 && !ping {
        return Check::warn(name, "nobody hears when a backup fails", remedy);
    }
    let mut ways = Vec::new();
    ways.extend(mail.then(|| format!("mail to {}", notify.smtp.to.join(", "))));
    ways.extend((webhooks > 0).then(|| format!("{webhooks} web hook(s)")));
    ways.extend(ping.then(|| "a dead-man ping".to_owned()));
    Check::ok(name, format!("failures are reported by {}", ways.join(" and ")))
}

fn listening(config: &Config) -> Check {
    let name = "service";
    let server = &config.server;
    if let Some((certificate, key)) = &server.tls {
        for path in [certificate, key] {
            if let Err(cause) = std::fs::File::open(path) {
                let remedy = "Check the path and who may read it: server.tls_certificate and server.tls_key.";
                return Check::fail(name, format!("{} cannot be read: {cause}", path.display()), remedy);
            }
        }
    } else if !server.listen.ip().is_loopback() && !server.allow_plain_http {
        return Check::fail(
            name,
            format!("{} can be reached from other machines, and there is no TLS", server.listen),
            "Set server.tls_certificate and server.tls_key, listen on 127.0.0.1, or say server.allow_plain_http = true \
             when a proxy in front does TLS.",
        );
    }
    Check::ok(name, format!("it listens on {}", server.listen))
}
