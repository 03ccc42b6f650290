//! Names as restic keeps them: Go's `strconv.Quote` without the outer quotes, then a JSON string.
//!
//! A file name need not be UTF-8; JSON must. Go's quoting writes invalid bytes as `\xNN`, so every name survives. Whether a
//! character is printable is decided by Rust's tables, which follow the same Unicode categories as Go's `strconv.IsPrint`.

use std::fmt::Write;

/// Quotes raw bytes as Go does.
pub fn quote(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        chunk.valid().chars().for_each(|character| quote_character(character, &mut out));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn quote_character(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\0'..='\x1f' | '\x7f' => {
            let _ = write!(out, "\\x{:02x}", u32::from(character));
        }
        ' '..='~' => out.push(character),
        _ if is_printable(character) => out.push(character),
        '\u{80}'..='\u{ffff}' => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => {
            let _ = write!(out, "\\U{:08x}", u32::from(character));
        }
    }
}

/// Rust escapes in a string's debug form what is not printable; combining marks only at its start, hence the letter.
fn is_printable(character: char) -> bool {
    let mut text = [0; 5];
    text[0] = b'a';
    let length = 1 + character.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(character))
}

/// Undoes [`quote`]; `None` for text that Go's `strconv.Unquote` would refuse too.
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    if !text.contains('\\') {
        return (!text.contains(['"', '\n'])).then(|| text.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\n' => return None,
            '\\' => unquote_escape(&mut characters, &mut out)?,
            _ => push_character(character, &mut out),
        }
    }
    Some(out)
}

fn unquote_escape(characters: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    let simple = match characters.next()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(number(characters, 2, 16)?).ok()?,
        long @ ('u' | 'U') => {
            let digits = if long == 'u' { 4 } else { 8 };
            push_character(char::from_u32(number(characters, digits, 16)?)?, out);
            return Some(());
        }
        first @ '0'..='7' => {
            let rest = number(characters, 2, 8)?;
            u8::try_from(first.to_digit(8)? * 64 + rest).ok()?
        }
        _ => return None,
    };
    out.push(simple);
    Some(())
}

fn number(characters: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..digits {
        value = value.checked_mul(radix)?.checked_add(characters.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

fn push_character(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends a JSON string as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped too.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_quoted_as_go_quotes_them() {
        // Expected values from Go's strconv tests and from its rules.
        for (name, quoted) in [
            (&b"\x07\x08\x0c\r\n\t\x0b"[..], r"\a\b\f\r\n\t\v"),
            (b"abc\xffdef", r"abc\xffdef"),
            ("\u{263a}".as_bytes(), "\u{263a}"),
            ("\u{10ffff}".as_bytes(), r"\U0010ffff"),
            ("\u{ad}\u{a0}\u{200b}\u{feff}".as_bytes(), r"\u00ad\u00a0\u200b\ufeff"),
            ("e\u{301}".as_bytes(), "e\u{301}"),
            (b"a\"b\\c'd", r#"a\"b\\c'd"#),
            (b"\x04\x7f", r"\x04\x7f"),
        ] {
            assert_eq!(quote(name), quoted);
            assert_eq!(unquote(quoted).unwrap(), name);
        }
    }

    #[test]
    fn broken_quotes_are_refused() {
        for bad in ["\\", "\\x1", "\\q", "\\ud800", "\\U00110000", "\\777", "a\"b", "\\'"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            let quoted = quote(&name);
            prop_assert_eq!(unquote(&quoted).unwrap(), name);
            let mut json = String::new();
            write_json_string(&quoted, &mut json);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), quoted);
        }
    }
}
