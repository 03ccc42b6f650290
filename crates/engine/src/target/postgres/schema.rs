//! `pg_dump`'s text goes in statement by statement.

use super::extensions::{AllLeftOut, comments_on};
use super::indexes;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::statements::{after_word, is_session, split};
use crate::{Error, ErrorKind, Result};
use std::collections::HashSet;

/// Runs the half that comes before the rows. Grants are given back: a table's owner may have revoked the right to write
/// from himself, and rows come first.
///
/// `extensions` were there before: an extension's comment belongs to its owner. One that the role may not create is
/// [left out](AllLeftOut).
pub fn run_pre_data(
    client: &mut Client,
    text: &str,
    extensions: &[String],
    own_path: &OwnPath,
) -> Result<(Vec<String>, AllLeftOut)> {
    let (mut grants, mut left_out) = (Vec::new(), AllLeftOut::default());
    for statement in split(text) {
        if is_grant(statement) {
            grants.push(statement.to_owned());
        } else if !creates_what_is_there(statement)
            && !extensions.iter().any(|name| comments_on(statement, name))
            && !left_out.concerns(statement)
        {
            left_out.take(statement, run_led(own_path, client, statement))?;
        }
    }
    run_grants_for_functions(client, &grants)?;
    Ok((grants, left_out))
}

/// Gives rights, or says in whose name they are given.
fn is_grant(statement: &str) -> bool {
    statement.starts_with("GRANT ") || statement.starts_with("REVOKE ") || says_in_whose_name(statement)
}

fn says_in_whose_name(statement: &str) -> bool {
    statement.starts_with(IN_ANOTHERS_NAME) || statement.starts_with(IN_OUR_NAME)
}

/// Begins what is done in another role's name, in `pg_dump`'s text.
pub const IN_ANOTHERS_NAME: &str = "SET SESSION AUTHORIZATION ";
/// Ends it.
pub const IN_OUR_NAME: &str = "RESET SESSION AUTHORIZATION";

/// The function of an index runs as the table's owner, who finds others where he was granted the use of a schema: these come
/// early. They come again in their order; what is given in another's name comes only then.
fn run_grants_for_functions(client: &mut Client, grants: &[String]) -> Result<()> {
    let mut in_anothers_name = false;
    for statement in grants {
        if says_in_whose_name(statement) {
            in_anothers_name = statement.starts_with(IN_ANOTHERS_NAME);
        }
        let of = statement.starts_with("GRANT ").then(|| after_word(statement, "ON")).flatten();
        let of_functions = |of: &str| ["SCHEMA ", "FUNCTION "].iter().any(|kind| of.trim_start().starts_with(kind));
        if !in_anothers_name && of.is_some_and(of_functions) {
            run(client, statement)?;
        }
    }
    Ok(())
}

/// Runs statements that give rights. Only a superuser may give them in another's name; anybody else gives them in his own.
pub fn run_grants(client: &mut Client, grants: &[String]) -> Result<()> {
    let superuser = client
        .query_one("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user", &[])
        .map_err(|error| database("asking for the role's rights", error))?
        .get(0);
    let runs = |statement: &&String| superuser || !says_in_whose_name(statement);
    grants.iter().filter(runs).try_for_each(|statement| run(client, statement))
}

/// `pg_dump` never creates `public` unless it belongs to somebody else; an empty database has it in any case.
fn creates_what_is_there(statement: &str) -> bool {
    statement == "CREATE SCHEMA public"
}

/// Runs statements one after the other.
pub fn run_all<'a>(client: &mut Client, statements: impl IntoIterator<Item = &'a str>) -> Result<()> {
    statements.into_iter().try_for_each(|statement| run(client, statement))
}

/// A materialized view that could not be filled.
pub struct Unfilled {
    /// `REFRESH MATERIALIZED VIEW app.sums`: what `pg_dump` does not say of it any more.
    pub statement: String,
    /// Why.
    pub error: Error,
}

impl Unfilled {
    /// Its name as `pg_dump` writes it.
    pub fn name(&self) -> &str {
        self.statement.trim_start_matches("REFRESH MATERIALIZED VIEW ")
    }
}

