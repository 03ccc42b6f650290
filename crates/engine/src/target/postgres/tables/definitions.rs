//! The statements of a schema that define single tables: for those that are gone and are made anew.
//!
//! `pg_dump` writes every name in full and every statement in one of few forms, so a statement tells what it is about.

use super::keys::{self, Key};
use super::{OwnPath, run_led};
use crate::manifest::TableId;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::sql;
use crate::source::postgres::statements::{after_word, is_session, split};
use crate::target::postgres::schema::{IN_ANOTHERS_NAME, IN_OUR_NAME, run, run_grants};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A schema and a name, without quotes.
type Name = (String, String);

/// Tables that are made anew.
pub struct Definitions {
    /// These tables, and the sequences of their columns.
    made: BTreeSet<Name>,
    tables: BTreeSet<Name>,
    /// These tables, and those that they are partitions of: a key that referred to either went with them.
    referred: BTreeSet<Name>,
    /// Grants come after the rows.
    grants: Vec<String>,
    /// Partitions of tables that are there: attached with their rows and indexes, or the server would make them other indexes.
    attachments: Vec<String>,
    /// Indexes of these tables, constraints' ones among them.
    indexes: BTreeSet<Name>,
    /// The schema's second half.
    pub after_rows: Option<String>,
}

impl Definitions {
    /// Of these tables.
    pub fn of(tables: Vec<TableId>) -> Self {
        let tables: BTreeSet<Name> =
            tables.into_iter().map(|id| (id.schema.unwrap_or_else(|| "public".to_owned()), id.name)).collect();
        let (grants, attachments, indexes) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (made, referred) = (tables.clone(), tables.clone());
        Self { made, tables, referred, grants, attachments, indexes, after_rows: None }
    }

