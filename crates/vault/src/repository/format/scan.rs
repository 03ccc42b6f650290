//! JSON in the one form in which restic and we write trees and index files: known keys in a known order, no space between
//! them. A backup that finds nothing changed spends most of its own time reading these two, and this takes a third of what a
//! general parser does.
//!
//! Invariant: whatever is read here means what `serde_json` reads from the same bytes. All else, be it another order, a
//! character that is escaped or an error, is `None`, and is for `serde_json` to read and to judge. The uncomfortable
//! consequence: a field that restic adds is read all the same, but at the general parser's speed, until it is added here.

use crate::repository::id::Id;

/// What is left to be read.
pub struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// Begins at the first byte.
    pub const fn new(json: &'a [u8]) -> Self {
        Self { rest: json }
    }

    /// Goes past these bytes, if they come next.
    pub fn skip<const N: usize>(&mut self, wanted: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((found, rest)) if found == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// These bytes must come next.
    pub fn expect<const N: usize>(&mut self, wanted: &[u8; N]) -> Option<()> {
        self.skip(wanted).then_some(())
    }

    /// The text up to the closing quote, which is passed; the opening one has been.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.expect(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// An id and the closing quote.
    pub fn id(&mut self) -> Option<Id> {
        let (digits, rest) = self.rest.split_first_chunk::<64>()?;
        self.rest = rest;
        self.expect(b"\"")?;
        Id::from_digits(digits)
    }

    /// A number without sign, fraction or exponent.
    pub fn number(&mut self) -> Option<u64> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        if digits.is_empty()
            || digits.len() > 1 && digits[0] == b'0'
            || matches!(rest.first(), Some(b'.' | b'e' | b'E'))
        {
            return None;
        }
        self.rest = rest;
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        digits.iter().try_fold(0, add)
    }

    /// The same, small enough for 32 bits.
    pub fn number_u32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Nothing but a line's end may come.
    pub fn end(mut self) -> Option<()> {
        self.skip(b"\n");
        self.rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_forbids_or_escapes_is_left_to_the_general_parser() {
        for (json, text) in
            [("", None), ("a", None), ("a\\\"\"", None), ("a\u{1}\"", None), ("é b\"", Some("é b")), ("\"", Some(""))]
        {
            assert_eq!(Scanner::new(json.as_bytes()).text(), text, "{json:?}");
        }
        assert_eq!(Scanner::new(b"\xff\"").text(), None);
        let numbers: [(&str, Option<u64>); 10] = [
            ("0", Some(0)),
            ("01", None),
            ("-1", None),
            ("1.5", None),
            ("1e3", None),
            ("", None),
            ("12,", Some(12)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("184467440737095516150", None),
        ];
        for (json, number) in numbers {
            assert_eq!(Scanner::new(json.as_bytes()).number(), number, "{json}");
        }
        assert_eq!(Scanner::new(b"4294967296").number_u32(), None);
    }

    #[test]
    fn what_is_not_there_is_not_passed() {
        let mut scanner = Scanner::new(b"[]\n");
        assert!(!scanner.skip(b"[1"));
        assert_eq!(scanner.expect(b"[]"), Some(()));
        assert_eq!(scanner.end(), Some(()));
        assert_eq!(Scanner::new(b"\n\n").end(), None);
    }
}
