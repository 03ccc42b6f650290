//! How single values are written: the hot path of every export.

use super::PLAIN_INTEGER_MAX;
use crate::export::ValueRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes that base64 turns into text at once; a multiple of three, so that pieces join without padding.
const BASE64_PIECE_BYTES: usize = 48 * 1024;

/// Appends a value.
pub(super) fn push_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::True => out.extend_from_slice(b"true"),
        ValueRef::False => out.extend_from_slice(b"false"),
        ValueRef::Integer(n) => push_integer(out, n.unsigned_abs(), itoa::Buffer::new().format(n)),
        ValueRef::Unsigned(n) => push_integer(out, n, itoa::Buffer::new().format(n)),
        ValueRef::Real(x) => push_real(out, x),
        ValueRef::Text(text) => push_string(out, text),
        ValueRef::Decimal(digits) => {
            out.extend_from_slice(b"{\"$decimal\":");
            push_string(out, digits);
            out.push(b'}');
        }
        ValueRef::RawText(bytes) => push_base64(out, "$text", bytes),
        ValueRef::Blob(bytes) => push_base64(out, "$bytes", bytes),
    }
}

fn push_integer(out: &mut Vec<u8>, magnitude: u64, digits: &str) {
    if magnitude <= PLAIN_INTEGER_MAX {
        out.extend_from_slice(digits.as_bytes());
    } else {
        out.extend_from_slice(b"{\"$int\":\"");
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// The shortest digits that read back as the same number, always with a `.` or an `e`: that makes it a real.
fn push_real(out: &mut Vec<u8>, x: f64) {
    if x.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(x).as_bytes());
    } else {
        let name = if x.is_nan() {
            "NaN"
        } else if x > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        out.extend_from_slice(b"{\"$float\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// Appends a JSON string. Only what JSON demands is escaped.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { break };
        push_escaped(out, byte);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// Bytes at the start of `text` that need no escape: eight are looked at together.
pub(super) fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest set bit of each mask is exact; only bits above a true one may be false.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (control | (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash)) & HIGHS;
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    text.len() - tail.len() + tail.iter().position(special).unwrap_or(tail.len())
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

fn push_base64(out: &mut Vec<u8>, tag: &str, bytes: &[u8]) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    let mut text = String::new();
    for piece in bytes.chunks(BASE64_PIECE_BYTES) {
        text.clear();
        STANDARD.encode_string(piece, &mut text);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: ValueRef<'_>) -> String {
        let mut out = Vec::new();
        push_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reals_stay_reals_and_large_integers_are_tagged() {
        assert_eq!(written(ValueRef::Real(1.0)), "1.0");
        assert_eq!(written(ValueRef::Real(-0.0)), "-0.0");
        assert_eq!(written(ValueRef::Integer(1 << 53)), "9007199254740992");
        assert_eq!(written(ValueRef::Integer((1 << 53) + 1)), "{\"$int\":\"9007199254740993\"}");
        assert_eq!(written(ValueRef::Integer(i64::MIN)), "{\"$int\":\"-9223372036854775808\"}");
        assert_eq!(written(ValueRef::Real(f64::NEG_INFINITY)), "{\"$float\":\"-Infinity\"}");
        assert_eq!(written(ValueRef::Blob(b"\0\xff")), "{\"$bytes\":\"AP8=\"}");
    }

    proptest! {
        #[test]
        fn strings_are_what_serde_json_writes(text in "([a-z]|[\\x00-\\x1f\"\\\\\u{7f}]|\\PC){0,40}") {
            prop_assert_eq!(written(ValueRef::Text(&text)), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn every_real_has_a_mark_and_comes_back(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            let text = written(ValueRef::Real(x));
            prop_assert!(text.contains(['.', 'e']), "{}", text);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