    /// Makes the tables.
    pub fn before_rows(&mut self, client: &mut Client, text: &str, own_path: &OwnPath) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let statements = split(text);
        for statement in &statements {
            if let Some((sequence, table)) = columns_sequence(statement)
                && self.tables.contains(&table)
            {
                self.made.insert(sequence);
            }
        }
        let parents: BTreeMap<Name, Name> =
            statements.iter().filter_map(|statement| Some((subject(statement)?, attached_to(statement)?))).collect();
        for table in &self.tables {
            self.referred.extend(std::iter::successors(parents.get(table), |table| parents.get(*table)).cloned());
        }
        let mut anothers_name = None;
        for statement in statements {
            if statement.starts_with(IN_ANOTHERS_NAME) {
                anothers_name = Some(statement);
            } else if statement.starts_with(IN_OUR_NAME) {
                anothers_name = None;
            }
            let is_grant = statement.starts_with("GRANT ") || statement.starts_with("REVOKE ");
            let is_ours = subject(statement).is_some_and(|name| self.made.contains(&name));
            if is_ours && is_grant {
                self.grants.extend(anothers_name.map(str::to_owned));
                self.grants.push(statement.to_owned());
                self.grants.extend(anothers_name.map(|_| IN_OUR_NAME.to_owned()));
            } else if is_ours && attached_to(statement).is_some_and(|parent| !self.made.contains(&parent)) {
                self.attachments.push(statement.to_owned());
            } else if is_ours || is_setting(statement) {
                make(run_led(own_path, client, statement))?;
            }
        }
        Ok(())
    }

    /// Indexes, keys, triggers, policies and grants, and the keys by which other tables referred to these, but for those that
    /// were only `taken_away` and are made again later.
    pub fn after_rows(&mut self, client: &mut Client, own_path: &OwnPath, taken_away: &[Key]) -> Result<()> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let text = self.after_rows.take().ok_or_else(|| {
            Error::new(ErrorKind::Truncated, "the export ends without 1-post-data.sql", "Use another backup.")
        })?;
        let (mut keys, mut comments) = (BTreeMap::new(), Vec::new());
        for statement in split(&text) {
            if let Some(key) = commented_key(statement)
                && keys.contains_key(&key)
            {
                comments.push(statement);
            } else if let Some((table, constraint, refers_to)) = foreign_key(statement) {
                let is_ours = self.made.contains(&table) || self.referred.contains(&refers_to);
                let comes_later = taken_away.iter().any(|key| key.is(&table, &constraint));
                if is_ours && !comes_later && is_missing(client, &table, &constraint)? {
                    keys.insert((table, constraint), (statement, refers_to));
                }
            } else if subject(statement).is_some_and(|name| self.made.contains(&name)) || is_setting(statement) {
                make(run_led(own_path, client, statement))?;
                self.indexes.extend(index_of(statement));
            } else if let Some(rest) = statement.strip_prefix("ALTER INDEX ") {
                let both = [name(rest), after_word(rest, "PARTITION").and_then(name)];
                if both.iter().all(|index| index.as_ref().is_some_and(|index| self.indexes.contains(index))) {
                    make(run_led(own_path, client, statement))?;
                }
            }
        }
        self.attachments.iter().try_for_each(|statement| make(run_led(own_path, client, statement)))?;
        // Rows may refer to those of a partition that has just been attached.
        for ((table, _), (statement, refers_to)) in &keys {
            let [table, refers_to] = [table, refers_to].map(|(schema, name)| sql::qualified(schema, name));
            make(keys::add(client, own_path, statement, &table, &refers_to))?;
        }
        comments.iter().try_for_each(|statement| make(run_led(own_path, client, statement)))?;
        make(self.take_default_grants_back(client))?;
        make(run_grants(client, &self.grants))
    }

    /// Whoever makes a table gives what `ALTER DEFAULT PRIVILEGES` of his says; the table had what the backup says.
    fn take_default_grants_back(&self, client: &mut Client) -> Result<()> {
        const GRANTS: &str = "
          SELECT pg_catalog.format('REVOKE ALL ON %s %I.%I FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                   n.nspname, c.relname, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
                 pg_catalog.aclexplode(c.relacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
           WHERE n.nspname = $1 AND c.relname = $2 AND a.grantee <> c.relowner";
        for (schema, name) in &self.made {
            let grants =
                client.query(GRANTS, &[schema, name]).map_err(|error| database("looking for grants", error))?;
            grants.iter().try_for_each(|row| run(client, row.get(0)))?;
        }
        Ok(())
    }
}

/// A sequence and the table whose column it counts for.
fn columns_sequence(statement: &str) -> Option<(Name, Name)> {
    // ALTER SEQUENCE s OWNED BY t.c
    if let Some(owner) = statement.strip_prefix("ALTER SEQUENCE ").and_then(|rest| after_word(rest, "BY")) {
        return Some((subject(statement)?, name(owner)?));
    }
    // ALTER TABLE t ALTER COLUMN c ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME s …)
    let identity = after_word(statement.strip_prefix("ALTER TABLE ")?, "IDENTITY")?;
    let options = identity.trim_start().strip_prefix('(')?;
    Some((name(after_word(options, "NAME")?)?, subject(statement)?))
}

/// The partitioned table that a partition is attached to.
fn attached_to(statement: &str) -> Option<Name> {
    let rest = statement.strip_prefix("ALTER TABLE ")?;
    after_word(rest, "ATTACH")?;
    name(rest)
}

/// The index that a statement makes, as itself or for a constraint.
fn index_of(statement: &str) -> Option<Name> {
    let (schema, _) = subject(statement)?;
    let created = ["CREATE INDEX ", "CREATE UNIQUE INDEX "].iter().find_map(|form| statement.strip_prefix(form));
    let index = match created {
        Some(rest) => rest,
        None => after_word(statement.strip_prefix("ALTER TABLE ")?, "CONSTRAINT")?.trim_start(),
    };
    Some((schema, part(index)?.0))
}

/// What a table is made with, not what a session is: its access method.
fn is_setting(statement: &str) -> bool {
    is_session(statement) && statement.starts_with("SET default_table")
}

fn make(made: Result<()>) -> Result<()> {
    made.map_err(|error| {
        if error.kind() == ErrorKind::Refused {
            return error;
        }
        error.with_hint(
            "Nothing was changed. What the table needs (a type, a function, another table) must be there: restore the whole \
             database, or make it first.",
        )
    })
}

/// Whether a table is there without this constraint.
fn is_missing(client: &mut Client, (schema, table): &Name, constraint: &str) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                             WHERE n.nspname = $1 AND c.relname = $2 AND NOT EXISTS (
                               SELECT FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND conname = $3))",
            &[schema, table, &constraint],
        )
        .map_err(|error| database("looking for foreign keys", error))?;
    Ok(row.get(0))
}

/// The constraint that a comment is about, with its table.
fn commented_key(statement: &str) -> Option<(Name, String)> {
    let rest = statement.strip_prefix("COMMENT ON CONSTRAINT ")?;
    Some((name(after_word(rest, "ON")?)?, part(rest)?.0))
}

/// Table, constraint and what it refers to.
fn foreign_key(statement: &str) -> Option<(Name, String, Name)> {
    let rest = statement.strip_prefix("ALTER TABLE ")?;
    let table = name(rest.strip_prefix("ONLY ").unwrap_or(rest))?;
    let (constraint, _) = part(after_word(rest, "CONSTRAINT")?.trim_start())?;
    after_word(rest, "FOREIGN")?;
    Some((table, constraint, name(after_word(rest, "REFERENCES")?)?))
}

