use super::*;
use jiff::civil::{Date, date};
use std::collections::BTreeSet;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, TimeZone::get(zone).unwrap(), "TEST").unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn wrong(expression: &str) -> String {
    Schedule::parse(expression, TimeZone::UTC, "BACKUP_DAILY_SCHEDULE").unwrap_err().message().to_owned()
}

#[test]
fn usual_schedules_are_said_in_the_words_of_the_documents() {
    for (expression, sentence) in [
        ("0 2 * * *", "Daily at 2:00 AM"),
        ("0 1 * * 0", "Weekly on Sunday at 1:00 AM"),
        ("0 1 * * 7", "Weekly on Sunday at 1:00 AM"),
        ("30 13 * * fri", "Weekly on Friday at 1:30 PM"),
        ("0 0 1 * *", "Monthly on day 1 at 12:00 AM"),
        ("5 12 L * *", "Monthly on the last day at 12:05 PM"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 2 * * MON-FRI", "At 02:00, on Monday, Tuesday, Wednesday, Thursday, and Friday"),
    ] {
        assert_eq!(schedule(expression, "UTC").sentence(), sentence, "{expression}");
    }
}

#[test]
fn an_error_names_the_variable_and_points_at_the_field() {
    assert_eq!(
        wrong("0  25 * * *"),
        "BACKUP_DAILY_SCHEDULE: \"0 25 * * *\" is not a schedule: the hour \"25\" is not understood (it admits 0-23, *, \
         lists, ranges and steps)\n    0 25 * * *\n      ^^"
    );
    for (expression, caret) in [
        ("1-70 * * * *", "    ^^^^"),
        ("* * * FOO *", "          ^^^"),
        ("0 0 * * 8", "            ^"),
        ("0 0 30 2 *", "        ^^"),
        ("@daily * * * *", "    ^^^^^^"),
        ("0 0 0 * *", "        ^"),
        ("0 0 * 13 *", "          ^^"),
        ("*/0 * * * *", "    ^^^"),
        ("0 0 ? * *", "        ^"),
    ] {
        let message = wrong(expression);
        assert_eq!(message.lines().last().unwrap(), caret, "{message}");
    }
    for (expression, count) in [("", 0), ("* * * *", 4), ("0 0 2 * * *", 6), ("@daily", 1)] {
        assert!(wrong(expression).contains(&format!("five fields are wanted, {count} are there")), "{expression}");
    }
}

#[test]
fn names_ranges_steps_and_the_special_letters_are_understood() {
    let next = |expression: &str| {
        let slots = schedule(expression, "UTC").next_n(time("2026-01-01T00:00:00Z"), 3);
        slots.iter().map(|slot| slot.local.strftime("%m-%d %H:%M").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(next("0 2 L * *"), ["01-31 02:00", "02-28 02:00", "03-31 02:00"]);
    assert_eq!(next("0 2 * * 5L"), ["01-30 02:00", "02-27 02:00", "03-27 02:00"]);
    assert_eq!(next("0 2 * * 1#2"), ["01-12 02:00", "02-09 02:00", "03-09 02:00"]);
    assert_eq!(next("0 2 15W * *"), ["01-15 02:00", "02-16 02:00", "03-16 02:00"]);
    assert_eq!(next("0 8-12/2 1 JAN *"), ["01-01 08:00", "01-01 10:00", "01-01 12:00"]);
    assert_eq!(next("0 2 13 * 5"), ["01-02 02:00", "01-09 02:00", "01-13 02:00"], "either day, as in Vixie cron");
    assert_eq!(next("0 0 29 2 *"), ["02-29 00:00"; 3]);
}

#[test]
fn a_skipped_time_runs_at_the_first_instant_after_the_gap_and_a_repeated_one_the_first_time() {
    for (zone, expression, day, at) in [
        ("America/New_York", "30 2 * * *", date(2026, 3, 8), "2026-03-08T07:00:00Z"),
        ("America/New_York", "30 1 * * *", date(2026, 11, 1), "2026-11-01T05:30:00Z"),
        ("Europe/London", "30 1 * * *", date(2026, 3, 29), "2026-03-29T01:00:00Z"),
        ("Europe/London", "30 1 * * *", date(2026, 10, 25), "2026-10-25T00:30:00Z"),
        ("Australia/Lord_Howe", "15 2 * * *", date(2026, 10, 4), "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "45 1 * * *", date(2026, 4, 5), "2026-04-04T14:45:00Z"),
    ] {
        let schedule = schedule(expression, zone);
        let midnight = day.to_zoned(schedule.zone().clone()).unwrap().timestamp();
        let slot = schedule.next_after(midnight).unwrap();
        assert_eq!((slot.local.date(), slot.at), (day, time(at)), "{zone} {expression}");
        let next = schedule.next_after(slot.at).unwrap();
        assert_eq!(next.local.date(), day.tomorrow().unwrap(), "{zone}: once only");
    }
}

/// Every instant of a day, in order, in steps that hit all changes.
#[test]
fn every_day_of_seven_years_has_exactly_one_run_in_every_zone() {
    for zone in ["America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"] {
        for expression in ["0 2 * * *", "30 2 * * *", "15 1 * * *", "45 1 * * *", "0 0 * * *", "59 23 * * *"] {
            let schedule = schedule(expression, zone);
            let mut day = date(2024, 1, 1);
            let mut at = day.to_zoned(schedule.zone().clone()).unwrap().timestamp() - 1.second();
            while day < date(2031, 1, 1) {
                let slot = schedule.next_after(at).unwrap();
                assert_eq!(slot.local.date(), day, "{zone} {expression}");
                assert!(slot.at > at);
                assert_eq!(schedule.latest_at(slot.at), Some(slot), "{zone} {expression}");
                assert_ne!(schedule.latest_at(slot.at - 1.second()), Some(slot));
                at = slot.at;
                day = day.tomorrow().unwrap();
            }
        }
    }
}

/// The minutes that a change skips or repeats are among them.
#[test]
fn around_each_clock_change_each_minute_of_the_day_runs_once_a_day() {
    for zone in ["America/New_York", "Europe/London", "Australia/Lord_Howe"] {
        let tz = TimeZone::get(zone).unwrap();
        let from = date(2024, 1, 1).to_zoned(tz.clone()).unwrap().timestamp();
        let changes: Vec<Date> = tz
            .following(from)
            .map(|change| tz.to_datetime(change.timestamp()).date())
            .take_while(|day| *day < date(2031, 1, 1))
            .collect();
        assert_eq!(changes.len(), 14, "{zone}: two a year");
        for minute in 0..24 * 60 {
            let schedule = schedule(&format!("{} {} * * *", minute % 60, minute / 60), zone);
            for change in &changes {
                let first = change.yesterday().unwrap();
                let mut at = first.to_zoned(tz.clone()).unwrap().timestamp() - 1.second();
                for day in first.series(1.day()).take(3) {
                    let slot = schedule.next_after(at).unwrap();
                    assert_eq!(slot.local.date(), day, "{zone} minute {minute}");
                    assert!(slot.at > at, "{zone} minute {minute} {day}");
                    at = slot.at;
                }
            }
        }
    }
}

#[test]
fn runs_inside_a_gap_are_one_run_and_next_and_latest_agree() {
    for zone in ["America/New_York", "Europe/London", "Australia/Lord_Howe"] {
        let schedule = schedule("*/30 * * * *", zone);
        let mut at = time("2026-01-01T00:00:00Z");
        while at < time("2027-01-01T00:00:00Z") {
            let slot = schedule.next_after(at).unwrap();
            assert_eq!(schedule.latest_at(slot.at), Some(slot), "{zone}");
            at = slot.at;
        }
    }
}

#[test]
fn only_the_newest_missed_run_is_made_up_for() {
    let schedule = schedule("0 2 * * *", "UTC");
    let missed = schedule.missed_between(time("2026-11-18T02:00:00Z"), time("2026-11-22T12:00:00Z")).unwrap();
    assert_eq!(missed.at, time("2026-11-22T02:00:00Z"));
    assert_eq!(missed.key("default", "daily"), "default/daily/2026-11-22T02:00");
    assert!(schedule.missed_between(missed.at, time("2026-11-22T12:00:00Z")).is_none());
}

/// Runs a scheduler that asks every five minutes, on a clock of one's own.
struct Service {
    schedule: Schedule,
    ledger: Ledger,
    now: Timestamp,
    runs: Vec<(Timestamp, Due)>,
}

impl Service {
    fn new(expression: &str, zone: &str, now: &str) -> Self {
        let now = time(now);
        Self { schedule: schedule(expression, zone), ledger: Ledger::new(now), now, runs: Vec::new() }
    }

    fn ask(&mut self) {
        if let Some(due) = self.ledger.due(&self.schedule, self.now) {
            self.ledger.record(due.slot);
            self.runs.push((self.now, due));
        }
    }

    fn run_until(&mut self, end: Timestamp) {
        while self.now < end {
            self.ask();
            self.now += 5.minutes();
        }
    }

    fn days(&self) -> Vec<Date> {
        self.runs.iter().map(|(_, due)| due.slot.local.date()).collect()
    }

    /// Every one of these days has exactly one run.
    fn assert_each_once(&self, first: Date, last: Date) {
        let wanted: Vec<Date> = first.series(1.day()).take_while(|day| *day <= last).collect();
        for day in wanted {
            assert_eq!(self.days().iter().filter(|run| **run == day).count(), 1, "{day}: {:?}", self.days());
        }
    }
}

#[test]
fn a_month_across_both_clock_changes_runs_once_a_day() {
    for (zone, months) in [
        ("America/New_York", [(2026, 3), (2026, 11)]),
        ("Europe/London", [(2026, 3), (2026, 10)]),
        ("Australia/Lord_Howe", [(2026, 4), (2026, 10)]),
        ("UTC", [(2026, 3), (2026, 11)]),
    ] {
        for (year, month) in months {
            for expression in ["0 2 * * *", "30 2 * * *", "30 1 * * *"] {
                let first = date(year, month, 1);
                let start = first.to_zoned(TimeZone::get(zone).unwrap()).unwrap().timestamp();
                let mut service = Service::new(expression, zone, &start.to_string());
                let end = first.last_of_month().tomorrow().unwrap().to_zoned(TimeZone::get(zone).unwrap()).unwrap();
                service.run_until(end.timestamp());
                service.assert_each_once(first, first.last_of_month());
                assert_eq!(service.runs.len(), first.days_in_month() as usize, "{zone} {expression}");
                assert!(
                    service.runs.iter().all(|(at, due)| !due.late && at.duration_since(due.slot.at).as_secs() < 300)
                );
            }
        }
    }
}

#[test]
fn a_new_catalog_has_missed_no_run_and_a_stopped_service_neither() {
    let mut service = Service::new("0 2 * * *", "UTC", "2026-11-22T12:00:00Z");
    service.ask();
    assert!(service.runs.is_empty());
    service.now = time("2026-11-25T12:00:00Z");
    service.ledger.resume(service.now);
    service.ask();
    assert!(service.runs.is_empty());
    service.run_until(time("2026-11-26T12:00:00Z"));
    assert_eq!(service.days(), [date(2026, 11, 26)]);
}

#[test]
fn after_a_downtime_one_late_run_makes_up_for_all() {
    let mut service = Service::new("0 2 * * *", "UTC", "2026-11-20T12:00:00Z");
    service.run_until(time("2026-11-21T12:00:00Z"));
    let text = serde_json::to_string(&service.ledger).unwrap();
    service.ledger = serde_json::from_str(&text).unwrap();
    service.now = time("2026-11-25T12:00:00Z");
    service.run_until(time("2026-11-26T12:00:00Z"));
    let days = [date(2026, 11, 21), date(2026, 11, 25), date(2026, 11, 26)];
    assert_eq!(service.days(), days);
    assert_eq!(service.runs.iter().map(|(_, due)| due.late).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_clock_that_steps_back_a_little_repeats_nothing() {
    for back_minutes in [1, 5, 59, 60, 180, 1439] {
        let mut service = Service::new("0 2 * * *", "UTC", "2026-11-20T12:00:00Z");
        service.run_until(time("2026-11-22T02:01:00Z"));
        service.now -= jiff::SignedDuration::from_mins(back_minutes);
        service.run_until(time("2026-11-25T12:00:00Z"));
        service.assert_each_once(date(2026, 11, 21), date(2026, 11, 25));
    }
}

#[test]
fn a_clock_that_steps_forward_a_little_loses_nothing() {
    for forward_minutes in [1, 5, 59, 60, 180, 1439] {
        let mut service = Service::new("0 2 * * *", "UTC", "2026-11-20T12:00:00Z");
        service.run_until(time("2026-11-22T01:58:00Z"));
        service.now += jiff::SignedDuration::from_mins(forward_minutes);
        service.run_until(time("2026-11-26T12:00:00Z"));
        service.assert_each_once(date(2026, 11, 21), date(2026, 11, 26));
    }
}

#[test]
fn a_clock_that_was_days_ahead_for_a_while_loses_no_day() {
    let mut service = Service::new("0 2 * * *", "UTC", "2026-11-20T12:00:00Z");
    service.run_until(time("2026-11-21T12:00:00Z"));
    service.now = time("2026-11-24T12:00:00Z");
    service.run_until(time("2026-11-24T13:00:00Z"));
    service.now = time("2026-11-21T13:00:00Z");
    let wrong_runs = service.runs.split_off(1);
    assert_eq!(wrong_runs.len(), 1, "what was missed, by the wrong clock");
    service.run_until(time("2026-11-28T12:00:00Z"));
    service.assert_each_once(date(2026, 11, 21), date(2026, 11, 28));
}

#[test]
fn a_clock_that_was_days_behind_for_a_while_repeats_no_day() {
    let mut service = Service::new("0 2 * * *", "UTC", "2026-11-10T12:00:00Z");
    service.run_until(time("2026-11-20T12:00:00Z"));
    service.now = time("2026-11-15T12:00:00Z");
    service.run_until(time("2026-11-15T13:00:00Z"));
    service.now = time("2026-11-20T13:00:00Z");
    service.run_until(time("2026-11-25T12:00:00Z"));
    service.assert_each_once(date(2026, 11, 11), date(2026, 11, 25));
}

#[test]
fn a_clock_that_starts_in_1970_and_is_then_set_runs_no_slot_twice() {
    let mut service = Service::new("0 2 * * *", "UTC", "2026-11-20T12:00:00Z");
    service.run_until(time("2026-11-21T12:00:00Z"));
    service.now = time("1970-01-01T00:01:00Z");
    service.run_until(time("1970-01-01T00:10:00Z"));
    service.now = time("2026-11-21T12:20:00Z");
    service.run_until(time("2026-11-24T12:00:00Z"));
    let unique: BTreeSet<Date> = service.days().into_iter().collect();
    assert_eq!(unique.len(), service.runs.len());
    service.assert_each_once(date(2026, 11, 21), date(2026, 11, 24));
}
