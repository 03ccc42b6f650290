//! Quoting, and names that are safe as file names.

use std::fmt::Write;

/// `"a""b"`.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."name"`.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// `'it''s'`; the session has `standard_conforming_strings = on`.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A comma-separated list of identifiers.
pub fn identifiers<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| identifier(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A name that is safe in a path: everything but letters, digits, `_`, `-` and `.` becomes `%xx`, and what is longer than
/// 100 bytes is cut. For people only: files are told apart by their numbers.
pub fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for character in name.chars() {
        let mut bytes = [0; 4];
        let encoded = character.encode_utf8(&mut bytes);
        let mut piece = String::new();
        if character.is_alphanumeric() || matches!(character, '_' | '-' | '.') {
            piece.push_str(encoded);
        } else {
            for byte in encoded.bytes() {
                let _ = write!(piece, "%{byte:02x}");
            }
        }
        if safe.len() + piece.len() > 100 {
            break;
        }
        safe.push_str(&piece);
    }
    safe
}

/// Cuts `name` so that with `suffix` it fits PostgreSQL's 63 bytes, at a character's boundary.
pub fn cut_name(name: &str, suffix: &str) -> String {
    const NAME_BYTES_MAX: usize = 63;
    let mut end = NAME_BYTES_MAX.saturating_sub(suffix.len()).min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_cut_at_characters() {
        assert_eq!(qualified("a\"b", "c d"), "\"a\"\"b\".\"c d\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(file_name("a/b ü%"), "a%2fb%20ü%25");
        let cut = cut_name(&"ü".repeat(31), "__restoring_0123456789ab");
        assert_eq!(cut.len(), 62);
        assert!(cut.ends_with("ü__restoring_0123456789ab"), "{cut}");
        assert_eq!(cut_name("crm", "__x"), "crm__x");
    }
}
