//! Single values, from the text that PostgreSQL writes with the session's settings to what its `…recv` functions read. `None`
//! is anything that does not look like that.

use jiff::civil::Date;
use std::str::FromStr;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The integer of up to 64 bits at the front, and what is left behind its digits.
pub fn leading_integer(text: &[u8]) -> Option<(i64, &[u8])> {
    const DIGITS_MAX: usize = 19;
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    // Nineteen digits are less than 2^64.
    let (mut magnitude, mut count) = (0_u64, 0);
    while let Some(value) = digits.get(count).and_then(|&digit| value_of(digit)).filter(|_| count < DIGITS_MAX) {
        magnitude = magnitude * 10 + u64::from(value);
        count += 1;
    }
    let rest = digits.get(count..).filter(|_| count > 0)?;
    let value = if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    Some((value?, rest))
}

fn value_of(digit: u8) -> Option<u8> {
    let value = digit.wrapping_sub(b'0');
    (value < 10).then_some(value)
}

/// The shortest text that names the number, `NaN`, `Infinity` or `-Infinity`: correctly rounded it is the same bits again.
pub fn real<F: FromStr>(text: &[u8]) -> Option<F> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Sign, weight and digits to the base of 10,000 (`numeric_recv`).
pub fn numeric(text: &[u8], row: &mut Vec<u8>) -> Option<()> {
    const NEGATIVE: u16 = 0x4000;
    const DIGITS_AFTER_POINT_MAX: u16 = 0x3fff;
    let special = match text {
        b"NaN" => Some(0xc000_u16),
        b"Infinity" => Some(0xd000),
        b"-Infinity" => Some(0xf000),
        _ => None,
    };
    if let Some(sign) = special {
        row.extend_from_slice(&numeric_header(0, 0, sign, 0));
        return Some(());
    }
    let (sign, digits) = text.strip_prefix(b"-").map_or((0, text), |digits| (NEGATIVE, digits));
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = point.map_or((digits, &[][..]), |at| (&digits[..at], &digits[at + 1..]));
    if whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return None;
    }
    let header_at = row.len();
    row.extend_from_slice(&[0; 8]);
    let groups_at = row.len();
    let (head, tail) = whole.split_at(whole.len() % 4);
    let whole_groups =
        (!head.is_empty()).then_some(head).into_iter().chain(tail.chunks(4)).map(|group| group_of(group, 0));
    let fraction_groups = fraction.chunks(4).map(|group| group_of(group, 4 - group.len()));
    // The first group counts ten thousands to this power.
    let mut weight = i64::try_from(whole.len().div_ceil(4)).ok()? - 1;
    for group in whole_groups.chain(fraction_groups) {
        let group = group?;
        if group == 0 && row.len() == groups_at {
            weight -= 1;
        } else {
            row.extend_from_slice(&group.to_be_bytes());
        }
    }
    while row.len() > groups_at && row.ends_with(&[0, 0]) {
        row.truncate(row.len() - 2);
    }
    let groups = u16::try_from((row.len() - groups_at) / 2).ok()?;
    let digits_after_point = u16::try_from(fraction.len()).ok().filter(|&scale| scale <= DIGITS_AFTER_POINT_MAX)?;
    let (weight, sign) = if groups == 0 { (0, 0) } else { (i16::try_from(weight).ok()?, sign) };
    row[header_at..groups_at].copy_from_slice(&numeric_header(groups, weight, sign, digits_after_point));
    Some(())
}

fn numeric_header(groups: u16, weight: i16, sign: u16, digits_after_point: u16) -> [u8; 8] {
    let ([g1, g2], [w1, w2]) = (groups.to_be_bytes(), weight.to_be_bytes());
    let ([s1, s2], [d1, d2]) = (sign.to_be_bytes(), digits_after_point.to_be_bytes());
    [g1, g2, w1, w2, s1, s2, d1, d2]
}

/// Up to four digits, and zeros behind them.
fn group_of(digits: &[u8], zeros: usize) -> Option<i16> {
    let value = digits.iter().try_fold(0, |value, &digit| Some(value * 10 + i16::from(value_of(digit)?)))?;
    Some((0..zeros).fold(value, |value, _| value * 10))
}

/// `123e4567-e89b-12d3-a456-426614174000`.
pub fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut uuid = [0; 16];
    for (digits, bytes) in [(0..8, 0..4), (9..13, 4..6), (14..18, 6..8), (19..23, 8..10), (24..36, 10..16)] {
        hex::decode_to_slice(&text[digits], &mut uuid[bytes]).ok()?;
    }
    Some(uuid)
}

/// Days since the first of January 2000. Years before 1 and after 9999 are written otherwise.
pub fn date(text: &[u8]) -> Option<i32> {
    match text {
        b"infinity" => Some(i32::MAX),
        b"-infinity" => Some(i32::MIN),
        _ => i32::try_from(days(text)?).ok(),
    }
}

fn days(text: &[u8]) -> Option<i64> {
    const EPOCH: Date = Date::constant(2000, 1, 1);
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let date = Date::new(
        i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?),
        two(m1, m2)?.cast_signed(),
        two(d1, d2)?.cast_signed(),
    );
    Some(date.ok()?.duration_since(EPOCH).as_secs() / SECONDS_PER_DAY)
}

fn two(ten: u8, one: u8) -> Option<u8> {
    Some(value_of(ten)? * 10 + value_of(one)?)
}

/// Microseconds since midnight: `12:34:56`, `12:34:56.7`, `24:00:00`.
pub fn time(text: &[u8]) -> Option<i64> {
    let (clock, fraction) = text.split_at_checked(8)?;
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hours, minutes, seconds) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hours > 24 || minutes > 59 || seconds > 59 {
        return None;
    }
    let microseconds = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let value = digits.iter().try_fold(0, |value, &digit| Some(value * 10 + i64::from(value_of(digit)?)))?;
            (digits.len()..6).fold(value, |value, _| value * 10)
        }
        _ => return None,
    };
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    let time = seconds * MICROSECONDS_PER_SECOND + microseconds;
    (time <= SECONDS_PER_DAY * MICROSECONDS_PER_SECOND).then_some(time)
}

/// Microseconds since the first of January 2000; `zone` is what stands at the end.
pub fn timestamp(text: &[u8], zone: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => return Some(i64::MAX),
        b"-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (day, rest) = text.strip_suffix(zone)?.split_at_checked(10)?;
    let microseconds = time(rest.strip_prefix(b" ")?)?;
    Some(days(day)? * SECONDS_PER_DAY * MICROSECONDS_PER_SECOND + microseconds)
}
