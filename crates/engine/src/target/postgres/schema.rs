//! `pg_dump`'s text goes in statement by statement.

use super::indexes;
use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::sql::identifier;
use crate::source::postgres::statements::{is_session, split};
use crate::{Error, Result};
use std::collections::HashSet;

/// Runs the half that comes before the rows. Grants are given back: a table's owner may have revoked the right to write
/// from himself, and rows come first.
///
/// `extensions` were there before: an extension's comment belongs to its owner.
pub fn run_pre_data(client: &mut Client, text: &str, extensions: &[String]) -> Result<Vec<String>> {
    let mut grants = Vec::new();
    for statement in split(text) {
        if statement.starts_with("GRANT ") || statement.starts_with("REVOKE ") {
            grants.push(statement.to_owned());
        } else if !creates_what_is_there(statement) && !comments_on(statement, extensions) {
            run(client, statement)?;
        }
    }
    Ok(grants)
}

/// `pg_dump` never creates `public` unless it belongs to somebody else; an empty database has it in any case.
fn creates_what_is_there(statement: &str) -> bool {
    statement == "CREATE SCHEMA public"
}

fn comments_on(statement: &str, extensions: &[String]) -> bool {
    let Some(rest) = statement.strip_prefix("COMMENT ON EXTENSION ") else { return false };
    extensions
        .iter()
        .any(|name| rest.starts_with(&format!("{name} ")) || rest.starts_with(&format!("{} ", identifier(name))))
}

/// Runs statements one after the other.
pub fn run_all<'a>(client: &mut Client, statements: impl IntoIterator<Item = &'a str>) -> Result<()> {
    statements.into_iter().try_for_each(|statement| run(client, statement))
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
    mut built: HashSet<usize>,
) -> Result<Vec<(String, Error)>> {
    let statements = split(text);
    built.extend(indexes::build_all(helpers, indexes::of(&statements), &built, tables));
    let turn = |wanted: usize| -> Vec<&str> {
        let left = statements.iter().enumerate().filter(|(number, _)| !built.contains(number));
        left.map(|(_, statement)| *statement).filter(|statement| pass(statement) == wanted).collect()
    };
    let (first, fillings, last) = (turn(0), turn(1), turn(2));
    run_all(client, first)?;
    run_all(client, grants.iter().map(String::as_str))?;
    let mut unfilled = Vec::new();
    for statement in fillings {
        // Without helpers everything happens in one transaction.
        if let Err(error) = fill(client, statement, helpers.is_empty()) {
            unfilled.push((statement.trim_start_matches("REFRESH MATERIALIZED VIEW ").to_owned(), error));
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

/// Fills a materialized view; where that fails in a transaction, the transaction goes on.
fn fill(client: &mut Client, statement: &str, in_transaction: bool) -> Result<()> {
    if !in_transaction {
        return run(client, statement);
    }
    run(client, "SAVEPOINT strongroom")?;
    let filled = run(client, statement);
    if filled.is_err() {
        run(client, "ROLLBACK TO SAVEPOINT strongroom")?;
    }
    run(client, "RELEASE SAVEPOINT strongroom")?;
    filled
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).map_err(|error| {
        let first_line: String = statement.lines().next().unwrap_or_default().chars().take(120).collect();
        let failed: Error = database(format!("`{first_line}`"), error);
        if is_session(statement) {
            failed.with_hint("A setting of the dump is unknown to this server: is it older than the dump?")
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
}
