//! What belongs to a database as a whole and is in no schema: encoding and collation, owner, settings, grants. `pg_dump`
//! writes these only with `--create`, under the database's own name; here they are kept as values, because they are put
//! back under another.

use super::client::Client;
use super::layout::{names, one, rows};
use super::sql;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What belongs to a database as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseProperties {
    /// Its name where it was dumped.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// Locale of the `icu` and `builtin` providers.
    pub locale: Option<String>,
    /// `COMMENT ON DATABASE`.
    pub comment: Option<String>,
    /// -1 for no limit.
    pub connection_limit: i32,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<Setting>,
    /// Who may do what; `None` is PostgreSQL's default.
    pub grants: Option<Vec<Grant>>,
}

/// A setting of the database, or of a role in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The role, if it is one's.
    pub role: Option<String>,
    /// `search_path`.
    pub name: String,
    /// As the catalog holds it.
    pub value: String,
}

/// A privilege on the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// A role; `None` is PUBLIC.
    pub grantee: Option<String>,
    /// `CONNECT`.
    pub privilege: String,
    /// `WITH GRANT OPTION`.
    pub grantable: bool,
}

/// Settings that hold lists of quoted names and must be written back item by item.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl DatabaseProperties {
    pub(crate) fn read(client: &mut Client) -> Result<Self> {
        let (provider, locale) = locale_columns(client)?;
        let row = one(
            client,
            &format!(
                "SELECT d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text,
                   d.datcollate::text, d.datctype::text, {provider}, {locale}, pg_catalog.shobj_description(d.oid, 'pg_database'),
                   d.datconnlimit, d.datacl IS NOT NULL
                   FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"
            ),
        )?;
        Ok(Self {
            name: row.get(0),
            owner: row.get(1),
            encoding: row.get(2),
            collate: row.get(3),
            ctype: row.get(4),
            locale_provider: row.get(5),
            locale: row.get(6),
            comment: row.get(7),
            connection_limit: row.get(8),
            settings: settings(client)?,
            grants: if row.get(9) { Some(grants(client)?) } else { None },
        })
    }

    /// Whether another database is set up alike: settings, grants, comment, limit.
    pub fn same_settings(&self, other: &Self) -> bool {
        let of = |database: &Self| {
            (database.settings.clone(), database.grants.clone(), database.comment.clone(), database.connection_limit)
        };
        of(self) == of(other)
    }

    /// `CREATE DATABASE` with the same encoding and collation.
    pub fn create_statement(&self, name: &str, server_version_number: i32, owner: Option<&str>) -> String {
        let mut statement = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            sql::identifier(name),
            sql::literal(&self.encoding),
            sql::literal(&self.collate),
            sql::literal(&self.ctype)
        );
        if server_version_number >= 150_000 && self.locale_provider != "libc" {
            let _ = write!(statement, " LOCALE_PROVIDER {}", sql::identifier(&self.locale_provider));
            if let Some(locale) = &self.locale {
                let word = if self.locale_provider == "icu" { "ICU_LOCALE" } else { "BUILTIN_LOCALE" };
                let _ = write!(statement, " {word} {}", sql::literal(locale));
            }
        }
        if let Some(owner) = owner {
            let _ = write!(statement, " OWNER {}", sql::identifier(owner));
        }
        statement
    }

    /// Statements that give another database (`target`: its name, quoted) these settings, grants and comment.
    pub fn statements(&self, target: &str) -> Vec<String> {
        let mut statements = Vec::new();
        if let Some(comment) = &self.comment {
            statements.push(format!("COMMENT ON DATABASE {target} IS {}", sql::literal(comment)));
        }
        if self.connection_limit != -1 {
            statements.push(format!("ALTER DATABASE {target} CONNECTION LIMIT {}", self.connection_limit));
        }
        for setting in &self.settings {
            let whose = setting.role.as_ref().map_or_else(
                || format!("ALTER DATABASE {target}"),
                |role| format!("ALTER ROLE {} IN DATABASE {target}", sql::identifier(role)),
            );
            statements.push(format!("{whose} SET {} TO {}", setting_name(&setting.name), setting_value(setting)));
        }
        if let Some(grants) = &self.grants {
            statements.push(format!("REVOKE ALL ON DATABASE {target} FROM PUBLIC"));
            statements.push(format!("REVOKE ALL ON DATABASE {target} FROM {}", sql::identifier(&self.owner)));
            for grant in grants {
                let grantee = grant.grantee.as_ref().map_or_else(|| "PUBLIC".to_owned(), |role| sql::identifier(role));
                let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
                statements.push(format!("GRANT {} ON DATABASE {target} TO {grantee}{option}", grant.privilege));
            }
        }
        statements
    }
}

