//! Sizes, durations and times for people.

use jiff::Timestamp;

/// `1.4 GiB`
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`
pub fn milliseconds(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} ms"),
        1_000..60_000 => format!("{:.1} s", count as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {:02} s", count / 60_000, count / 1000 % 60),
        _ => format!("{} h {:02} min", count / 3_600_000, count / 60_000 % 60),
    }
}

/// `2026-11-22 02:00 UTC`
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `1 file`, `3 files`
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_say_them() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(5 << 30)], ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(
            [milliseconds(7), milliseconds(12_345), milliseconds(245_000), milliseconds(7_380_000)],
            ["7 ms", "12.3 s", "4 min 05 s", "2 h 03 min"]
        );
    }
}