/// Runs the half that comes after the rows: first indexes and unique constraints, table by table on all connections, then the
/// rest in its order. A statement that fails early (it may depend on a later one) has its second try in its place. What is
/// `built` already is passed over.
///
/// Grants come before materialized views are filled, because what a view's owner reads may rest on them; event triggers are
/// last, or they would watch ourselves. Materialized views that cannot be filled are given back, each with the reason: in the
/// source they could not be either, and everything else is not held up by them.
pub fn run_post_data(
    client: &mut Client,
    helpers: &mut [Client],
    text: &str,
    grants: &[String],
    tables: &[Table],
    own_path: &OwnPath,
    mut built: HashSet<usize>,
) -> Result<Vec<Unfilled>> {
    let statements = split(text);
    built.extend(indexes::build_all(helpers, indexes::of(&statements, tables), &built, tables, own_path));
    let turn = |wanted: usize| -> Vec<&str> {
        let left = statements.iter().enumerate().filter(|(number, _)| !built.contains(number));
        left.map(|(_, statement)| *statement).filter(|statement| pass(statement) == wanted).collect()
    };
    let (first, fillings, last) = (turn(0), turn(1), turn(2));
    first.iter().try_for_each(|statement| run_led(own_path, client, statement))?;
    run_grants(client, grants)?;
    let mut unfilled = Vec::new();
    for statement in fillings {
        if let Err(error) = run_led(own_path, client, statement) {
            unfilled.push(Unfilled { statement: statement.to_owned(), error });
        }
    }
    run_all(client, last)?;
    Ok(unfilled)
}

/// When a statement's turn comes.
fn pass(statement: &str) -> usize {
    let begins = |words: &str| statement.starts_with(words);
    if begins("REFRESH MATERIALIZED VIEW ") {
        1
    } else if begins("CREATE EVENT TRIGGER ") || begins("ALTER EVENT TRIGGER ") || begins("COMMENT ON EVENT TRIGGER ") {
        2
    } else {
        0
    }
}

/// Runs one statement, with the database's own path if it needs that.
pub fn run_led(own_path: &OwnPath, client: &mut Client, statement: &str) -> Result<()> {
    own_path.attempt(client, schema_of(statement), |client| run(client, statement).map(Ok))
}

/// The quoted schema of the table or view that a statement of `pg_dump`'s makes, alters, fills or indexes.
pub fn schema_of(statement: &str) -> Option<&str> {
    const FORMS: [&str; 8] = [
        "CREATE TABLE ",
        "CREATE UNLOGGED TABLE ",
        "CREATE MATERIALIZED VIEW ",
        "CREATE VIEW ",
        "REFRESH MATERIALIZED VIEW ",
        "ALTER TABLE ONLY ",
        "ALTER TABLE ",
        "TRUNCATE ONLY ",
    ];
    let indexed = || indexes::indexed_table(statement).map(|(table, _)| table);
    let name = FORMS.iter().find_map(|form| statement.strip_prefix(form)).or_else(indexed)?;
    let mut quoted = false;
    let dot = name.find(|character| {
        quoted ^= character == '"';
        character == '.' && !quoted
    })?;
    Some(&name[..dot])
}

/// Runs one statement.
pub fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).map_err(|error| {
        let first_line: String = statement.lines().next().unwrap_or_default().chars().take(120).collect();
        let failed: Error = database(format!("`{first_line}`"), error);
        if is_session(statement) {
            failed.with_hint("A setting of the dump is unknown to this server: is it older than the dump?")
        } else if let Some(owner) = after_word(statement, "OWNER").and_then(|rest| after_word(rest, "TO"))
            && failed.kind() == ErrorKind::PermissionDenied
        {
            failed
                .with_hint(format!("As a superuser: GRANT {} TO the restoring role; or restore as one.", owner.trim()))
        } else {
            failed
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_filled_after_grants_and_event_triggers_watch_nobody_of_us() {
        assert_eq!(
            ["CREATE INDEX a ON b", "REFRESH MATERIALIZED VIEW a.b", "CREATE EVENT TRIGGER x ON y"].map(pass),
            [0, 1, 2]
        );
    }

    #[test]
    fn the_schema_of_a_statement_is_found() {
        for (statement, schema) in [
            ("CREATE INDEX a ON public.t USING btree (app.f(x))", Some("public")),
            ("CREATE UNIQUE INDEX a ON \"s . \"\"s\".\"t.u\" USING btree (f(x))", Some("\"s . \"\"s\"")),
            ("REFRESH MATERIALIZED VIEW app.sums", Some("app")),
            ("ALTER TABLE ONLY a.b\n    ADD CONSTRAINT c EXCLUDE USING gist (f(x) WITH =)", Some("a")),
            ("CREATE TABLE app.t (\n    x text CHECK (public.f(x))\n)", Some("app")),
            ("CREATE TRIGGER x", None),
        ] {
            assert_eq!(schema_of(statement), schema, "{statement}");
        }
    }
}
