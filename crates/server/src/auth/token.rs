//! API tokens: `srt_` and 256 random bits. The catalog keeps their SHA-256.

use engine::catalog::Catalog;
use engine::catalog::tokens::{Scope, Token};
use engine::id::Id;
use engine::{Error, Result};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What a token begins with, so that scanners for leaked secrets can find it.
pub const PREFIX: &str = "srt_";

/// A random secret of 256 bits with a prefix.
pub fn secret(prefix: &str) -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
    Ok(format!("{prefix}{}", hex::encode(bytes)))
}

/// What the catalog keeps of a secret.
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Makes a token; returns its secret, which is kept nowhere, and its record.
pub fn create(
    catalog: &Catalog,
    name: &str,
    scopes: BTreeSet<Scope>,
    expires_at: Option<Timestamp>,
    created_by: &str,
    now: Timestamp,
) -> Result<(String, Token)> {
    let secret = secret(PREFIX)?;
    let token = Token {
        id: Id::generate()?,
        name: name.to_owned(),
        scopes,
        created_by: created_by.to_owned(),
        created_at: now,
        expires_at,
        used_at: None,
    };
    catalog.token_add(&token, &hash(&secret))?;
    Ok((secret, token))
}
