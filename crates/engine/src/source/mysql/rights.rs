//! What the account may do, read from its own GRANTs, and the GRANTs that are missing.
//!
//! A server shows an account only what it may see: without the right to a table, trigger or event it looks as if there were
//! none. A backup by such an account would be smaller and look whole. So rights are checked on the whole database first, and
//! anything missing is an error, never a smaller backup.

use super::introspect::version;
use super::session::{Flavour, Session, quote_name, quote_text, text_at};
use crate::{Error, ErrorKind, Result};

/// Rights without which something would be overlooked, on the whole database.
const NEEDED: &[&str] = &["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

/// What an account may do that matters here.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// `'user'@'host'`
    pub account: String,
    /// Rights of [`NEEDED`] that are missing.
    pub missing: Vec<&'static str>,
    /// May see the bodies of routines that others own.
    pub foreign_routines: bool,
    /// Sees the bodies of all routines that there are.
    pub routines: bool,
    /// May make routines, views, triggers and events that others own.
    pub set_definer: bool,
    /// May lock all tables for a moment: the global read lock.
    pub reload: bool,
    /// May lock tables of this database.
    pub lock_tables: bool,
    flavour: Option<Flavour>,
}

/// One line of SHOW GRANTS.
#[derive(Debug, PartialEq)]
struct Grant {
    privileges: Vec<String>,
    /// `*.*`, `` `crm`.* ``, `` `crm`.`t` ``
    object: String,
}

impl Rights {
    /// Reads them for `database`.
    pub fn read(session: &mut Session, database: &str) -> Result<Self> {
        let (account, grants) = grants(session)?;
        let proc = |object: &str| matches!(object, "*.*" | "`mysql`.*" | "`mysql`.`proc`");
        let foreign_routines = match session.flavour {
            // Before 11.3 there is no such right, and `ALL` does not mean it.
            Flavour::MariaDb => {
                let has_right = version(&session.version) >= (11, 3);
                grants.allow("SELECT", &proc) || (has_right && grants.here("SHOW CREATE ROUTINE", database))
            }
            Flavour::MySql => grants.allow("SHOW_ROUTINE", &global) || grants.allow("SELECT", &global),
        };
        // Who may run all of them has them listed, and his own with their bodies.
        let routines =
            foreign_routines || (grants.here("EXECUTE", database) && hidden_routines(session, database)? == 0);
        let definers = ["SET USER", "SUPER", "SET_USER_ID", "SET_ANY_DEFINER"];
        Ok(Self {
            account,
            missing: NEEDED.iter().copied().filter(|right| !grants.here(right, database)).collect(),
            foreign_routines,
            routines,
            set_definer: definers.iter().any(|right| grants.allow(right, &global)),
            reload: grants.allow("RELOAD", &global),
            lock_tables: grants.here("LOCK TABLES", database),
            flavour: Some(session.flavour),
        })
    }

    /// GRANT statements without which a backup is refused.
    pub fn grants_needed(&self, database: &str) -> Vec<String> {
        let mut grants = Vec::new();
        if !self.missing.is_empty() {
            grants.push(format!(
                "GRANT {} ON {}.* TO {};",
                self.missing.join(", "),
                quote_name(database),
                self.account
            ));
        }
        if !self.routines {
            grants.push(self.foreign_routines_grant());
        }
        grants
    }

    /// The statement that lets the account see the bodies of routines that others own.
    pub fn foreign_routines_grant(&self) -> String {
        match self.flavour {
            Some(Flavour::MySql) => format!("GRANT SHOW_ROUTINE ON *.* TO {};", self.account),
            _ => format!("GRANT SELECT ON mysql.proc TO {};", self.account),
        }
    }

    /// The statement that lets the account make what others own.
    pub fn set_definer_grant(&self) -> String {
        let right = if self.flavour == Some(Flavour::MySql) { "SET_USER_ID" } else { "SET USER" };
        format!("GRANT {right} ON *.* TO {};", self.account)
    }

