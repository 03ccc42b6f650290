//! Schedules, notifications and the service's address.

use super::Check;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::notify;
use jiff::Timestamp;

pub(super) fn checks(config: &Config, catalog: Option<&Catalog>, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![schedules(config, now), notifications(config, catalog)];
    checks.extend(catalog.map(|catalog| delivery(config, catalog)));
    checks.push(listening(config));
    checks
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
fn notifications(config: &Config, catalog: Option<&Catalog>) -> Check {
    let name = "notifications";
    let notify = &config.notify;
    let remedy = "Set BACKUP_EMAIL_ENABLED=true, SMTP_HOST and BACKUP_EMAIL_TO, or a `[[notify.webhook]]` or \
                  `notify.ping.failure`; then try it with the test message.";
    if notify.email_enabled {
        let missing = if notify.smtp.host.is_none() {
            Some("SMTP_HOST")
        } else {
            notify::mail_receivers(catalog, &notify.smtp).is_err().then_some("BACKUP_EMAIL_TO")
        };
        if let Some(missing) = missing {
            return Check::fail(name, format!("mail is enabled, but {missing} is missing: none can be sent"), remedy);
        }
    }
    let channels = notify::channels(notify);
    let ways: Vec<String> = channels
        .iter()
        .filter(|channel| channel.tells_of_failures())
        .map(|channel| format!("{} ({})", channel.name, channel.target()))
        .collect();
    if ways.is_empty() {
        return Check::warn(name, "nobody hears when a backup fails", remedy);
    }
    Check::ok(name, format!("failures are reported by {}", ways.join(" and ")))
}

/// What was sent last did not arrive: the next failure would not either.
fn delivery(config: &Config, catalog: &Catalog) -> Check {
    let name = "delivery";
    for channel in notify::channels(&config.notify) {
        match catalog.outbox_trouble(&channel.name) {
            Ok(None) => {}
            Ok(Some((at, error))) => {
                let remedy = "Correct the cause and send a test message; what waits is sent again by itself.";
                let message = format!("messages to {} do not arrive since {at}: {error}", channel.name);
                return Check::fail(name, message, remedy);
            }
            Err(error) => return Check::from_error(name, &error),
        }
    }
    Check::ok(name, "no message waits that could not be delivered")
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
