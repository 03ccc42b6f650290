//! `pg_dump`'s text goes in statement by statement; what builds indexes, on several connections.

use crate::source::postgres::client::Client;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::Table;
use crate::source::postgres::sql::identifier;
use crate::source::postgres::statements::{is_session, split};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::PoisonError;

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
/// rest in its order. A statement that fails early (it may depend on a later one) has its second try in its place.
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
) -> Result<Vec<(String, Error)>> {
    let statements = split(text);
    let mut early = early_statements(&statements);
    // They are taken from the end, the largest table first: what is left for the last is small.
    let bytes: HashMap<String, u64> =
        tables.iter().map(|t| (unquoted(&format!("{}.{}", t.schema, t.name)), t.bytes)).collect();
    early.sort_by_key(|(table, _)| bytes.get(&unquoted(table)).copied().unwrap_or(0));
    let early = early.into_iter().map(|(_, statements)| statements).collect();
    let done = run_early(helpers, &statements, early);
    let turn = |wanted: usize| -> Vec<&str> {
        let left = statements.iter().enumerate().filter(|(number, _)| !done.contains(number));
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

/// A statement with the session setting that was in force where it stood.
#[derive(Debug, PartialEq)]
struct Early {
    number: usize,
    tablespace: Option<String>,
}

/// A name to look things up by, however it is quoted.
fn unquoted(name: &str) -> String {
    name.replace('"', "")
}

/// Statements that build an index, by table.
fn early_statements<'a>(statements: &[&'a str]) -> Vec<(&'a str, Vec<Early>)> {
    let mut tables: BTreeMap<&'a str, Vec<Early>> = BTreeMap::new();
    let mut tablespace = None;
    for (number, statement) in statements.iter().enumerate() {
        if statement.starts_with("SET default_tablespace") {
            tablespace = Some((*statement).to_owned());
        } else if let Some(table) = indexed_table(statement) {
            tables.entry(table).or_default().push(Early { number, tablespace: tablespace.clone() });
        }
    }
    tables.into_iter().collect()
}

/// The table that a statement builds an index on, as it is written.
fn indexed_table(statement: &str) -> Option<&str> {
    if let Some(rest) = statement.strip_prefix("ALTER TABLE ONLY ") {
        let (table, rest) = split_name(rest)?;
        let (_, definition) = split_name(rest.trim_start().strip_prefix("ADD CONSTRAINT ")?)?;
        let builds = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|word| definition.trim_start().starts_with(word));
        return (builds && !definition.contains("USING INDEX")).then_some(table);
    }
    let rest = statement.strip_prefix("CREATE INDEX ").or_else(|| statement.strip_prefix("CREATE UNIQUE INDEX "))?;
    let (_, rest) = split_name(rest)?;
    let rest = rest.strip_prefix(" ON ")?;
    // An index of a partitioned table alone is cheap, and belongs before those that are attached to it.
    Some(split_name(rest.strip_prefix("ONLY ").unwrap_or(rest))?.0)
}

/// Cuts a name, qualified and quoted or not, off the front.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut end) = (false, text.len());
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\n' if !quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    (end > 0 && end < text.len()).then(|| text.split_at(end))
}

/// Tries the early statements on the helpers; answers which of them worked.
fn run_early(helpers: &mut [Client], statements: &[&str], tables: Vec<Vec<Early>>) -> std::collections::HashSet<usize> {
    let queue = Mutex::new(tables);
    let done = Mutex::new(std::collections::HashSet::new());
    std::thread::scope(|scope| {
        for helper in helpers {
            scope.spawn(|| {
                loop {
                    let Some(table) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return };
                    for early in table {
                        let setting = early.tablespace.as_deref().unwrap_or("SET default_tablespace = ''");
                        let worked =
                            helper.batch_execute(setting).and_then(|()| helper.batch_execute(statements[early.number]));
                        if worked.is_ok() {
                            done.lock().unwrap_or_else(PoisonError::into_inner).insert(early.number);
                        }
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn statements_that_build_indexes_are_told_from_others() {
        for (statement, table) in [
            ("CREATE INDEX a ON public.t USING btree (x)", Some("public.t")),
            ("CREATE UNIQUE INDEX \"a ON b\" ON ONLY \"s s\".\"t\" USING btree (x)", Some("\"s s\".\"t\"")),
            ("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id)", Some("public.t")),
            ("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT \"PRIMARY KEY\" FOREIGN KEY (id) REFERENCES x(id)", None),
            ("ALTER TABLE ONLY public.t CLUSTER ON t_pkey", None),
            ("CREATE TRIGGER x", None),
            ("CREATE INDEX", None),
        ] {
            assert_eq!(indexed_table(statement), table, "{statement}");
        }
    }
}