/// The columns' names changed in 15 and 17.
fn locale_columns(client: &mut Client) -> Result<(&'static str, &'static str)> {
    let columns = names(
        client,
        "SELECT attname::text FROM pg_catalog.pg_attribute
          WHERE attrelid = 'pg_catalog.pg_database'::pg_catalog.regclass AND attname IN ('datlocale', 'daticulocale')",
    )?;
    Ok(match columns.first().map(String::as_str) {
        None => ("'libc'", "NULL::text"),
        Some(column) => (
            "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END",
            if column == "datlocale" { "d.datlocale::text" } else { "d.daticulocale::text" },
        ),
    })
}

fn settings(client: &mut Client) -> Result<Vec<Setting>> {
    let query = "SELECT r.rolname::text, pg_catalog.split_part(c.config, '=', 1),
           pg_catalog.substr(c.config, pg_catalog.strpos(c.config, '=') + 1)
      FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) WITH ORDINALITY AS c (config, position)
     WHERE d.datname = pg_catalog.current_database() AND (s.setrole = 0 OR r.oid IS NOT NULL)
     ORDER BY r.rolname::text COLLATE \"C\" NULLS FIRST, c.position";
    Ok(rows(client, query)?
        .into_iter()
        .map(|row| Setting { role: row.get(0), name: row.get(1), value: row.get(2) })
        .collect())
}

fn grants(client: &mut Client) -> Result<Vec<Grant>> {
    let query = "SELECT r.rolname::text, a.privilege_type, a.is_grantable
      FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE d.datname = pg_catalog.current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)
     ORDER BY r.rolname::text COLLATE \"C\" NULLS FIRST, 2, 3";
    Ok(rows(client, query)?
        .into_iter()
        .map(|row| Grant { grantee: row.get(0), privilege: row.get(1), grantable: row.get(2) })
        .collect())
}

/// `myapp.tenant` must stay two names.
fn setting_name(name: &str) -> String {
    name.split('.').map(sql::identifier).collect::<Vec<_>>().join(".")
}

fn setting_value(setting: &Setting) -> String {
    if !LISTS.contains(&setting.name.to_lowercase().as_str()) {
        return sql::literal(&setting.value);
    }
    let items = list_items(&setting.value);
    if items.is_empty() {
        "''".to_owned()
    } else {
        items.iter().map(|item| sql::literal(item)).collect::<Vec<_>>().join(", ")
    }
}

/// Splits `a, "b, ""c"` at commas outside quotes, quotes taken off.
fn list_items(value: &str) -> Vec<String> {
    let (mut items, mut item, mut quoted, mut seen) = (Vec::new(), String::new(), false, false);
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                item.push('"');
            }
            '"' => {
                quoted = !quoted;
                seen = true;
            }
            ',' if !quoted => {
                items.push(std::mem::take(&mut item));
                seen = false;
            }
            other if other.is_whitespace() && !quoted => {}
            other => item.push(other),
        }
    }
    if seen || !item.is_empty() || !items.is_empty() {
        items.push(item);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_back_item_by_item() {
        let setting = |name: &str, value: &str| Setting { role: None, name: name.into(), value: value.into() };
        assert_eq!(
            setting_value(&setting("search_path", "\"$user\", public, \"a, \"\"b\"")),
            "'$user', 'public', 'a, \"b'"
        );
        assert_eq!(setting_value(&setting("search_path", "\"\"")), "''");
        assert_eq!(setting_value(&setting("search_path", "")), "''");
        assert_eq!(setting_value(&setting("work_mem", "4MB")), "'4MB'");
        assert_eq!(setting_name("my.x"), "\"my\".\"x\"");
    }
}
