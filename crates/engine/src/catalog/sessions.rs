//! Records of signed-in browsers.
//!
//! As with tokens only a hash of the cookie is kept. A session ends at a fixed time and when it was idle for too long.

use super::{Catalog, failed, row};
use crate::Result;
use crate::catalog::users::Role;
use crate::id::Id;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its public id, to end it by.
    pub id: Id,
    /// Who.
    pub user: String,
    /// What they may do now.
    pub role: Role,
    /// Address of the browser at sign-in.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

const QUERY: &str = "SELECT s.id, s.user_name, u.role, s.address, s.agent, s.created_at, s.seen_at, s.expires_at
                     FROM sessions s JOIN users u ON u.name = s.user_name";

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row::id(row, 0)?,
        user: row.get(1)?,
        role: if row.get::<_, String>(2)? == "ADMIN" { Role::Admin } else { Role::Viewer },
        address: row.get(3)?,
        agent: row.get(4)?,
        created_at: row::time(row, 5)?,
        seen_at: row::time(row, 6)?,
        expires_at: row::time(row, 7)?,
    })
}

impl Catalog {
    /// Adds a session and forgets the expired ones.
    pub fn session_add(&self, session: &Session, secret_hash: &str) -> Result<()> {
        let doing = |cause| failed("adding a session", cause);
        self.write(|tx| {
            tx.execute("DELETE FROM sessions WHERE expires_at <= $1", [session.created_at.as_millisecond()])
                .map_err(doing)?;
            tx.execute(
                "INSERT INTO sessions (secret_hash, id, user_name, address, agent, created_at, seen_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                (
                    secret_hash,
                    session.id.as_str(),
                    &session.user,
                    &session.address,
                    &session.agent,
                    session.created_at.as_millisecond(),
                    session.seen_at.as_millisecond(),
                    session.expires_at.as_millisecond(),
                ),
            )
            .map_err(doing)?;
            Ok(())
        })
    }

    /// The session with this hash, unless it has ended or was idle for `idle_ms_max`. Notes its use once a minute.
    pub fn session_by_secret(&self, secret_hash: &str, now: Timestamp, idle_ms_max: i64) -> Result<Option<Session>> {
        let doing = |cause| failed("looking up a session", cause);
        let now_ms = now.as_millisecond();
        let session = self
            .connection()
            .query_row(
                &format!("{QUERY} WHERE s.secret_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3"),
                (secret_hash, now_ms, now_ms - idle_ms_max),
                read,
            )
            .optional()
            .map_err(doing)?;
        if session.as_ref().is_some_and(|session| now.as_second() - session.seen_at.as_second() >= 60) {
            self.write(|tx| {
                tx.execute("UPDATE sessions SET seen_at = $1 WHERE secret_hash = $2", (now_ms, secret_hash))
                    .map_err(doing)
            })?;
        }
        Ok(session)
    }

    /// Sessions of one person, or of everybody, newest first.
    pub fn sessions(&self, user: Option<&str>, now: Timestamp) -> Result<Vec<Session>> {
        let doing = |cause| failed("reading the sessions", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare(&format!(
                "{QUERY} WHERE s.expires_at > $1 AND ($2 IS NULL OR s.user_name = $2) ORDER BY s.created_at DESC"
            ))
            .map_err(doing)?;
        let rows = statement.query_map((now.as_millisecond(), user), read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Ends a session; only of `user`, when given. Says whether there was one.
    pub fn session_end(&self, id: &str, user: Option<&str>) -> Result<bool> {
        self.write(|tx| {
            tx.execute("DELETE FROM sessions WHERE id = $1 AND ($2 IS NULL OR user_name = $2)", (id, user))
                .map(|ended| ended > 0)
                .map_err(|cause| failed("ending a session", cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::users::User;

    #[test]
    fn a_session_ends_when_idle_and_at_its_time_and_with_its_user() {
        let catalog = Catalog::in_memory().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let user = User {
            name: "ann".to_owned(),
            role: Role::Admin,
            password_hash: None,
            email: None,
            created_at: at(0),
            signed_in_at: None,
        };
        catalog.user_add(&user).unwrap();
        catalog.user_add(&User { name: "bob".to_owned(), ..user }).unwrap();
        let session = Session {
            id: Id::generate().unwrap(),
            user: "ann".to_owned(),
            role: Role::Admin,
            address: "::1".to_owned(),
            agent: String::new(),
            created_at: at(0),
            seen_at: at(0),
            expires_at: at(1000),
        };
        catalog.session_add(&session, "h").unwrap();
        assert!(catalog.session_by_secret("h", at(299), 300_000).unwrap().is_some());
        assert!(catalog.session_by_secret("h", at(598), 300_000).unwrap().is_some(), "use prolongs it");
        assert!(catalog.session_by_secret("h", at(899), 300_000).unwrap().is_none(), "idle");
        assert!(catalog.session_by_secret("h", at(1000), 3_000_000).unwrap().is_none(), "over");
        catalog.user_remove("ann").unwrap();
        assert!(catalog.sessions(None, at(0)).unwrap().is_empty());
    }
}
