//! Telling people and programs what happened.
//!
//! [`post`] writes a notice down once for every channel that wants its event; [`deliver_due`] sends what is due, away from
//! the work that caused it. A message is tried again, ever more rarely, until its receiver has taken it or days have
//! passed. Its id is the same at every try, so that a receiver can tell a repetition (see [`crate::catalog::outbox`]).
//! Uncomfortable: whoever reads the catalog reads the messages; secrets of channels are looked up at sending and are not in
//! them.

mod channel;
mod mail;
mod notice;
mod render;
mod webhook;

pub use channel::{Channel, EMAIL, channels};
pub use mail::{is_address, probe as probe_mail, receivers as mail_receivers};
pub use notice::{Fact, Notice, Ping, duration, name as event_name, size};

use crate::catalog::Catalog;
use crate::catalog::outbox::Message;
use crate::config::NotifySettings;
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::{SignedDuration, Timestamp};

/// A sender that does not come back is given up after this; every send ends earlier.
const LEASE: SignedDuration = SignedDuration::from_mins(5);
/// The first wait after a failure; it doubles.
const WAIT_SECONDS_FIRST: i64 = 60;
/// The longest wait between two tries.
const WAIT_SECONDS_MAX: i64 = 60 * 60;
/// A message is given up after this.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(72);
/// A ping says that something happens now: it is given up sooner.
const PING_GIVE_UP_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// Writes a notice down for every channel that wants it; says for how many.
pub fn post(catalog: &Catalog, settings: &NotifySettings, notice: &Notice) -> Result<usize> {
    let messages = messages(settings, notice)?;
    catalog.outbox_add(&messages)?;
    Ok(messages.len())
}

/// A notice as a message for every channel that wants it.
pub fn messages(settings: &NotifySettings, notice: &Notice) -> Result<Vec<Message>> {
    let wanted = channels(settings).into_iter().filter(|channel| channel.wants(notice));
    wanted.map(|channel| message(channel.name, notice)).collect()
}

fn message(channel: String, notice: &Notice) -> Result<Message> {
    Ok(Message {
        id: Id::generate()?,
        channel,
        event: notice.event.clone(),
        body: serde_json::to_value(notice).map_err(|cause| Error::internal(cause.to_string()))?,
        attempts: 0,
        created_at: notice.at,
        last_error: None,
    })
}

/// What became of the messages that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Taken by their receivers.
    pub sent: u32,
    /// To be tried again.
    pub failed: u32,
    /// Given up.
    pub given_up: u32,
}

/// Sends what is due, one by one, until nothing is or `stop` says so. Blocks.
pub fn deliver_due(
    catalog: &Catalog,
    settings: &NotifySettings,
    now: &dyn Fn() -> Timestamp,
    stop: &dyn Fn() -> bool,
) -> Result<Delivered> {
    let mut delivered = Delivered::default();
    while !stop() {
        let Some(message) = catalog.outbox_claim(now(), now() + LEASE)? else { break };
        match send(catalog, settings, &message) {
            Ok(answer) => {
                catalog.outbox_sent(&message.id, now())?;
                delivered.sent += 1;
                tracing::info!(id = %message.id, channel = message.channel, event = message.event, answer, "delivered");
            }
            Err(error) => {
                let next = next_try(&message, now());
                catalog.outbox_failed(&message.id, &crate::chain(&error), next)?;
                if next.is_some() {
                    delivered.failed += 1;
                } else {
                    delivered.given_up += 1;
                }
                report(&message, &error, next);
            }
        }
    }
    Ok(delivered)
}

fn report(message: &Message, error: &Error, next: Option<Timestamp>) {
    let (id, channel, event) = (&message.id, &message.channel, &message.event);
    let error = error as &dyn std::error::Error;
    match next {
        Some(at) => tracing::warn!(%id, channel, event, error, next_try = %at, "not delivered"),
        None => tracing::error!(%id, channel, event, error, "given up"),
    }
}

fn next_try(message: &Message, now: Timestamp) -> Option<Timestamp> {
    let ping = message.channel.starts_with(channel::PING_PREFIX);
    let limit = if ping { PING_GIVE_UP_AFTER } else { GIVE_UP_AFTER };
    let doublings = message.attempts.saturating_sub(1).min(10);
    let wait = (WAIT_SECONDS_FIRST << doublings).min(WAIT_SECONDS_MAX);
    let next = now + SignedDuration::from_secs(wait);
    (next.duration_since(message.created_at) < limit).then_some(next)
}

fn send(catalog: &Catalog, settings: &NotifySettings, message: &Message) -> Result<String> {
    let Some(channel) = channels(settings).into_iter().find(|channel| channel.name == message.channel) else {
        return Err(Error::new(
            ErrorKind::Config,
            format!("the channel {:?} is not configured any more", message.channel),
            "Nothing: the message is given up in time.",
        ));
    };
    let notice: Notice = serde_json::from_value(message.body.clone()).map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the message was written by another version", "").because(cause)
    })?;
    channel.send(catalog, &message.id, &notice)
}

/// Sends a test message now and returns what the receiver answered.
pub fn send_test(catalog: &Catalog, channel: &Channel, now: Timestamp) -> Result<String> {
    channel.send(catalog, &Id::generate()?, &Notice::test(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Event, WebhookSettings};

    fn settings() -> NotifySettings {
        let webhook = WebhookSettings {
            name: Some("ops".to_owned()),
            // Nothing listens on the discard port of the loopback interface.
            url: "http://127.0.0.1:9/hook".to_owned(),
            template: crate::config::WebhookTemplate::Generic,
            body: None,
            secret: None,
            events: vec![Event::Failure],
        };
        NotifySettings { webhook: vec![webhook], ..NotifySettings::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_channels_that_want_an_event_get_it() {
        let catalog = Catalog::in_memory().unwrap();
        let started = Notice::new(Event::Start, at(0), "started", "");
        let failed = Notice::new(Event::Failure, at(0), "failed", "");
        assert_eq!(post(&catalog, &settings(), &started).unwrap(), 0);
        assert_eq!(post(&catalog, &settings(), &failed).unwrap(), 1);
    }

    #[test]
    fn a_message_is_tried_ever_more_rarely_and_given_up_after_three_days() {
        let catalog = Catalog::in_memory().unwrap();
        let settings = settings();
        post(&catalog, &settings, &Notice::new(Event::Failure, at(0), "failed", "")).unwrap();
        let mut now = 0;
        let mut tries = Vec::new();
        loop {
            let delivered = deliver_due(&catalog, &settings, &|| at(now), &|| false).unwrap();
            if delivered != Delivered::default() {
                tries.push(now);
            }
            if delivered.given_up == 1 {
                break;
            }
            now += 30;
            assert!(now < 80 * 3600, "given up in time");
        }
        assert_eq!(tries[..5], [0, 60, 180, 420, 900]);
        assert!(now > 70 * 3600);
        assert_eq!(catalog.outbox_count().unwrap().given_up, 1);
        assert!(catalog.outbox_trouble("ops").unwrap().is_some());
    }
}
