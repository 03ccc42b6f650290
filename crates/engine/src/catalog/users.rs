//! Records of the people who may sign in.
//!
//! A name is lower-cased before it is stored or looked up: `Ann` and `ann` are one person. The password is a hash in PHC
//! form, made by the caller; the catalog never sees the password.

use super::{Catalog, failed, row};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Everything.
    Admin,
    /// Looking.
    Viewer,
}

impl Role {
    /// As in JSON, in tokens and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Viewer => "VIEWER",
        }
    }

    /// Reads a role; upper or lower case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_uppercase().as_str() {
            "ADMIN" => Ok(Self::Admin),
            "VIEWER" => Ok(Self::Viewer),
            _ => Err(Error::new(ErrorKind::Usage, format!("{text:?} is not a role"), "Take ADMIN or VIEWER.")),
        }
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name to sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Hash of the password in PHC form.
    pub password_hash: Option<String>,
    /// Address for notices.
    pub email: Option<String>,
    /// When they were added.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
}

const COLUMNS: &str = "name, role, password_hash, email, created_at, signed_in_at";

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        role: if row.get::<_, String>(1)? == "ADMIN" { Role::Admin } else { Role::Viewer },
        password_hash: row.get(2)?,
        email: row.get(3)?,
        created_at: row::time(row, 4)?,
        signed_in_at: row::time_optional(row, 5)?,
    })
}

/// A name in the form in which it is stored; refuses what would confuse a log or a terminal.
pub fn normal_name(name: &str) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        return Err(Error::new(
            ErrorKind::Usage,
            "a user's name has 1 to 64 letters, digits or . _ - @ +",
            "Choose another name.",
        ));
    }
    Ok(name.to_ascii_lowercase())
}

impl Catalog {
    /// Adds a person; refuses a name that is taken.
    pub fn user_add(&self, user: &User) -> Result<()> {
        let name = normal_name(&user.name)?;
        self.write(|tx| {
            let added = tx
                .execute(
                    "INSERT INTO users (name, role, password_hash, email, created_at) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT DO NOTHING",
                    (&name, user.role.name(), &user.password_hash, &user.email, user.created_at.as_millisecond()),
                )
                .map_err(|cause| failed("adding a user", cause))?;
            if added == 0 {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("there is a user {name:?} already"),
                    "Choose another name, or change that user.",
                ));
            }
            Ok(())
        })
    }

    /// One person.
    pub fn user(&self, name: &str) -> Result<Option<User>> {
        self.connection()
            .query_row(&format!("SELECT {COLUMNS} FROM users WHERE name = $1"), [name.to_ascii_lowercase()], read)
            .optional()
            .map_err(|cause| failed("reading a user", cause))
    }

    /// Everybody, by name.
    pub fn users(&self) -> Result<Vec<User>> {
        let doing = |cause| failed("reading the users", cause);
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM users ORDER BY name")).map_err(doing)?;
        let rows = statement.query_map([], read).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Changes role, password or address of a person; what is `None` stays. A new password or role ends their sessions.
    /// Refuses to take the role from the last administrator.
    pub fn user_change(
        &self,
        name: &str,
        role: Option<Role>,
        password_hash: Option<&str>,
        email: Option<&str>,
    ) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let doing = |cause| failed("changing a user", cause);
        self.write(|tx| {
            if role == Some(Role::Viewer) {
                refuse_last_admin(tx, &name)?;
            }
            let changed = tx
                .execute(
                    "UPDATE users SET role = COALESCE($1, role), password_hash = COALESCE($2, password_hash),
                     email = COALESCE($3, email) WHERE name = $4",
                    (role.map(Role::name), password_hash, email, &name),
                )
                .map_err(doing)?;
            if changed == 0 {
                return Err(unknown(&name));
            }
            if role.is_some() || password_hash.is_some() {
                tx.execute("DELETE FROM sessions WHERE user_name = $1", [&name]).map_err(doing)?;
            }
            Ok(())
        })
    }

    /// Removes a person and their sessions. Refuses to remove the last administrator.
    pub fn user_remove(&self, name: &str) -> Result<()> {
        let name = name.to_ascii_lowercase();
        self.write(|tx| {
            refuse_last_admin(tx, &name)?;
            let removed = tx
                .execute("DELETE FROM users WHERE name = $1", [&name])
                .map_err(|cause| failed("removing a user", cause))?;
            if removed == 0 { Err(unknown(&name)) } else { Ok(()) }
        })
    }

    /// Notes a successful sign-in.
    pub fn user_signed_in(&self, name: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE users SET signed_in_at = $1 WHERE name = $2", (now.as_millisecond(), name))
                .map_err(|cause| failed("noting a sign-in", cause))?;
            Ok(())
        })
    }

    /// Whether anybody can administer the service with a password.
    pub fn has_admin(&self) -> Result<bool> {
        self.connection()
            .query_row("SELECT EXISTS (SELECT 1 FROM users WHERE role = 'ADMIN')", [], |row| row.get(0))
            .map_err(|cause| failed("looking for an administrator", cause))
    }
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no user {name:?}"), "`strongroom user list` shows them.")
}

fn refuse_last_admin(tx: &rusqlite::Transaction<'_>, name: &str) -> Result<()> {
    let last: bool = tx
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM users WHERE name = $1 AND role = 'ADMIN')
             AND NOT EXISTS (SELECT 1 FROM users WHERE name <> $1 AND role = 'ADMIN')",
            [name],
            |row| row.get(0),
        )
        .map_err(|cause| failed("looking for other administrators", cause))?;
    if last {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{name:?} is the last administrator"),
            "Make somebody else an administrator first.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, role: Role) -> User {
        User {
            name: name.to_owned(),
            role,
            password_hash: Some("hash".to_owned()),
            email: None,
            created_at: Timestamp::UNIX_EPOCH,
            signed_in_at: None,
        }
    }

    #[test]
    fn the_last_administrator_stays() {
        let catalog = Catalog::in_memory().unwrap();
        catalog.user_add(&user("Ann", Role::Admin)).unwrap();
        catalog.user_add(&user("bob", Role::Viewer)).unwrap();
        assert_eq!(catalog.user_remove("ann").unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(catalog.user_change("ann", Some(Role::Viewer), None, None).unwrap_err().kind(), ErrorKind::Refused);
        catalog.user_change("bob", Some(Role::Admin), None, None).unwrap();
        catalog.user_remove("ANN").unwrap();
        assert!(catalog.user("ann").unwrap().is_none());
    }

    #[test]
    fn a_name_is_taken_in_any_case() {
        let catalog = Catalog::in_memory().unwrap();
        catalog.user_add(&user("ann", Role::Admin)).unwrap();
        assert_eq!(catalog.user_add(&user("ANN", Role::Admin)).unwrap_err().kind(), ErrorKind::Refused);
        assert!(normal_name("a\u{1b}[2J").is_err());
    }
}
