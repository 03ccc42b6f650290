//! Extensions that only a superuser may create, where the restoring role is none.
//!
//! The database of an application often holds one that the administrator put there, to watch the server or for PostGIS. In the
//! live database it stays where it is (the restore is one transaction then). In a new one it is left out and named: nothing
//! may rest on it, and if something does, that fails and says why. What is known to be left out is no difference to the manifest.

use super::inspect::list;
use crate::manifest::DatabaseFigures;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::{database, lacks_a_name};
use crate::source::postgres::sql::identifier;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeSet;

/// An extension that the role may not create.
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// What `pg_dump` does not say of the restored database any more; the first creates it.
    pub statements: Vec<String>,
}

/// Extensions that a restore does without.
#[derive(Default)]
pub struct AllLeftOut(pub Vec<LeftOut>);

impl AllLeftOut {
    /// Takes a statement that creates an extension and was refused, or one about an extension that is left out. Gives back
    /// what is wrong with any other.
    pub fn take(&mut self, statement: &str, ran: Result<()>) -> Result<()> {
        let refused = ran.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        match created(statement).filter(|_| refused) {
            Some(name) => self.0.push(LeftOut { name, statements: vec![statement.to_owned()] }),
            None => return ran.map_err(|error| self.explained(error)),
        }
        Ok(())
    }

    /// Whether the statement is about one of them, and so left out too.
    pub fn concerns(&mut self, statement: &str) -> bool {
        let extension = self.0.iter_mut().find(|extension| comments_on(statement, &extension.name));
        extension.map(|extension| extension.statements.push(statement.to_owned())).is_some()
    }

    /// What fails for want of a name may rest on one of them.
    pub fn explained(&self, error: Error) -> Error {
        if self.0.is_empty() || !lacks_a_name(&error) {
            return error;
        }
        let names: Vec<_> = self.0.iter().map(|extension| &*extension.name).collect();
        error.with_hint(format!(
            "The role may not create the extension {}: does this need it? Restore as a superuser (for drills there is `drill_url`), or \
             have one make the new database with the extension in it, and restore into that.",
            names.join(", ")
        ))
    }

    /// They were named; all others are compared.
    pub fn forgive(&self, figures: &mut DatabaseFigures, expected: Option<&DatabaseFigures>) {
        let names = |figures: &DatabaseFigures| list(figures, "extensions").into_iter().collect::<BTreeSet<_>>();
        let mut there = names(figures);
        there.extend(self.0.iter().map(|extension| extension.name.clone()));
        if let Some(expected) = expected.filter(|expected| !self.0.is_empty() && names(expected) == there) {
            figures
                .values
                .extend(expected.values.get_key_value("extensions").map(|(key, list)| (key.clone(), list.clone())));
            figures.objects.insert("extensions".to_owned(), there.len() as u64);
        }
    }
}

/// Backups of earlier versions list the owners of what extensions brought, too. All other owners are in the definitions.
pub fn forgive_owners(figures: &mut DatabaseFigures, expected: Option<&DatabaseFigures>) {
    let roles = |figures: &DatabaseFigures| list(figures, "roles").into_iter().collect::<BTreeSet<_>>();
    let Some(expected) = expected else { return };
    let has_extensions = list(expected, "extensions").iter().any(|name| name != "plpgsql");
    if has_extensions && roles(figures).is_subset(&roles(expected)) {
        figures.values.extend(expected.values.get_key_value("roles").map(|(key, list)| (key.clone(), list.clone())));
    }
}

/// Whether a statement is the comment of this extension.
pub fn comments_on(statement: &str, extension: &str) -> bool {
    let Some(rest) = statement.strip_prefix("COMMENT ON EXTENSION ") else { return false };
    rest.starts_with(&format!("{extension} ")) || rest.starts_with(&format!("{} ", identifier(extension)))
}

fn created(statement: &str) -> Option<String> {
    let rest = statement.strip_prefix("CREATE EXTENSION IF NOT EXISTS ")?;
    let name = rest.split_once(" WITH SCHEMA ").map_or(rest, |(name, _)| name);
    Some(name.trim_matches('"').replace("\"\"", "\""))
}

/// Extensions of the backup that the server has and the role may not create.
pub fn beyond_the_role(client: &mut Client, expected: &DatabaseFigures) -> Result<Vec<String>> {
    let query = "SELECT a.name::text FROM pg_catalog.pg_available_extensions a
      WHERE a.name::text = ANY ($1) AND a.name <> 'plpgsql'
        AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_available_extension_versions v
                         WHERE v.name = a.name AND (NOT v.superuser OR v.trusted)) ORDER BY 1";
    let rows = client
        .query(query, &[&list(expected, "extensions")])
        .map_err(|error| database("looking for extensions", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_extensions_in_older_backups_are_forgiven_and_nothing_else() {
        let figures = |roles: &str, extensions: &str| DatabaseFigures {
            values: [("roles", roles), ("extensions", extensions)]
                .map(|(key, list)| (key.to_owned(), list.to_owned()))
                .into(),
            ..DatabaseFigures::default()
        };
        let after = |there: &str, expected: &str, extensions: &str| {
            let mut there = figures(there, extensions);
            forgive_owners(&mut there, Some(&figures(expected, extensions)));
            there.values["roles"].clone()
        };
        let hstore = r#"["hstore","plpgsql"]"#;
        assert_eq!(after(r#"["app"]"#, r#"["app","postgres"]"#, hstore), r#"["app","postgres"]"#);
        assert_eq!(after(r#"["app"]"#, r#"["app","postgres"]"#, r#"["plpgsql"]"#), r#"["app"]"#);
        assert_eq!(after(r#"["app","other"]"#, r#"["app","postgres"]"#, hstore), r#"["app","other"]"#);
    }

    #[test]
    fn statements_about_extensions_are_told_from_others() {
        assert_eq!(created("CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public").as_deref(), Some("postgis"));
        assert_eq!(created("CREATE EXTENSION IF NOT EXISTS \"a \"\"b\" WITH SCHEMA x").as_deref(), Some("a \"b"));
        assert_eq!(created("CREATE TABLE x ()"), None);
        assert!(comments_on("COMMENT ON EXTENSION \"uuid-ossp\" IS 'x'", "uuid-ossp"));
        assert!(!comments_on("COMMENT ON EXTENSION cubes IS 'x'", "cube"));
    }
}
