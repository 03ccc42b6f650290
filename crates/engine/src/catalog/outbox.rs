//! Messages that wait to be sent.
//!
//! A message is written down with the event that caused it and stays until its receiver has taken it or it was given up
//! after its last try. A sender leases a message before it sends: of two senders one gets it. Uncomfortable: a process
//! killed between the receiver's answer and our note sends the message again when the lease expires; its id (the
//! `Message-ID`, the webhook's id header) stays the same, so that the receiver can tell.

use super::{Catalog, failed, row};
use crate::Result;
use crate::id::Id;
use jiff::Timestamp;
use rusqlite::{Row, Transaction};
use serde_json::Value;

/// A message to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id, the same at every try.
    pub id: Id,
    /// Name of the channel in the configuration.
    pub channel: String,
    /// Name of the event.
    pub event: String,
    /// The event, as JSON.
    pub body: Value,
    /// Tries so far.
    pub attempts: u32,
    /// When it was written down.
    pub created_at: Timestamp,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// How the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxCount {
    /// Waiting.
    pub pending: u64,
    /// Taken by their receivers.
    pub sent: u64,
    /// Given up.
    pub given_up: u64,
}

const COLUMNS: &str = "id, channel, event, message, attempts, created_at, last_error";

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row::id(row, 0)?,
        channel: row.get(1)?,
        event: row.get(2)?,
        body: row::json(row, 3)?,
        attempts: row.get(4)?,
        created_at: row::time(row, 5)?,
        last_error: row.get(6)?,
    })
}

pub(super) fn add(tx: &Transaction<'_>, messages: &[Message]) -> Result<()> {
    for message in messages {
        tx.execute(
            "INSERT INTO outbox (id, channel, event, message, state, attempts, due_at, created_at)
             VALUES ($1, $2, $3, $4, 'pending', 0, $5, $5)",
            (
                message.id.as_str(),
                &message.channel,
                &message.event,
                message.body.to_string(),
                message.created_at.as_millisecond(),
            ),
        )
        .map_err(|cause| failed("writing a message down", cause))?;
    }
    Ok(())
}

impl Catalog {
    /// Writes messages down, all or none.
    pub fn outbox_add(&self, messages: &[Message]) -> Result<()> {
        self.write(|tx| add(tx, messages))
    }

    /// The message that is due for longest, leased until `lease_until`.
    pub fn outbox_claim(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<Message>> {
        use rusqlite::OptionalExtension;
        self.write(|tx| {
            tx.query_row(
                &format!(
                    "UPDATE outbox SET lease_until = $1, attempts = attempts + 1
                     WHERE id = (SELECT id FROM outbox WHERE state = 'pending' AND due_at <= $2
                                   AND (lease_until IS NULL OR lease_until <= $2) ORDER BY due_at, id LIMIT 1)
                     RETURNING {COLUMNS}"
                ),
                (lease_until.as_millisecond(), now.as_millisecond()),
                read,
            )
            .optional()
            .map_err(|cause| failed("claiming a message", cause))
        })
    }

    /// The receiver has taken it.
    pub fn outbox_sent(&self, id: &Id, now: Timestamp) -> Result<()> {
        self.outbox_set(id, "sent", Some(now), None, None)
    }

    /// The try failed; the next one is due at `due_at`, or never.
    pub fn outbox_failed(&self, id: &Id, error: &str, due_at: Option<Timestamp>) -> Result<()> {
        let state = if due_at.is_some() { "pending" } else { "given-up" };
        self.outbox_set(id, state, None, due_at, Some(error))
    }

    fn outbox_set(
        &self,
        id: &Id,
        state: &str,
        sent_at: Option<Timestamp>,
        due_at: Option<Timestamp>,
        error: Option<&str>,
    ) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE outbox SET state = $1, sent_at = $2, due_at = COALESCE($3, due_at), last_error = $4,
                 lease_until = NULL WHERE id = $5",
                (
                    state,
                    sent_at.map(Timestamp::as_millisecond),
                    due_at.map(Timestamp::as_millisecond),
                    error,
                    id.as_str(),
                ),
            )
            .map(drop)
            .map_err(|cause| failed("noting what became of a message", cause))
        })
    }

    /// Figures of the outbox.
    pub fn outbox_count(&self) -> Result<OutboxCount> {
        self.connection()
            .query_row(
                "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'sent'),
                 count(*) FILTER (WHERE state = 'given-up') FROM outbox",
                [],
                |row| {
                    Ok(OutboxCount {
                        pending: row.get::<_, i64>(0)?.unsigned_abs(),
                        sent: row.get::<_, i64>(1)?.unsigned_abs(),
                        given_up: row.get::<_, i64>(2)?.unsigned_abs(),
                    })
                },
            )
            .map_err(|cause| failed("counting the messages", cause))
    }

    /// The last failure of a channel since its last success, with its time.
    pub fn outbox_trouble(&self, channel: &str) -> Result<Option<(Timestamp, String)>> {
        use rusqlite::OptionalExtension;
        self.connection()
            .query_row(
                "SELECT created_at, last_error FROM outbox WHERE channel = $1 AND last_error IS NOT NULL
                 AND created_at > (SELECT COALESCE(max(created_at), -1) FROM outbox WHERE channel = $1 AND state = 'sent')
                 ORDER BY created_at DESC LIMIT 1",
                [channel],
                |row| Ok((row::time(row, 0)?, row.get(1)?)),
            )
            .optional()
            .map_err(|cause| failed("looking for trouble with a channel", cause))
    }

    /// Forgets what was sent or given up before `before`.
    pub fn outbox_forget(&self, before: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM outbox WHERE state <> 'pending' AND created_at < $1", [before.as_millisecond()])
                .map(drop)
                .map_err(|cause| failed("forgetting old messages", cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_leased_to_one_sender_and_comes_back_when_the_lease_ends() {
        let catalog = Catalog::in_memory().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let message = Message {
            id: Id::generate().unwrap(),
            channel: "email".to_owned(),
            event: "backup.failed".to_owned(),
            body: serde_json::json!({"a": 1}),
            attempts: 0,
            created_at: at(0),
            last_error: None,
        };
        catalog.outbox_add(std::slice::from_ref(&message)).unwrap();
        let claimed = catalog.outbox_claim(at(1), at(61)).unwrap().unwrap();
        assert_eq!((claimed.attempts, claimed.body), (1, message.body));
        assert!(catalog.outbox_claim(at(2), at(62)).unwrap().is_none());
        assert_eq!(catalog.outbox_claim(at(61), at(121)).unwrap().unwrap().attempts, 2);
        catalog.outbox_failed(&message.id, "refused", Some(at(300))).unwrap();
        assert!(catalog.outbox_claim(at(299), at(400)).unwrap().is_none());
        assert_eq!(catalog.outbox_trouble("email").unwrap().unwrap().1, "refused");
        assert!(catalog.outbox_claim(at(300), at(400)).unwrap().is_some());
        catalog.outbox_sent(&message.id, at(301)).unwrap();
        assert!(catalog.outbox_claim(at(999), at(1000)).unwrap().is_none());
        assert_eq!(catalog.outbox_count().unwrap(), OutboxCount { pending: 0, sent: 1, given_up: 0 });
        assert!(catalog.outbox_trouble("email").unwrap().is_none());
    }
}
