//! COPY's text format, field by field: how a row's line becomes values and comes to be again.
//!
//! Values are told apart by their column's base type: truth values, integers, floating-point numbers, decimals and bytes are
//! what they are; everything else is the text that PostgreSQL writes and reads.

use crate::export::{Value, ValueRef};
use crate::{Error, ErrorKind, Result};
use std::io::Write;

/// How a column's text is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `t` or `f`.
    Bool,
    /// An integer of up to 64 bits.
    Integer,
    /// `real` or `double precision`.
    Real,
    /// `numeric`.
    Decimal,
    /// `bytea`.
    Bytes,
    /// Anything else.
    Text,
}

impl Kind {
    /// By the name of a type of `pg_catalog`.
    pub fn of(base_type: &str) -> Self {
        match base_type {
            "bool" => Self::Bool,
            "int2" | "int4" | "int8" | "oid" => Self::Integer,
            "float4" | "float8" => Self::Real,
            "numeric" => Self::Decimal,
            "bytea" => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// A field's bytes, escapes undone, as a value. `scratch` holds what has to be decoded.
    pub fn value<'a>(self, field: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<ValueRef<'a>> {
        let text = || std::str::from_utf8(field).map_err(|_| unexpected(self, field));
        Ok(match self {
            Self::Bool if field == b"t" => ValueRef::True,
            Self::Bool if field == b"f" => ValueRef::False,
            Self::Bool => return Err(unexpected(self, field)),
            Self::Integer => ValueRef::Integer(text()?.parse().map_err(|_| unexpected(self, field))?),
            Self::Real => ValueRef::Real(text()?.parse().map_err(|_| unexpected(self, field))?),
            Self::Decimal => ValueRef::Decimal(text()?),
            Self::Bytes => {
                let digits = field.strip_prefix(b"\\x").ok_or_else(|| unexpected(self, field))?;
                scratch.resize(digits.len() / 2, 0);
                hex::decode_to_slice(digits, scratch).map_err(|_| unexpected(self, field))?;
                ValueRef::Blob(scratch)
            }
            Self::Text => ValueRef::text(field),
        })
    }
}

fn unexpected(kind: Kind, field: &[u8]) -> Error {
    let shown: String = String::from_utf8_lossy(field).chars().take(40).collect();
    Error::internal(format!("the server sent {shown:?} as a value of kind {kind:?}"))
}

/// The next field of a line (without its line feed), escapes undone into `field`; `None` is NULL. Answers what is left
/// after the tab, if there is one.
pub fn next_field<'a>(line: &'a [u8], field: &mut Vec<u8>) -> (bool, Option<&'a [u8]>) {
    field.clear();
    let (raw, rest) = match line.iter().position(|&byte| byte == b'\t') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    if raw == b"\\N" {
        return (false, rest);
    }
    let mut from = 0;
    while let Some(at) = raw[from..].iter().position(|&byte| byte == b'\\') {
        field.extend_from_slice(&raw[from..from + at]);
        let Some(&escaped) = raw.get(from + at + 1) else {
            from += at;
            break;
        };
        field.push(unescaped(escaped).unwrap_or(escaped));
        from += at + 2;
    }
    field.extend_from_slice(&raw[from..]);
    (true, rest)
}

/// What a letter behind a backslash stands for, of those that PostgreSQL writes.
pub const fn unescaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        _ => return None,
    })
}

/// Appends a row as a line of COPY text.
pub fn push_row(line: &mut Vec<u8>, row: &[Value]) -> Result<()> {
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            line.push(b'\t');
        }
        push_value(line, value)?;
    }
    line.push(b'\n');
    Ok(())
}

fn push_value(line: &mut Vec<u8>, value: &Value) -> Result<()> {
    let written = match value {
        Value::Null => line.write_all(b"\\N"),
        Value::Bool(truth) => line.write_all(if *truth { b"t" } else { b"f" }),
        Value::Integer(n) => write!(line, "{n}"),
        Value::Unsigned(n) => write!(line, "{n}"),
        Value::Real(x) if x.is_finite() => write!(line, "{x:e}"),
        Value::Real(x) if x.is_nan() => line.write_all(b"NaN"),
        Value::Real(x) => line.write_all(if *x > 0.0 { b"Infinity" } else { b"-Infinity" }),
        Value::Decimal(text) | Value::Text(text) => {
            push_escaped(line, text.as_bytes());
            Ok(())
        }
        Value::RawText(bytes) => {
            push_escaped(line, bytes);
            Ok(())
        }
        Value::Blob(bytes) => write!(line, "\\\\x{}", hex::encode(bytes)),
    };
    written.map_err(|cause| Error::new(ErrorKind::Io, "a row cannot be written", "").because(cause))
}

fn push_escaped(line: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            other => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &[u8]) -> Vec<Option<Vec<u8>>> {
        let (mut fields, mut rest, mut field) = (Vec::new(), Some(line), Vec::new());
        while let Some(line) = rest {
            let (present, next) = next_field(line, &mut field);
            fields.push(present.then(|| field.clone()));
            rest = next;
        }
        fields
    }

    #[test]
    fn null_empty_and_escapes_are_told_apart() {
        let fields = parse(b"\\N\t\t\\\\N\ta\\tb\\n\\\\\\b\\f\\v\\r");
        assert_eq!(fields, [None, Some(vec![]), Some(b"\\N".to_vec()), Some(b"a\tb\n\\\x08\x0c\x0b\r".to_vec())]);
    }

    #[test]
    fn numbers_keep_their_bits() {
        let mut scratch = Vec::new();
        for text in ["-0", "5e-324", "1.7976931348623157e+308", "0.1", "1e-45", "NaN", "-Infinity"] {
            let ValueRef::Real(x) = Kind::Real.value(text.as_bytes(), &mut scratch).unwrap() else { panic!() };
            let mut line = Vec::new();
            push_value(&mut line, &Value::Real(x)).unwrap();
            let back: f64 = String::from_utf8(line).unwrap().parse().unwrap();
            assert!(back.to_bits() == x.to_bits() || (back.is_nan() && x.is_nan()), "{text}");
        }
        assert!(Kind::Integer.value(b"x", &mut scratch).is_err());
        assert!(Kind::Bytes.value(b"\\x0", &mut scratch).is_err());
    }

    proptest! {
        #[test]
        fn any_row_comes_back(row in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 1..6)) {
            let values: Vec<_> = row.iter().map(|field| field.clone().map_or(Value::Null, Value::RawText)).collect();
            let mut line = Vec::new();
            push_row(&mut line, &values).unwrap();
            prop_assert_eq!(line.pop(), Some(b'\n'));
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(parse(&line), row);
        }
    }
}
