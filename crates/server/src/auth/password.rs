//! Passwords: argon2id with the crate's defaults (19 MiB, two passes), checked in the same time whether or not the name
//! exists.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use engine::catalog::Catalog;
use engine::catalog::users::User;
use engine::{Error, ErrorKind, Result};
use std::sync::OnceLock;

/// Shorter ones are refused.
const CHARACTERS_MIN: usize = 10;
/// Longer ones are refused: hashing must not become a way to keep us busy.
const BYTES_MAX: usize = 1024;

/// The hash of a new password, in PHC form.
pub fn hash(password: &str) -> Result<String> {
    if password.chars().count() < CHARACTERS_MIN || password.len() > BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("a password has at least {CHARACTERS_MIN} characters and at most {BYTES_MAX} bytes"),
            "Choose a longer one; several words are easy to remember.",
        ));
    }
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|cause| Error::internal(format!("a password could not be hashed: {cause}")))
}

/// The person, when name and password belong together.
pub fn check(catalog: &Catalog, name: &str, password: &str) -> Result<Option<User>> {
    let user = catalog.user(name)?.filter(|_| password.len() <= BYTES_MAX);
    let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
    let matches = matches(password, stored.unwrap_or_else(|| nobodys_hash()));
    Ok(user.filter(|user| matches && user.password_hash.is_some()))
}

fn matches(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let password = if password.len() <= BYTES_MAX { password } else { "" };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Checked when the name does not exist, so that the answer takes as long.
fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash("nobody has this password").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_argon2id_and_matches_only_itself() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(matches("correct horse", &hash));
        assert!(!matches("correct horsf", &hash));
        assert!(!matches("correct horse", "not a hash"));
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert_eq!(hash("123456789").unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(hash(&"x".repeat(1025)).unwrap_err().kind(), ErrorKind::Usage);
    }
}