/// What a statement is about, where that is a table or a sequence.
fn subject(statement: &str) -> Option<Name> {
    /// How a statement begins, and the word after which the name stands; none: at once.
    const FORMS: [(&str, &str); 22] = [
        ("CREATE TABLE ", ""),
        ("CREATE UNLOGGED TABLE ", ""),
        ("CREATE SEQUENCE ", ""),
        ("CREATE UNLOGGED SEQUENCE ", ""),
        ("ALTER SEQUENCE ", ""),
        ("ALTER TABLE ", ""),
        ("COMMENT ON TABLE ", ""),
        ("COMMENT ON COLUMN ", ""),
        ("COMMENT ON SEQUENCE ", ""),
        ("COMMENT ON CONSTRAINT ", "ON"),
        ("COMMENT ON TRIGGER ", "ON"),
        ("COMMENT ON POLICY ", "ON"),
        ("COMMENT ON RULE ", "ON"),
        ("CREATE INDEX ", "ON"),
        ("CREATE UNIQUE INDEX ", "ON"),
        ("CREATE TRIGGER ", "ON"),
        ("CREATE CONSTRAINT TRIGGER ", "ON"),
        ("CREATE POLICY ", "ON"),
        ("CREATE RULE ", "TO"),
        ("CREATE STATISTICS ", "FROM"),
        ("GRANT ", "ON"),
        ("REVOKE ", "ON"),
    ];
    if let Some(partition) = statement.strip_prefix("ALTER TABLE ").and_then(|rest| after_word(rest, "PARTITION"))
        && after_word(statement, "ATTACH").is_some()
    {
        return name(partition);
    }
    if statement.starts_with("ALTER PUBLICATION ") {
        return name(after_word(statement, "TABLE")?);
    }
    let (form, word) = FORMS.iter().find(|(form, _)| statement.starts_with(form))?;
    let rest = &statement[form.len()..];
    name(if word.is_empty() { rest } else { after_word(rest, word)? })
}

/// `[TABLE|SEQUENCE] [ONLY] schema.name…`
fn name(text: &str) -> Option<Name> {
    let mut rest = text.trim_start();
    for word in ["TABLE ", "SEQUENCE ", "ONLY "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let (schema, rest) = part(rest)?;
    let (name, _) = part(rest.strip_prefix('.')?)?;
    Some((schema, name))
}

/// One part of a name, without quotes, and what follows.
fn part(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (mut name, mut rest) = (String::new(), quoted);
        loop {
            let end = rest.find('"')?;
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => return Some((name, rest)),
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_say_which_table_they_are_about() {
        for statement in [
            "CREATE TABLE s.\"a \"\"b\" (\n    id integer\n)",
            "ALTER TABLE ONLY s.\"a \"\"b\" ALTER COLUMN id SET DEFAULT nextval('x'::regclass)",
            "COMMENT ON COLUMN s.\"a \"\"b\".id IS 'x ON y'",
            "CREATE INDEX \"ON\" ON ONLY s.\"a \"\"b\" USING btree (id)",
            "CREATE TRIGGER t BEFORE UPDATE OF \"ON\" ON s.\"a \"\"b\" FOR EACH ROW EXECUTE FUNCTION public.f()",
            "CREATE RULE r AS\n    ON INSERT TO s.\"a \"\"b\" DO ALSO NOTHING",
            "GRANT SELECT(id),UPDATE ON TABLE s.\"a \"\"b\" TO guest",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.\"a \"\"b\" FOR VALUES IN (1)",
            "CREATE STATISTICS s.st (dependencies) ON a, b FROM s.\"a \"\"b\"",
            "ALTER PUBLICATION p ADD TABLE ONLY s.\"a \"\"b\"",
        ] {
            assert_eq!(subject(statement), Some(("s".to_owned(), "a \"b".to_owned())), "{statement}");
        }
        assert_eq!(subject("GRANT USAGE ON SCHEMA s TO guest"), None);
        assert_eq!(subject("CREATE VIEW s.v AS SELECT 1"), None);
        let key = "ALTER TABLE ONLY public.o\n    ADD CONSTRAINT \"k\" FOREIGN KEY (c) REFERENCES public.c(id)";
        let pair = |name: &str| ("public".to_owned(), name.to_owned());
        assert_eq!(foreign_key(key), Some((pair("o"), "k".to_owned(), pair("c"))));
    }
}
