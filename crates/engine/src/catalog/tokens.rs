//! Records of API tokens.
//!
//! Only the SHA-256 of a token is kept: whoever reads the catalog cannot use it. A token has 256 random bits, so a fast
//! hash is enough and looking it up by its hash gives no time to measure.

use super::{Catalog, failed, row};
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading `/metrics`.
    Metrics,
    /// Looking at everything but the content of backups.
    Read,
    /// Making and proving backups.
    Backup,
    /// Restoring and downloading.
    Restore,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Metrics, Self::Read, Self::Backup, Self::Restore, Self::Admin];

    /// As in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Admin => "admin",
        }
    }

    /// Reads a scope.
    pub fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("{text:?} is not a scope"),
                "Take one or more of metrics, read, backup, restore, admin.",
            )
        })
    }
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: Id,
    /// What it is for, in its maker's words; unique.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends; never, when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, name, scopes, created_by, created_at, expires_at, used_at";

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(2)?;
    Ok(Token {
        id: row::id(row, 0)?,
        name: row.get(1)?,
        scopes: scopes.split(',').filter_map(|scope| Scope::parse(scope).ok()).collect(),
        created_by: row.get(3)?,
        created_at: row::time(row, 4)?,
        expires_at: row::time_optional(row, 5)?,
        used_at: row::time_optional(row, 6)?,
    })
}

impl Catalog {
    /// Adds a token; refuses a name that is taken.
    pub fn token_add(&self, token: &Token, secret_hash: &str) -> Result<()> {
        if token.name.trim().is_empty() || token.name.chars().count() > 100 || token.name.contains(char::is_control) {
            return Err(Error::new(ErrorKind::Usage, "a token's name has 1 to 100 characters", "Choose another name."));
        }
        if token.scopes.is_empty() {
            return Err(Error::new(
                ErrorKind::Usage,
                "a token without a scope can do nothing",
                "Give it one or more of metrics, read, backup, restore, admin.",
            ));
        }
        let scopes = token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",");
        self.write(|tx| {
            let added = tx
                .execute(
                    "INSERT INTO tokens (id, name, secret_hash, scopes, created_by, created_at, expires_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                    (
                        token.id.as_str(),
                        &token.name,
                        secret_hash,
                        &scopes,
                        &token.created_by,
                        token.created_at.as_millisecond(),
                        token.expires_at.map(Timestamp::as_millisecond),
                    ),
                )
                .map_err(|cause| failed("adding a token", cause))?;
            if added == 0 {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("there is a token named {:?} already", token.name),
                    "Choose another name, or revoke that token.",
                ));
            }
            Ok(())
        })
    }

    /// The token with this hash, if it has not expired. Notes its use, at most once a minute.
    pub fn token_by_secret(&self, secret_hash: &str, now: Timestamp) -> Result<Option<Token>> {
        let doing = |cause| failed("looking up a token", cause);
        let token = self
            .connection()
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM tokens WHERE secret_hash = $1 AND (expires_at IS NULL OR expires_at > $2)"
                ),
                (secret_hash, now.as_millisecond()),
                read,
            )
            .optional()
            .map_err(doing)?;
        if let Some(token) = &token
            && token.used_at.is_none_or(|used| now.as_second() - used.as_second() >= 60)
        {
            self.write(|tx| {
                tx.execute("UPDATE tokens SET used_at = $1 WHERE id = $2", (now.as_millisecond(), token.id.as_str()))
                    .map_err(doing)
            })?;
        }
        Ok(token)
    }

    /// All tokens, by name, expired ones too.
    pub fn tokens(&self) -> Result<Vec<Token>> {
        let doing = |cause| failed("reading the tokens", cause);
        let connection = self.connection();
        let mut statement =
            connection.prepare(&format!("SELECT {COLUMNS} FROM tokens ORDER BY name")).map_err(doing)?;
        let rows = statement.query_map([], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Ends a token, named by its id or its name.
    pub fn token_revoke(&self, id_or_name: &str) -> Result<()> {
        let removed = self.write(|tx| {
            tx.execute("DELETE FROM tokens WHERE id = $1 OR name = $1", [id_or_name])
                .map_err(|cause| failed("revoking a token", cause))
        })?;
        if removed == 0 {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no token {id_or_name:?}"),
                "`strongroom token list` shows them.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_or_revoked_token_is_not_found() {
        let catalog = Catalog::in_memory().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let token = Token {
            id: Id::generate().unwrap(),
            name: "ci".to_owned(),
            scopes: [Scope::Backup, Scope::Read].into(),
            created_by: "ann".to_owned(),
            created_at: at(0),
            expires_at: Some(at(100)),
            used_at: None,
        };
        catalog.token_add(&token, "h").unwrap();
        assert_eq!(catalog.token_by_secret("h", at(99)).unwrap().unwrap().scopes, token.scopes);
        assert!(catalog.token_by_secret("h", at(100)).unwrap().is_none());
        assert!(catalog.token_by_secret("i", at(1)).unwrap().is_none());
        assert_eq!(catalog.tokens().unwrap()[0].used_at, Some(at(99)));
        catalog.token_revoke("ci").unwrap();
        assert!(catalog.token_by_secret("h", at(1)).unwrap().is_none());
    }
}
