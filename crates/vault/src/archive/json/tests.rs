use super::MemberScanner;
use crate::error::ErrorKind;

fn scan(document: &str, piece: usize) -> crate::Result<Option<Vec<u8>>> {
    let mut scanner = MemberScanner::new("manifest", 1000);
    document.as_bytes().chunks(piece).try_for_each(|bytes| scanner.take(bytes))?;
    scanner.finish()
}

#[test]
fn the_member_is_found_only_at_the_top() {
    let document = r#"{"a":{"manifest":1,"x":["}",{"\"":"\\"}]},"manifesto":2, "manifest" : {"id":"x\"}"} ,"z":null}"#;
    for piece in [1, 2, 7, 1000] {
        assert_eq!(scan(document, piece).unwrap().as_deref(), Some(&br#"{"id":"x\"}"}"#[..]));
    }
    assert_eq!(scan("{}", 9).unwrap(), None);
}

#[test]
fn a_document_that_is_cut_off_anywhere_is_truncated() {
    let document = r#"{"tables":{"t":[["a\"b",1]]},"manifest":{"id":1}}"#;
    for end in 0..document.len() {
        assert_eq!(scan(&document[..end], 9).unwrap_err().kind(), ErrorKind::Truncated, "at {end}");
    }
    assert_eq!(scan("{}x", 9).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(scan("[]", 9).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn an_endless_manifest_is_too_large() {
    let document = format!("{{\"manifest\":\"{}", "x".repeat(2000));
    assert_eq!(scan(&document, 100).unwrap_err().kind(), ErrorKind::TooLarge);
}
