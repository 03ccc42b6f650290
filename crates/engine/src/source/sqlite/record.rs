//! Takes a table's record apart: the value of each column, as SQLite would hand it out
//! (<https://sqlite.org/fileformat2.html#record_format>).
//!
//! Text comes as its bytes, whether they are UTF-8 or not.

use super::rules::Affinity;
use crate::export::ValueRef;

/// What stands between a column's field in the record and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    AsStored,
    /// Of REAL affinity: a whole number is kept as an integer, to save room.
    Real,
    /// Another name of the row id: the field is NULL.
    RowId,
}

/// A number of one to nine bytes, and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [byte, rest @ ..] if *byte < 0x80 => Some((u64::from(*byte), rest)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(8).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    let (&last, rest) = bytes.get(8..)?.split_first()?;
    Some((value << 8 | u64::from(last), rest))
}

/// How long the fields of the types below 12 are. The types 10 and 11 do not exist.
const NUMBER_BYTES: [u8; 10] = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

/// The values of one row, the hidden row id first where the table has one.
pub(super) struct Values<'a> {
    columns: std::slice::Iter<'a, Column>,
    /// So many of the last columns may be missing.
    dispensable: usize,
    rowid: i64,
    hidden_rowid: bool,
    types: &'a [u8],
    body: &'a [u8],
    /// The record lacks a field, or ends early: what was handed out means nothing.
    pub(super) is_incomplete: bool,
}

impl<'a> Values<'a> {
    pub(super) fn new(columns: &'a [Column], hidden_rowid: bool, rowid: i64, payload: &'a [u8]) -> Option<Self> {
        let (header_bytes, after) = varint(payload)?;
        let header_bytes = usize::try_from(header_bytes).ok()?;
        let types = payload.get(payload.len() - after.len()..header_bytes)?;
        let body = &payload[header_bytes..];
        Some(Self { columns: columns.iter(), dispensable: 0, rowid, hidden_rowid, types, body, is_incomplete: false })
    }

    /// Columns from this one on are NULL where the record does not have them.
    pub(super) fn or_null(mut self, from: usize) -> Self {
        self.dispensable = self.columns.as_slice().len().saturating_sub(from);
        self
    }

    /// Nothing follows the fields that were handed out.
    pub(super) const fn is_finished(&self) -> bool {
        self.types.is_empty() && self.body.is_empty() && !self.is_incomplete
    }

    /// The next field as it is stored. Fields that are not there have a default, which only SQLite knows.
    #[inline]
    fn field(&mut self) -> Option<ValueRef<'a>> {
        let (serial_type, types) = varint(self.types)?;
        self.types = types;
        let length = match usize::try_from(serial_type).ok()? {
            number @ 0..12 => usize::from(*NUMBER_BYTES.get(number)?),
            bytes => (bytes - 12) / 2,
        };
        let body = self.body;
        let (field, rest) = body.split_at_checked(length)?;
        self.body = rest;
        Some(if serial_type >= 12 {
            if serial_type % 2 == 0 { ValueRef::Blob(field) } else { ValueRef::RawText(field) }
        } else if length > 0 {
            let number = integer(field, body);
            if serial_type == 7 { real(f64::from_bits(number.cast_unsigned())) } else { ValueRef::Integer(number) }
        } else if serial_type == 0 {
            ValueRef::Null
        } else {
            ValueRef::Integer(i64::from(serial_type == 9))
        })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.hidden_rowid) {
            return Some(ValueRef::Integer(self.rowid));
        }
        let column = self.columns.next()?;
        if self.types.is_empty() && self.columns.len() < self.dispensable {
            return Some(ValueRef::Null);
        }
        let Some(stored) = self.field() else {
            self.is_incomplete = true;
            return None;
        };
        Some(match (column, stored) {
            (Column::RowId, _) => ValueRef::Integer(self.rowid),
            (Column::Real, ValueRef::Integer(whole)) => ValueRef::Real(whole as f64),
            (_, stored) => stored,
        })
    }
}

/// Big-endian, of one to eight bytes, which `following` begins with: where that has eight, they are read at once.
fn integer(bytes: &[u8], following: &[u8]) -> i64 {
    if let Some(eight) = following.first_chunk() {
        return i64::from_be_bytes(*eight) >> (64 - 8 * bytes.len());
    }
    let sign = bytes.first().map_or(0, |&byte| i64::from(byte.cast_signed() >> 7));
    bytes.iter().fold(sign, |value, &byte| value << 8 | i64::from(byte))
}

/// SQLite has no NaN: it reads one as NULL.
fn real(value: f64) -> ValueRef<'static> {
    if value.is_nan() { ValueRef::Null } else { ValueRef::Real(value) }
}

/// How a column of this declared type hands out its fields.
pub(super) fn column(declared_type: &str) -> Column {
    match Affinity::of(declared_type) {
        Affinity::Real => Column::Real,
        _ => Column::AsStored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0x82, 0x80, 0x01], 2 << 14 | 1),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xff], 255),
        ] {
            assert_eq!(varint(bytes), Some((value, &[][..])), "{bytes:x?}");
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None, "{bytes:x?} cut short");
        }
        for (bytes, value) in [
            (&[0xff][..], -1),
            (&[0x80, 0], -32768),
            (&[0, 0, 1], 1),
            (&[0xff, 0xff, 0xfe], -2),
            (&[0x7f; 8], 0x7f7f_7f7f_7f7f_7f7f),
            (&[0x80, 0, 0, 0, 0, 0, 0, 0], i64::MIN),
        ] {
            for following in 0..9 {
                let field = [bytes, &vec![0xa5; following]].concat();
                assert_eq!(integer(bytes, &field), value, "{bytes:x?} and {following} bytes");
            }
        }
    }

    #[test]
    fn a_record_that_lacks_a_field_is_incomplete() {
        let columns = [Column::AsStored, Column::Real, Column::RowId];
        let read = |payload: &[u8]| {
            let mut values = Values::new(&columns, true, 7, payload)?;
            let count = values.by_ref().count();
            Some((count, values.is_incomplete))
        };
        assert_eq!(read(&[4, 1, 8, 0, 42]), Some((4, false)));
        assert_eq!(read(&[3, 1, 8, 42]), Some((3, true)), "a column that was added later");
        assert_eq!(read(&[4, 1, 8, 0]), Some((1, true)), "a body that is cut short");
        assert_eq!(read(&[4, 1, 10, 0, 42]), Some((2, true)), "a type that does not exist");
        assert_eq!(read(&[9, 1, 8]), None, "a header that is cut short");
        assert_eq!(read(&[]), None);
    }
}
