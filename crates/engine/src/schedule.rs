//! When plans run: cron expressions in a named zone. Pure: the time comes in as a value.
//!
//! A schedule is a sequence of *slots*: the local dates and times that the expression names. Each slot has exactly one
//! instant, in the order of the slots: a local time that a clock change skips happens at the first instant after the gap,
//! one that a change repeats happens the first time only. So every day that the expression names has exactly one run,
//! and a slot's local time is its identity: [`Ledger`] never runs one twice, however the clock jumps.
//!
//! The uncomfortable consequence: an expression that runs every few minutes pauses for the repeated hour in autumn.

mod ledger;
mod sentence;

pub use ledger::{Due, Ledger};

use crate::{Error, ErrorKind, Result};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fmt;

/// The five fields, as an error names them, with what each admits.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L for the last, 15W for the weekday nearest the 15th"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT (0 and 7 are Sunday), 1#2 for the second Monday, 5L for the last Friday"),
];

/// A cron expression in a zone.
#[derive(Clone)]
pub struct Schedule {
    expression: String,
    cron: Cron,
    zone: TimeZone,
}

/// One planned run: the local time that names it and the instant at which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The local time that the expression names; may not exist on the day of a clock change.
    pub local: DateTime,
    /// When it happens.
    pub at: Timestamp,
}

impl Slot {
    /// The run's identity, to be unique wherever runs are recorded: `default/daily/2026-11-22T02:00`.
    pub fn key(&self, plan: &str, tier: &str) -> String {
        format!("{plan}/{tier}/{}", self.local.strftime("%Y-%m-%dT%H:%M"))
    }
}

impl Schedule {
    /// Reads a five-field cron expression: names, lists, ranges, steps, `L`, `#` and `W`. When both days are given, either
    /// suffices, as in Vixie cron. `origin` names the variable or key for the message.
    pub fn parse(expression: &str, zone: TimeZone, origin: &str) -> Result<Self> {
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields: Vec<&str> = expression.split(' ').collect();
        if fields.len() != 5 || expression.is_empty() {
            let count = if expression.is_empty() { 0 } else { fields.len() };
            return Err(not_a_schedule(
                origin,
                &expression,
                &format!("five fields are wanted, {count} are there"),
                None,
            ));
        }
        for (index, field) in fields.iter().enumerate() {
            check_field(field, index)
                .map_err(|why| not_a_schedule(origin, &expression, &why, Some((&fields, index))))?;
        }
        let cron = parser()
            .parse(&expression)
            .map_err(|cause| not_a_schedule(origin, &expression, &cause.to_string(), None))?;
        let schedule = Self { expression: expression.clone(), cron, zone };
        if schedule.next_local(DateTime::constant(2024, 1, 1, 0, 0, 0, 0)).is_none() {
            let why = "no date ever fits it";
            return Err(not_a_schedule(origin, &schedule.expression, why, Some((&fields, 2))));
        }
        Ok(schedule)
    }

    /// The expression, with single spaces.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone that its times are in.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first run after `time`; `None` only beyond the calendar's end.
    pub fn next_after(&self, time: Timestamp) -> Option<Slot> {
        let mut slot = self.slot(self.next_local(self.local(time))?)?;
        while slot.at <= time {
            slot = self.slot(self.next_local(slot.local)?)?;
        }
        // Several local times inside a skipped hour are one run: the last of them names it.
        while let Some(next) = self.next_local(slot.local).and_then(|local| self.slot(local)) {
            if next.at != slot.at {
                break;
            }
            slot = next;
        }
        Some(slot)
    }

    /// The next `count` runs after `time`.
    pub fn next_n(&self, time: Timestamp, count: usize) -> Vec<Slot> {
        let mut slots = Vec::new();
        let mut after = time;
        while slots.len() < count {
            let Some(slot) = self.next_after(after) else { break };
            after = slot.at;
            slots.push(slot);
        }
        slots
    }

    /// The newest run at or before `time`.
    pub fn latest_at(&self, time: Timestamp) -> Option<Slot> {
        let from = self.local(time).to_zoned(TimeZone::UTC).ok()?;
        let previous = self.cron.find_previous_occurrence(&from, true).ok()?;
        let mut slot = self.slot(previous.datetime())?;
        // In a repeated hour, local times ahead of the clock have already happened.
        while let Some(next) = self.next_local(slot.local).and_then(|local| self.slot(local)) {
            if next.at > time {
                break;
            }
            slot = next;
        }
        Some(slot)
    }

    /// What to catch up after nothing ran between `last` and `now`: the newest missed run alone, however many there were.
    pub fn missed_between(&self, last: Timestamp, now: Timestamp) -> Option<Slot> {
        self.latest_at(now).filter(|slot| slot.at > last)
    }

    /// For people: `Daily at 2:00 AM`.
    pub fn sentence(&self) -> String {
        sentence::of(&self.expression, &self.cron)
    }

    fn local(&self, time: Timestamp) -> DateTime {
        self.zone.to_datetime(time)
    }

    /// The cron library is asked in UTC, where no clock changes: it only knows which local times fit the expression.
    fn next_local(&self, after: DateTime) -> Option<DateTime> {
        let from = after.to_zoned(TimeZone::UTC).ok()?;
        Some(self.cron.find_next_occurrence(&from, false).ok()?.datetime())
    }

    fn slot(&self, local: DateTime) -> Option<Slot> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let at = if ambiguous.is_ambiguous() && matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
            // `later` lies within or after the gap; the change itself is the first transition before it.
            let later = ambiguous.later().ok()?;
            self.zone.preceding(later.checked_add(1.second()).ok()?).next()?.timestamp()
        } else {
            ambiguous.earlier().ok()?
        };
        Some(Slot { local, at })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?} in {})", self.expression, self.zone.iana_name().unwrap_or("?"))
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone == other.zone
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// Each field alone, the others free: so the message can point at the one that is wrong.
fn check_field(field: &str, index: usize) -> Result<(), String> {
    let mut fields = ["*"; 5];
    fields[index] = field;
    let (name, admitted) = FIELDS[index];
    let wrong = || format!("the {name} {field:?} is not understood (it admits {admitted}, *, lists, ranges and steps)");
    if field.contains('@') || field.contains('?') {
        return Err(wrong());
    }
    parser().parse(&fields.join(" ")).map(drop).map_err(|_| wrong())
}

fn not_a_schedule(origin: &str, expression: &str, why: &str, place: Option<(&[&str], usize)>) -> Error {
    let mut message = format!("{origin}: {expression:?} is not a schedule: {why}");
    if let Some((fields, index)) = place {
        let before: usize = fields[..index].iter().map(|field| field.chars().count() + 1).sum();
        let caret = "^".repeat(fields[index].chars().count());
        message.extend(["\n    ", expression, "\n    ", &" ".repeat(before), &caret]);
    }
    Error::new(
        ErrorKind::Config,
        message,
        "Write minute, hour, day of the month, month and day of the week, for instance \"0 2 * * *\" for every day at 2:00.",
    )
}

#[cfg(test)]
mod tests;
