use super::*;
use crate::error::ErrorKind;
use crate::key::Key;
use std::io::{Cursor, Read, Seek, SeekFrom};

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

fn sample() -> Vec<u8> {
    let mut content = vec![0x1f, 0x8b, 8];
    content.extend((0..300_000_u32).map(|n| (n % 253) as u8));
    content
}

fn kind_of(sealed: Vec<u8>, key: &Key) -> ErrorKind {
    Envelope::authenticate(Cursor::new(sealed), key, gzip).unwrap_err().kind()
}

#[test]
fn what_was_sealed_opens_and_seeks() {
    let content = sample();
    let sealed = seal(&key(1), &content).unwrap();
    assert_eq!(unseal(&key(1), &sealed).unwrap(), content);
    let mut envelope = Envelope::authenticate(Cursor::new(sealed), &key(1), gzip).unwrap();
    let mut back = Vec::new();
    envelope.rewind().unwrap();
    envelope.read_to_end(&mut back).unwrap();
    assert_eq!(back, content);
    envelope.seek(SeekFrom::End(-17)).unwrap();
    back.clear();
    envelope.read_to_end(&mut back).unwrap();
    assert_eq!(back, content[content.len() - 17..]);
}

#[test]
fn each_way_of_not_opening_has_its_own_kind() {
    let sealed = seal(&key(1), &sample()).unwrap();
    assert_eq!(kind_of(Vec::new(), &key(1)), ErrorKind::Truncated);
    assert_eq!(kind_of(sealed[..31].to_vec(), &key(1)), ErrorKind::Truncated);
    assert_eq!(kind_of(sealed.clone(), &key(2)), ErrorKind::WrongKeyOrDamaged);
    assert_eq!(kind_of(sealed[..1000].to_vec(), &key(1)), ErrorKind::Damaged);
    let mut flipped = sealed.clone();
    flipped[20_000] ^= 1;
    assert_eq!(kind_of(flipped, &key(1)), ErrorKind::Damaged);
    let mut flipped = sealed;
    flipped[3] ^= 1;
    assert_eq!(kind_of(flipped, &key(1)), ErrorKind::WrongKeyOrDamaged);
}

#[test]
fn a_file_that_changes_between_the_two_passes_is_noticed() {
    let mut sealed = seal(&key(1), &sample()).unwrap();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &sealed).unwrap();
    let mut envelope = Envelope::authenticate(path.reopen().unwrap(), &key(1), gzip).unwrap();
    sealed[100_000] ^= 1;
    std::fs::write(path.path(), &sealed).unwrap();
    envelope.rewind().unwrap();
    let error = envelope.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(crate::error::from_io("", error).kind(), ErrorKind::Damaged);
}
