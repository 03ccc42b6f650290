//! A schedule in words.

use croner::Cron;

const WEEKDAYS: [&str; 8] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const WEEKDAY_NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The three usual kinds in the words of the dashboards; everything else as the cron library reads it.
pub(super) fn of(expression: &str, cron: &Cron) -> String {
    usual(expression).unwrap_or_else(|| {
        let read = cron.describe();
        let read = read.trim_end_matches('.');
        read.strip_prefix("At every ").map_or_else(|| read.to_owned(), |rest| format!("Every {rest}"))
    })
}

fn usual(expression: &str) -> Option<String> {
    let [minute, hour, day, month, weekday] = expression.split(' ').collect::<Vec<_>>()[..] else { return None };
    if month != "*" {
        return None;
    }
    let time = clock_time(hour.parse().ok()?, minute.parse().ok()?);
    match (day, weekday) {
        ("*", "*") => Some(format!("Daily at {time}")),
        ("*", weekday) => Some(format!("Weekly on {} at {time}", weekday_name(weekday)?)),
        ("L" | "l", "*") => Some(format!("Monthly on the last day at {time}")),
        (day, "*") => Some(format!("Monthly on day {} at {time}", day.parse::<u8>().ok()?)),
        _ => None,
    }
}

fn weekday_name(field: &str) -> Option<&'static str> {
    let index = field.parse::<usize>().ok().or_else(|| {
        let upper = field.to_uppercase();
        WEEKDAY_NAMES.iter().position(|name| *name == upper)
    })?;
    WEEKDAYS.get(index).copied()
}

fn clock_time(hour: u8, minute: u8) -> String {
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = match hour % 12 {
        0 => 12,
        hour => hour,
    };
    format!("{hour}:{minute:02} {half}")
}
