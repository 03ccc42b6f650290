//! Values as SQL literals that give back the very same bytes.
//!
//! Invariant: a literal holds no line break and is valid UTF-8, so a statement file can be cut at line ends and read by
//! any tool. Loaded under `SET NAMES binary`, a literal's bytes go into the column as they are, in the column's own
//! character set. The uncomfortable consequence: text that is not UTF-8 (a latin1 column's `é`) stands there in hex.

use super::schema::Kind;

/// Appends the literal for `value` of a column of this kind.
pub(crate) fn push(out: &mut Vec<u8>, kind: Kind, value: Option<&[u8]>) {
    let Some(value) = value else { return out.extend_from_slice(b"NULL") };
    match kind {
        Kind::Number => out.extend_from_slice(value),
        Kind::Float => push_float(out, value),
        Kind::Bytes => push_hex(out, value),
        Kind::Text => match std::str::from_utf8(value) {
            Ok(_) => push_text(out, value),
            Err(_) => push_hex(out, value),
        },
        // The empty string is no member, but what a wrong value became: index 0.
        Kind::Enum if value.is_empty() => out.push(b'0'),
        Kind::Enum => push(out, Kind::Text, Some(value)),
        Kind::Time => push_text(out, value),
        Kind::Json => {
            out.extend_from_slice(b"_utf8mb4");
            push_text(out, value);
        }
        Kind::Other => {
            out.extend_from_slice(b"_latin1");
            push_text(out, value);
        }
    }
}

/// `'…'` with what could end the string, the line or the file escaped.
pub(crate) fn push_text(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'\'');
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&byte| needs_escape(byte)) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(match rest[at] {
            0 => b'0',
            b'\n' => b'n',
            b'\r' => b'r',
            0x1a => b'Z',
            other => other,
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

const fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0 | b'\n' | b'\r' | 0x1a | b'\'' | b'\\')
}

fn push_hex(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"x'");
    let start = out.len();
    out.resize(start + 2 * value.len(), 0);
    // The slice is exactly twice as long: this cannot fail.
    let _ = hex::encode_to_slice(value, &mut out[start..]);
    out.push(b'\'');
}

/// Without an exponent the server would read a decimal, which ends 38 digits after the point.
fn push_float(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(value);
    if !value.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        out.extend_from_slice(b"e0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(kind: Kind, value: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, kind, Some(value));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn literals_hold_no_line_break_and_are_utf8() {
        assert_eq!(literal(Kind::Text, b"a'b\\c\n\r\0\x1a\xc3\xa9"), r"'a\'b\\c\n\r\0\Zé'");
        assert_eq!(literal(Kind::Text, b"\xe9"), "x'e9'");
        assert_eq!(literal(Kind::Bytes, b""), "x''");
        assert_eq!(literal(Kind::Float, b"1.5"), "1.5e0");
        assert_eq!(literal(Kind::Float, b"-1e-300"), "-1e-300");
        assert_eq!(literal(Kind::Enum, b""), "0");
    }
}
