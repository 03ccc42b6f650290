//! Finds one top-level member of a JSON document in a stream, in constant memory.
//!
//! It matches strings and brackets, no more: whether a document is valid JSON is for its reader to say. What it does tell is
//! whether the document is whole.

use crate::error::{Error, ErrorKind, Result};

/// Longest top-level key that is compared; a longer one is none of ours.
const KEY_BYTES_MAX: usize = 64;

/// Looks for the member named `wanted`; the last one of that name counts.
pub struct MemberScanner {
    wanted: &'static [u8],
    value_bytes_max: u64,
    phase: Phase,
    depth: u64,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    capturing: bool,
    value: Vec<u8>,
    found: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    BeforeKey,
    Key,
    BeforeColon,
    Value,
    After,
}

impl MemberScanner {
    /// A value longer than `value_bytes_max` is [`ErrorKind::TooLarge`].
    pub fn new(wanted: &'static str, value_bytes_max: u64) -> Self {
        Self {
            wanted: wanted.as_bytes(),
            value_bytes_max,
            phase: Phase::Before,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            capturing: false,
            value: Vec::new(),
            found: None,
        }
    }

    /// Takes the next bytes of the document.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.iter().try_for_each(|byte| self.byte(*byte))
    }

    /// The member's value as it stands in the document, as soon as it has passed.
    pub fn found(&self) -> Option<&[u8]> {
        self.found.as_deref()
    }

    /// The member's value, now that the document must have ended.
    pub fn finish(self) -> Result<Option<Vec<u8>>> {
        if self.phase == Phase::After {
            return Ok(self.found);
        }
        Err(Error::new(
            ErrorKind::Truncated,
            "the JSON document in the archive ends too early",
            "It was cut off or not copied to its end: use another copy of it or an older backup.",
        ))
    }

    fn byte(&mut self, byte: u8) -> Result<()> {
        match self.phase {
            Phase::Value => return self.value_byte(byte),
            Phase::Key => self.key_byte(byte),
            _ if byte.is_ascii_whitespace() => {}
            Phase::Before if byte == b'{' => self.phase = Phase::BeforeKey,
            Phase::BeforeKey => match byte {
                b'"' => {
                    self.key.clear();
                    self.phase = Phase::Key;
                }
                b'}' => self.phase = Phase::After,
                b',' => {}
                _ => return Err(malformed()),
            },
            Phase::BeforeColon if byte == b':' => {
                self.phase = Phase::Value;
                self.capturing = self.key == self.wanted;
                self.value.clear();
            }
            Phase::Before | Phase::BeforeColon | Phase::After => return Err(malformed()),
        }
        Ok(())
    }

    fn key_byte(&mut self, byte: u8) {
        if !self.escaped && byte == b'"' {
            self.phase = Phase::BeforeColon;
            return;
        }
        self.escaped = !self.escaped && byte == b'\\';
        if self.key.len() <= KEY_BYTES_MAX {
            self.key.push(byte);
        }
    }

    fn value_byte(&mut self, byte: u8) -> Result<()> {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
            }
            return self.capture(byte);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b',' if self.depth == 0 => {
                self.end_value();
                self.phase = Phase::BeforeKey;
                return Ok(());
            }
            b'}' if self.depth == 0 => {
                self.end_value();
                self.phase = Phase::After;
                return Ok(());
            }
            b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or_else(malformed)?,
            _ => {}
        }
        self.capture(byte)
    }

    fn capture(&mut self, byte: u8) -> Result<()> {
        if !self.capturing {
            return Ok(());
        }
        if self.value.len() as u64 >= self.value_bytes_max {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the member {:?} of the JSON document is longer than {} bytes, which none of ours is",
                    String::from_utf8_lossy(self.wanted),
                    self.value_bytes_max
                ),
                "The archive was not made by Strongroom or was tampered with; nothing was restored from it.",
            ));
        }
        self.value.push(byte);
        Ok(())
    }

    fn end_value(&mut self) {
        if std::mem::take(&mut self.capturing) {
            self.found = Some(std::mem::take(&mut self.value).trim_ascii().to_vec());
        }
    }
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the archive is damaged: what it holds is not one JSON object",
        "It was altered or rotted: use another copy of it or an older backup.",
    )
}
