//! Which bytes of a file a request wants: `Range` and `If-Range` of RFC 9110, one range at a time.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, or one that we need not honour.
    All,
    /// Some bytes; never empty.
    Part {
        /// First byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// A range outside the file.
    Impossible,
}

/// Reads the headers. A malformed range, several ranges and a stale `If-Range` mean everything, as the RFC says.
pub fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::All };
    if headers.get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != etag.as_bytes()) {
        return Wanted::All;
    }
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Wanted::All;
    };
    let part = |start: u64, end: u64| match end.min(size).checked_sub(start) {
        Some(length) if length > 0 => Wanted::Part { start, length },
        _ => Wanted::Impossible,
    };
    let number = |text: &str| text.trim().bytes().all(|b| b.is_ascii_digit()).then(|| text.trim().parse::<u64>().ok());
    match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, true) => Wanted::All,
        (true, false) => match number(last).flatten() {
            Some(suffix) => part(size.saturating_sub(suffix), size),
            None => Wanted::All,
        },
        (false, true) => match number(first).flatten() {
            Some(start) => part(start, size),
            None => Wanted::All,
        },
        (false, false) => match (number(first).flatten(), number(last).flatten()) {
            (Some(start), Some(last)) if last >= start => part(start, last.saturating_add(1)),
            _ => Wanted::All,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str, condition: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        if let Some(condition) = condition {
            headers.insert(IF_RANGE, condition.parse().unwrap());
        }
        wanted(&headers, "\"tag\"", 100)
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let part = |start, length| Wanted::Part { start, length };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Wanted::Impossible),
            ("bytes=-0", Wanted::Impossible),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=x-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=99999999999999999999-", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=-", Wanted::All),
        ] {
            assert_eq!(ask(range, None), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_means_everything() {
        assert_eq!(ask("bytes=1-2", Some("\"tag\"")), Wanted::Part { start: 1, length: 2 });
        assert_eq!(ask("bytes=1-2", Some("\"old\"")), Wanted::All);
    }
}
