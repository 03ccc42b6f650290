//! The 512-byte header block (POSIX ustar, with GNU's base-256 numbers).

use super::{BLOCK_BYTES, Block};

/// Fields by offset and length.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const UID: (usize, usize) = (108, 8);
const GID: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MTIME: (usize, usize) = (136, 12);
const CHECKSUM: (usize, usize) = (148, 8);
const TYPE: usize = 156;
const LINK: (usize, usize) = (157, 100);
const MAGIC: (usize, usize) = (257, 6);
const USER: (usize, usize) = (265, 32);
const GROUP: (usize, usize) = (297, 32);
const PREFIX: (usize, usize) = (345, 155);

/// Longest name and link target that fit without a pax record.
pub(super) const NAME_BYTES_MAX: usize = NAME.1;
/// Longest user and group name that fit (they end with a NUL).
pub(super) const USER_BYTES_MAX: usize = USER.1 - 1;

/// What a header block says. Numbers that do not parse are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) mode: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) size_bytes: Option<u64>,
    pub(super) modified_seconds: Option<i64>,
    pub(super) type_flag: u8,
    pub(super) link: Vec<u8>,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
}

impl Header {
    /// Encodes a header. Names that are too long are cut and numbers that are too large are written in base 256: the pax
    /// header before it has the whole.
    pub(super) fn encode(&self) -> Block {
        let mut block = [0; BLOCK_BYTES];
        put_text(&mut block, NAME, &self.name);
        put_number(&mut block, MODE, self.mode.unwrap_or(0));
        put_number(&mut block, UID, self.uid.unwrap_or(0));
        put_number(&mut block, GID, self.gid.unwrap_or(0));
        put_number(&mut block, SIZE, self.size_bytes.unwrap_or(0));
        put_number(&mut block, MTIME, self.modified_seconds.unwrap_or(0).max(0) as u64);
        block[TYPE] = self.type_flag;
        put_text(&mut block, LINK, &self.link);
        block[MAGIC.0..MAGIC.0 + 8].copy_from_slice(b"ustar\x0000");
        put_text(&mut block, USER, &self.user);
        put_text(&mut block, GROUP, &self.group);
        let sum = format!("{:06o}\0 ", checksums(&block).0);
        block[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].copy_from_slice(sum.as_bytes());
        block
    }

    /// Decodes a header; `None` when its checksum is wrong.
    pub(super) fn decode(block: &Block) -> Option<Self> {
        let stored = number(field(block, CHECKSUM))?;
        let (unsigned, signed) = checksums(block);
        if stored != u64::from(unsigned) && i64::try_from(stored) != Ok(i64::from(signed)) {
            return None;
        }
        let mut name = text(field(block, NAME)).to_vec();
        // GNU's old format keeps other things where ustar has the prefix; only ustar ends its magic with a NUL.
        let prefix = text(field(block, PREFIX));
        if field(block, MAGIC) == b"ustar\0" && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        Some(Self {
            name,
            mode: number(field(block, MODE)),
            uid: number(field(block, UID)),
            gid: number(field(block, GID)),
            size_bytes: number(field(block, SIZE)),
            modified_seconds: signed_number(field(block, MTIME)),
            type_flag: block[TYPE],
            link: text(field(block, LINK)).to_vec(),
            user: text(field(block, USER)).to_vec(),
            group: text(field(block, GROUP)).to_vec(),
        })
    }
}

/// Whether a block is a header of any tar dialect, for recognising archives.
pub(crate) fn is_header(block: &[u8]) -> bool {
    block.first_chunk::<BLOCK_BYTES>().is_some_and(|block| block[0] != 0 && Header::decode(block).is_some())
}

fn field(block: &Block, (start, length): (usize, usize)) -> &[u8] {
    &block[start..start + length]
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

fn put_text(block: &mut Block, (start, length): (usize, usize), text: &[u8]) {
    let taken = text.len().min(length);
    block[start..start + taken].copy_from_slice(&text[..taken]);
}

/// Octal digits and a NUL where they suffice, else base 256 (the first bit set, big-endian).
fn put_number(block: &mut Block, (start, length): (usize, usize), value: u64) {
    let field = &mut block[start..start + length];
    if value >> (3 * (length - 1)) == 0 {
        let digits = format!("{value:0width$o}\0", width = length - 1);
        field.copy_from_slice(digits.as_bytes());
    } else {
        let bytes = value.to_be_bytes();
        let start = length.saturating_sub(bytes.len());
        field[start..].copy_from_slice(&bytes[bytes.len() - (length - start)..]);
        field[0] |= 0x80;
    }
}

fn number(field: &[u8]) -> Option<u64> {
    signed_number(field).and_then(|value| u64::try_from(value).ok())
}

/// Octal with leading spaces and a trailing space or NUL, or base 256. An empty field is 0.
fn signed_number(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return base_256(field);
    }
    let digits = field.iter().copied().skip_while(|byte| *byte == b' ').take_while(|byte| !matches!(byte, 0 | b' '));
    digits.into_iter().try_fold(0_i64, |value, digit| {
        if (b'0'..=b'7').contains(&digit) { value.checked_mul(8)?.checked_add(i64::from(digit - b'0')) } else { None }
    })
}

fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = i64::from(field[0] & 0x3f) - if negative { 0x40 } else { 0 };
    field[1..].iter().try_fold(first, |value, byte| value.checked_mul(256)?.checked_add(i64::from(*byte)))
}

/// The sum of all bytes with the checksum field as spaces, as POSIX has it and as some old programs took it, signed.
fn checksums(block: &Block) -> (u32, i32) {
    let spaces = CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1;
    block.iter().enumerate().fold((0, 0), |(unsigned, signed), (at, byte)| {
        let byte = if spaces.contains(&at) { b' ' } else { *byte };
        (unsigned + u32::from(byte), signed + i32::from(byte.cast_signed()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_whatever_their_size() {
        for value in [0, 1, 0o7_777_777, 0o10_000_000, 8 << 30, u64::from(u32::MAX), 1 << 55] {
            let mut block = [0; BLOCK_BYTES];
            put_number(&mut block, SIZE, value);
            assert_eq!(number(field(&block, SIZE)), Some(value));
            put_number(&mut block, UID, value);
            assert_eq!(number(field(&block, UID)), Some(value));
        }
        assert_eq!(signed_number(&[0xff; 12]), Some(-1));
        assert_eq!(number(b"  755 \0"), Some(0o755));
        assert_eq!(number(b"9\0"), None);
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_changed_header_is_noticed() {
        let header = Header { name: b"a".to_vec(), mode: Some(0o644), type_flag: b'0', ..Header::default() };
        let mut block = header.encode();
        assert_eq!(Header::decode(&block).unwrap().name, b"a");
        block[0] ^= 1;
        assert_eq!(Header::decode(&block), None);
    }
}