    /// GRANT statements that make the backup better: parallel, and of one instant for every engine.
    pub fn grants_advised(&self, database: &str) -> Vec<String> {
        let mut grants = Vec::new();
        if !self.reload {
            grants.push(format!("GRANT RELOAD ON *.* TO {};", self.account));
        }
        if !self.lock_tables {
            grants.push(format!("GRANT LOCK TABLES ON {}.* TO {};", quote_name(database), self.account));
        }
        grants
    }

    /// Refuses where something would be overlooked.
    pub fn require(&self, database: &str) -> Result<()> {
        let grants = self.grants_needed(database);
        if grants.is_empty() {
            return Ok(());
        }
        let what = if self.missing.is_empty() { "the bodies of routines".to_owned() } else { self.missing.join(", ") };
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{} lacks rights on the whole database {database} ({what}): what it cannot see would be missing from the backup",
                self.account
            ),
            format!("As an administrator of the server: {}", grants.join(" ")),
        ))
    }
}

/// Routines of which the server shows that they are there and not what they do.
fn hidden_routines(session: &mut Session, database: &str) -> Result<u64> {
    session.number(&format!(
        "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {} AND ROUTINE_DEFINITION IS NULL",
        quote_text(database)
    ))
}

/// The account, quoted, and those of the `needed` rights that it lacks on the whole database.
pub(crate) fn missing(
    session: &mut Session,
    database: &str,
    needed: &[&'static str],
) -> Result<(String, Vec<&'static str>)> {
    let (account, grants) = grants(session)?;
    Ok((account, needed.iter().copied().filter(|right| !grants.here(right, database)).collect()))
}

/// All that the session's account and its active role were granted.
struct Grants(Vec<Grant>);

impl Grants {
    fn allow(&self, right: &str, reach: &dyn Fn(&str) -> bool) -> bool {
        self.0.iter().any(|grant| {
            reach(&grant.object) && grant.privileges.iter().any(|held| held == right || held.starts_with("ALL"))
        })
    }

    fn here(&self, right: &str, database: &str) -> bool {
        self.allow(right, &|object| object == "*.*" || covers(object, database))
    }
}

fn global(object: &str) -> bool {
    object == "*.*"
}

fn grants(session: &mut Session) -> Result<(String, Grants)> {
    let account = session.text("SELECT CURRENT_USER()")?.unwrap_or_default();
    let mut lines = session.rows("SHOW GRANTS")?;
    if session.flavour == Flavour::MariaDb && session.text("SELECT CURRENT_ROLE()")?.is_some() {
        lines.extend(session.rows("SHOW GRANTS FOR CURRENT_ROLE()")?);
    }
    let grants = lines.iter().filter_map(|row| parse(&text_at(row, 0))).collect();
    Ok((quote_account(&account), Grants(grants)))
}

fn quote_account(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"))
}

/// `GRANT a, b (c) ON x.y TO …`; lines about columns, routines and proxies say nothing here.
fn parse(line: &str) -> Option<Grant> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let object = rest.split(" TO ").next()?;
    if privileges.contains('(') || object.starts_with("FUNCTION ") || object.starts_with("PROCEDURE ") {
        return None;
    }
    let privileges = privileges.split(", ").map(|right| right.trim().to_ascii_uppercase()).collect();
    Some(Grant { privileges, object: object.to_owned() })
}

/// Whether `` `pattern`.* `` covers the database: `_` and `%` are wildcards unless escaped.
fn covers(object: &str, database: &str) -> bool {
    let Some(pattern) = object.strip_suffix(".*") else { return false };
    let pattern = pattern.trim_matches('`').replace("``", "`");
    matches(&pattern.chars().collect::<Vec<_>>(), &database.chars().collect::<Vec<_>>())
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        ['_', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => text.first() == Some(literal) && matches(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_line_is_read() {
        let grant = parse("GRANT SELECT, LOCK TABLES ON `crm\\_x`.* TO `u`@`%` WITH GRANT OPTION").unwrap();
        assert_eq!(grant.privileges, ["SELECT", "LOCK TABLES"]);
        assert!(covers(&grant.object, "crm_x") && !covers(&grant.object, "crm1x"));
        assert!(covers("`crm%`.*", "crm_live") && !covers("`crm`.`t`", "crm"));
        assert_eq!(parse("GRANT SELECT (a) ON `crm`.`t` TO `u`@`%`"), None);
    }
}
