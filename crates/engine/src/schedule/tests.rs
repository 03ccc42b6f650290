use super::*;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, TimeZone::get(zone).unwrap(), "TEST").unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
#[test]
fn sentences() {
    for e in ["0 2 * * *", "0 1 * * 0", "0 0 1 * *", "*/15 * * * *", "0 2 * * MON-FRI", "30 14 L * *"] {
        eprintln!("{}", schedule(e, "UTC").sentence());
    }
    for e in ["0 25 * * *", "0 0 30 2 *", "0 0 * *", "* * * FOO *", "", "0 0 * * 9", "1-70 * * * *"] {
        eprintln!("{}", Schedule::parse(e, TimeZone::UTC, "BACKUP_DAILY_SCHEDULE").unwrap_err());
    }
    eprintln!("{:?}", schedule("30 2 * * *", "America/New_York").next_n(time("2026-03-06T00:00:00Z"), 5));
}
