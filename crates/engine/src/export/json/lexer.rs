//! JSON's tokens from a stream of unknown honesty.
//!
//! Invariant: no input makes this panic, recurse, or hold more than what it was given so far, up to the limit that the
//! caller names. Every failure carries the offset of the byte at which it was found.

use super::scalar::plain_length;
use crate::{Error, ErrorKind, Result};
use std::io::{self, Read};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// How deep values may nest where their content is not ours to know.
const DEPTH_MAX: usize = 100;

/// The longest number that is looked at; shortest round-trip digits of any `f64` stay under 30.
const NUMBER_BYTES_MAX: usize = 1000;

pub(super) struct Lexer<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    /// Offset in the document of the buffer's first byte.
    base: u64,
}

/// A number as it stood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Unsigned(u64),
    Real(f64),
}

impl<R: Read> Lexer<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), at: 0, base: 0 }
    }

    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The document is not what a writer of ours makes.
    pub(super) fn damaged(&self, why: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::Damaged,
            format!("the JSON document is damaged at byte {}: {why}", self.offset()),
            "Use another copy of the backup, or an older one; `strongroom verify` tells which are whole.",
        )
    }

    fn truncated(&self) -> Error {
        Error::new(
            ErrorKind::Truncated,
            format!("the JSON document ends too early, at byte {}", self.offset()),
            "Use another copy of the backup, or an older one; `strongroom verify` tells which are whole.",
        )
    }

    /// Makes unread bytes available; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.at < self.buffer.len() {
            return Ok(true);
        }
        self.base += self.buffer.len() as u64;
        self.at = 0;
        self.buffer.resize(BUFFER_BYTES, 0);
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(length) => {
                    self.buffer.truncate(length);
                    return Ok(length > 0);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    self.buffer.clear();
                    return Err(vault::error::from_io("reading the JSON document", cause));
                }
            }
        }
    }

    fn peek_raw(&mut self) -> Result<Option<u8>> {
        Ok(if self.fill()? { self.buffer.get(self.at).copied() } else { None })
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.peek_raw()?.ok_or_else(|| self.truncated())?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is not white space, left in place; `None` at the end.
    pub(super) fn peek_or_end(&mut self) -> Result<Option<u8>> {
        loop {
            match self.peek_raw()? {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    /// The next byte that is not white space, left in place.
    pub(super) fn peek(&mut self) -> Result<u8> {
        self.peek_or_end()?.ok_or_else(|| self.truncated())
    }

    /// Takes `wanted` after any white space.
    pub(super) fn expect(&mut self, wanted: u8) -> Result<()> {
        let found = self.peek()?;
        if found != wanted {
            return Err(self.damaged(format_args!("{:?} expected, {:?} found", wanted as char, found as char)));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps to the next member or element of what `close` ends: `false` when it ended. `first` is kept by the caller.
    pub(super) fn step(&mut self, first: &mut bool, close: u8) -> Result<bool> {
        if self.peek()? == close {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Steps to the next member of an object and reads its key into `key`.
    pub(super) fn step_member(&mut self, first: &mut bool, key: &mut Vec<u8>, key_bytes_max: usize) -> Result<bool> {
        if !self.step(first, b'}')? {
            return Ok(false);
        }
        key.clear();
        self.string(key, key_bytes_max)?;
        self.expect(b':')?;
        Ok(true)
    }

    /// Appends a string's bytes to `out`. They are UTF-8 only if the document's are.
    pub(super) fn string(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> Result<()> {
        self.expect(b'"')?;
        let start = out.len();
        loop {
            if !self.fill()? {
                return Err(self.truncated());
            }
            let rest = &self.buffer[self.at..];
            let plain = plain_length(rest);
            if out.len() - start + plain > bytes_max {
                return Err(self.damaged(format_args!("a string is longer than {bytes_max} bytes")));
            }
            out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            if self.at == self.buffer.len() {
                continue;
            }
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => self.escape(out)?,
                _ => return Err(self.damaged("a control character stands in a string")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let plain = match self.byte()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'u' => {
                let c = self.unicode_escape()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.damaged("an unknown escape stands in a string")),
        };
        out.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<char> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) && self.byte()? == b'\\' && self.byte()? == b'u' {
            let low = self.four_digits()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        char::from_u32(code).ok_or_else(|| self.damaged("half a surrogate pair stands in a string"))
    }

    fn four_digits(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.byte()?;
            let digit = (byte as char).to_digit(16).ok_or_else(|| self.damaged("a \\u escape lacks its digits"))?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    /// Takes `word` (`null`, `true`, `false`).
    pub(super) fn word(&mut self, word: &[u8]) -> Result<()> {
        for &wanted in word {
            if self.byte()? != wanted {
                return Err(self.damaged("a word that is not JSON"));
            }
        }
        Ok(())
    }

    /// Reads a number: with a fraction or an exponent it is a real, else an integer of 64 bits.
    pub(super) fn number(&mut self) -> Result<Number> {
        let mut text = String::new();
        while let Some(byte @ (b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) = self.peek_raw()? {
            if text.len() == NUMBER_BYTES_MAX {
                return Err(self.damaged("a number is too long"));
            }
            text.push(byte as char);
            self.at += 1;
        }
        if !is_json_number(text.as_bytes()) {
            return Err(self.damaged(format_args!("{text:?} is not a number")));
        }
        if text.contains(['.', 'e', 'E']) {
            let x: f64 = text.parse().map_err(|_| self.damaged("a number that cannot be read"))?;
            return if x.is_finite() { Ok(Number::Real(x)) } else { Err(self.damaged("a number is out of range")) };
        }
        if let Ok(n) = text.parse() {
            Ok(Number::Integer(n))
        } else {
            text.parse().map(Number::Unsigned).map_err(|_| self.damaged("an integer has more than 64 bits"))
        }
    }

    /// Passes over any value; its bytes go to `copy` when that is given, `bytes_max` of them at most.
    /// What is copied still has to be parsed: only brackets and strings are understood here.
    pub(super) fn any_value(&mut self, mut copy: Option<&mut Vec<u8>>, bytes_max: usize) -> Result<()> {
        let mut depth = 0_usize;
        let mut in_string = false;
        self.peek()?;
        loop {
            let Some(byte) = self.peek_raw()? else { return Err(self.truncated()) };
            match byte {
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return Ok(()),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth > DEPTH_MAX {
                return Err(self.damaged("values nest too deep"));
            }
            self.take_into(&mut copy, bytes_max)?;
            if in_string && byte == b'\\' {
                self.peek_raw()?.ok_or_else(|| self.truncated())?;
                self.take_into(&mut copy, bytes_max)?;
            }
            if depth == 0 && !in_string && matches!(byte, b'"' | b'}' | b']') {
                return Ok(());
            }
        }
    }

    fn take_into(&mut self, copy: &mut Option<&mut Vec<u8>>, bytes_max: usize) -> Result<()> {
        if let Some(copy) = copy {
            if copy.len() >= bytes_max {
                return Err(self.damaged(format_args!("a part is longer than {bytes_max} bytes")));
            }
            copy.push(self.buffer[self.at]);
        }
        self.at += 1;
        Ok(())
    }
}

/// RFC 8259's grammar of numbers.
fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix(b".") {
        let fraction = digits(after);
        if fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    }
    if let [b'e' | b'E', after @ ..] = rest {
        let after = after.strip_prefix(b"+").or_else(|| after.strip_prefix(b"-")).unwrap_or(after);
        let exponent = digits(after);
        return exponent > 0 && exponent == after.len();
    }
    rest.is_empty()
}
