//! pax extended headers: records `"<length> <key>=<value>\n"`, where the length counts itself.

use crate::entry::Timestamp;

/// Prefix of extended attributes, as GNU tar, bsdtar and star write them.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
/// Our own record: the file had holes.
const SPARSE: &[u8] = b"STRONGROOM.sparse";

/// The records of an extended header that mean something to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) modified: Option<Timestamp>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: bool,
    /// A sparse map of GNU tar, which is not read.
    pub(super) gnu_sparse: bool,
}

impl Pax {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let texts: [(&[u8], _); 4] =
            [(b"path", &self.path), (b"linkpath", &self.link), (b"uname", &self.user), (b"gname", &self.group)];
        for (key, value) in texts {
            if let Some(value) = value {
                record(&mut records, key, value);
            }
        }
        let numbers: [(&[u8], _); 3] = [(b"size", self.size_bytes), (b"uid", self.uid), (b"gid", self.gid)];
        for (key, value) in numbers {
            if let Some(value) = value {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        if let Some(modified) = self.modified {
            record(&mut records, b"mtime", encode_time(modified).as_bytes());
        }
        if self.sparse {
            record(&mut records, SPARSE, b"1");
        }
        for (name, value) in &self.xattrs {
            record(&mut records, &[XATTR_PREFIX, &escape(name)].concat(), value);
        }
        records
    }

    /// Adds the records in `bytes`; a later one replaces an earlier one. Says what is wrong with them.
    pub(super) fn decode(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or("a record has no length")?;
            let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let length = length.filter(|length| *length > space + 1 && *length <= bytes.len());
            let (record, rest) = bytes.split_at(length.ok_or("a record's length is impossible")?);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or("a record does not end where it should")?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or("a record has no value")?;
            self.take(&record[..equals], &record[equals + 1..])?;
            bytes = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        // An empty value takes an earlier record back.
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"uname" => self.user = text(),
            b"gname" => self.group = text(),
            b"size" => self.size_bytes = decimal(value)?,
            b"uid" => self.uid = decimal(value)?,
            b"gid" => self.gid = decimal(value)?,
            b"mtime" => self.modified = decode_time(value)?,
            SPARSE => self.sparse = value == b"1",
            _ if key.starts_with(b"GNU.sparse.") => self.gnu_sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.xattrs.push((unescape(name), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3; // space, equals sign, line feed
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn decimal(value: &[u8]) -> Result<Option<u64>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = std::str::from_utf8(value).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or("a number is not one")
}

/// Decimal seconds; a time before 1970 counts its fraction away from zero: `-1.5` is half a second before `-1`.
fn encode_time(time: Timestamp) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds @ i64::MIN..0, 0) => ("-", seconds.unsigned_abs(), 0),
        (seconds @ i64::MIN..0, nanoseconds) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
        (seconds, nanoseconds) => ("", seconds.unsigned_abs(), nanoseconds),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    format!("{sign}{seconds}.{nanoseconds:09}").trim_end_matches('0').to_owned()
}

fn decode_time(value: &[u8]) -> Result<Option<Timestamp>, &'static str> {
    const WRONG: &str = "a time is not one";
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| WRONG)?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    let seconds: i64 = whole.parse().map_err(|_| WRONG)?;
    let nanoseconds = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = nanoseconds.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Ok(Some(match (negative, nanoseconds) {
        (false, _) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: -seconds, nanoseconds },
        (true, _) => Timestamp { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    }))
}

/// A key must not contain `=`: GNU tar's way around it.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'%' => escaped.extend_from_slice(b"%25"),
            b'=' => escaped.extend_from_slice(b"%3D"),
            _ => escaped.push(*byte),
        }
    }
    escaped
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            _ => (*first, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_records_length_counts_itself() {
        for value_bytes in [0, 1, 80, 88, 89, 90, 91, 92, 93, 985, 990, 991, 995] {
            let mut records = Vec::new();
            record(&mut records, b"path", &vec![b'x'; value_bytes]);
            let digits = records.split(|byte| *byte == b' ').next().unwrap();
            assert_eq!(std::str::from_utf8(digits).unwrap().parse::<usize>().unwrap(), records.len());
        }
    }

    #[test]
    fn times_before_1970_are_written_as_pax_has_them() {
        assert_eq!(encode_time(Timestamp { seconds: -2, nanoseconds: 500_000_000 }), "-1.5");
        assert_eq!(encode_time(Timestamp { seconds: 1, nanoseconds: 10 }), "1.00000001");
        assert_eq!(encode_time(Timestamp { seconds: 10, nanoseconds: 0 }), "10");
    }

    proptest! {
        #[test]
        fn records_come_back(
            path in proptest::option::of(proptest::collection::vec(1..=255_u8, 1..300)),
            seconds in any::<i32>(), nanoseconds in 0..1_000_000_000_u32, uid in proptest::option::of(any::<u64>()),
            xattrs in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 1..20), proptest::collection::vec(any::<u8>(), 0..50)), 0..4),
            sparse in any::<bool>(),
        ) {
            let modified = Some(Timestamp { seconds: seconds.into(), nanoseconds });
            let pax = Pax { path, uid, modified, xattrs, sparse, ..Pax::default() };
            let mut back = Pax::default();
            back.decode(&pax.encode()).unwrap();
            prop_assert_eq!(back, pax);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pax::default().decode(&bytes);
        }
    }
}
