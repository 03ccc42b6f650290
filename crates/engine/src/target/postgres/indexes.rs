//! Which statements of the schema's second half build indexes, and building them on several connections, each early.
//!
//! Early is as soon as a table's rows are in, while those of others still come: only for indexes of plain columns.
//! An expression may call a function that looks into other tables, whatever it was declared to be; such an index would be
//! built, without a word, from rows that are not there yet. It waits until all are.
//!
//! An early statement that fails has lost nothing: it has its second try in its place.

use super::schema::run_led;
use crate::source::postgres::client::Client;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// A statement that builds an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its number among all statements.
    pub number: usize,
    /// The session setting that was in force where it stood.
    tablespace: Option<String>,
    statement: String,
    /// Whether it can be built without other tables.
    pub is_plain: bool,
}

impl Index {
    /// Whether the table can be read meanwhile: a constraint shuts everybody out.
    pub fn is_built_beside_readers(&self) -> bool {
        !self.statement.starts_with("ALTER TABLE")
    }

    /// Whether it could be built.
    pub fn build(&self, client: &mut Client, own_path: &OwnPath) -> bool {
        let setting = self.tablespace.as_deref().unwrap_or("SET default_tablespace = ''");
        client.batch_execute(setting).is_ok() && run_led(own_path, client, &self.statement).is_ok()
    }
}

/// Indexes by their table: see [`key`].
pub type Indexes = BTreeMap<String, Vec<Index>>;

/// The indexes that the statements build.
pub fn of(statements: &[&str]) -> Indexes {
    let mut tables = Indexes::new();
    let mut tablespace = None;
    for (number, statement) in statements.iter().enumerate() {
        if statement.starts_with("SET default_tablespace") {
            tablespace = Some((*statement).to_owned());
        } else if let Some((table, definition)) = indexed_table(statement) {
            tables.entry(unquoted(table)).or_default().push(Index {
                number,
                tablespace: tablespace.clone(),
                statement: (*statement).to_owned(),
                is_plain: is_plain(definition),
            });
        }
    }
    tables
}

/// What a table's indexes are found by, however its name is quoted.
pub fn key(table: &Table) -> String {
    unquoted(&format!("{}.{}", table.schema, table.name))
}

fn unquoted(name: &str) -> String {
    name.replace('"', "")
}

/// Builds what is not `built` yet, table by table, the largest first: what is left for the last is small. Answers which
/// statements worked.
pub fn build_all(
    clients: &mut [Client],
    indexes: Indexes,
    built: &HashSet<usize>,
    tables: &[Table],
    own_path: &OwnPath,
) -> HashSet<usize> {
    let bytes: HashMap<String, u64> = tables.iter().map(|table| (key(table), table.bytes)).collect();
    let mut indexes: Vec<_> = indexes.into_iter().collect();
    indexes.sort_by_key(|(table, _)| bytes.get(table).copied().unwrap_or(0));
    let queue = Mutex::new(indexes);
    let done = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| {
                loop {
                    let Some((_, table)) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return };
                    for index in table.iter().filter(|index| !built.contains(&index.number)) {
                        if index.build(client, own_path) {
                            done.lock().unwrap_or_else(PoisonError::into_inner).insert(index.number);
                        }
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The table that a statement builds an index on, as it is written, and the index's definition.
pub fn indexed_table(statement: &str) -> Option<(&str, &str)> {
    if let Some(rest) = statement.strip_prefix("ALTER TABLE ONLY ") {
        let (table, rest) = split_name(rest)?;
        let (_, definition) = split_name(rest.trim_start().strip_prefix("ADD CONSTRAINT ")?)?;
        let builds = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|word| definition.trim_start().starts_with(word));
        return (builds && !definition.contains("USING INDEX")).then_some((table, definition));
    }
    let rest = statement.strip_prefix("CREATE INDEX ").or_else(|| statement.strip_prefix("CREATE UNIQUE INDEX "))?;
    let (_, rest) = split_name(rest)?;
    let rest = rest.strip_prefix(" ON ")?;
    // An index of a partitioned table alone is cheap, and belongs before those that are attached to it.
    split_name(rest.strip_prefix("ONLY ").unwrap_or(rest))
}

/// Whether a definition names columns and nothing else: no expression, no condition.
fn is_plain(definition: &str) -> bool {
    let Some((_, columns)) = definition.split_once('(') else { return false };
    let Some((columns, rest)) = columns.split_once(')') else { return false };
    !columns.contains('(') && !rest.contains(" WHERE ") && !rest.contains(" WHERE(")
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(indexed_table(statement).map(|(table, _)| table), table, "{statement}");
        }
    }

    #[test]
    fn what_may_look_into_other_tables_is_not_plain() {
        for (definition, plain) in [
            ("USING btree (a, b DESC NULLS LAST)", true),
            ("USING btree (a COLLATE \"de_DE\" text_pattern_ops) INCLUDE (b) WITH (fillfactor='70')", true),
            ("PRIMARY KEY (id)", true),
            ("USING btree (lower(name))", false),
            ("USING btree (((a + b)))", false),
            ("USING btree (a) WHERE is_read", false),
            ("USING btree (a) WHERE (b > 0)", false),
            ("EXCLUDE USING gist (room WITH =, during WITH &&) WHERE ((NOT gone))", false),
            ("USING gist (name public.gist_trgm_ops (siglen='32'))", false),
        ] {
            assert_eq!(is_plain(definition), plain, "{definition}");
        }
    }
}
