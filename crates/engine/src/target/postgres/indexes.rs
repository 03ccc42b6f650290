//! Which statements of the schema's second half build indexes, and building them on several connections, each early.
//!
//! Early is as soon as a table's rows are in, while those of others still come: only for indexes of plain columns.
//! An expression may call a function that looks into other tables, whatever it was declared to be; such an index would be
//! built, without a word, from rows that are not there yet. It waits until all are.
//!
//! An early statement that fails has lost nothing: it has its second try in its place.
//!
//! The server sorts a table's entries in pieces of `maintenance_work_mem` and merges them. A piece that a processor's cache
//! holds is sorted in three fifths of the time that one of the usual 64 MiB takes, whose every comparison waits for the memory
//! (`bench/RESULTS.md`); so a table gets the least with which one merge is enough, and never more than the server allows.

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
    /// Memory for sorting, where less than what the server gives is faster.
    sort_bytes: Option<u64>,
}

/// A smaller table's entries are in the cache as it is.
const SORTED_TABLE_BYTES_MIN: u64 = 8 << 20;
/// Of a larger table the pieces may lie on a slow disk, which is not to jump between too many of them.
const SORTED_TABLE_BYTES_MAX: u64 = 1 << 30;
/// Less is no faster.
const SORT_BYTES_MIN: u64 = 4 << 20;
/// What a merge needs for each of its pieces (`tuplesort_merge_order` in the server's source).
const MERGED_PIECE_BYTES: u64 = 272 << 10;

impl Index {
    /// Whether the table can be read meanwhile: a constraint shuts everybody out.
    pub fn is_built_beside_readers(&self) -> bool {
        !self.statement.starts_with("ALTER TABLE")
    }

    /// Whether it could be built.
    pub fn build(&self, client: &mut Client, own_path: &OwnPath) -> bool {
        let mut settings = self.tablespace.clone().unwrap_or_else(|| "SET default_tablespace = ''".to_owned());
        if let Some(bytes) = self.sort_bytes {
            settings += &format!(
                "; SELECT pg_catalog.set_config('maintenance_work_mem', least({bytes},
                     pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem'))) / 1024 || 'kB', false)"
            );
        }
        let built = client.batch_execute(&settings).is_ok() && run_led(own_path, client, &self.statement).is_ok();
        if self.sort_bytes.is_some() {
            // Where that fails the connection is lost, and whoever uses it next says so.
            let _ = client.batch_execute("RESET maintenance_work_mem");
        }
        built
    }
}

/// Indexes by their table: see [`key`].
pub type Indexes = BTreeMap<String, Vec<Index>>;

/// The indexes that the statements build.
pub fn of(statements: &[&str], tables: &[Table]) -> Indexes {
    let bytes = bytes_of(tables);
    let mut tables = Indexes::new();
    let mut tablespace = None;
    for (number, statement) in statements.iter().enumerate() {
        if statement.starts_with("SET default_tablespace") {
            tablespace = Some((*statement).to_owned());
        } else if let Some((table, definition)) = indexed_table(statement) {
            let table = unquoted(table);
            let index = Index {
                number,
                tablespace: tablespace.clone(),
                statement: (*statement).to_owned(),
                is_plain: is_plain(definition),
                sort_bytes: bytes.get(&table).copied().filter(|_| is_sorted(definition)).and_then(sort_bytes),
            };
            tables.entry(table).or_default().push(index);
        }
    }
    tables
}

fn bytes_of(tables: &[Table]) -> HashMap<String, u64> {
    tables.iter().map(|table| (key(table), table.bytes)).collect()
}

/// Whether an index is built by sorting. Others use the memory otherwise: the more, the better.
fn is_sorted(definition: &str) -> bool {
    let definition = definition.trim_start();
    ["USING btree ", "PRIMARY KEY ", "UNIQUE "].iter().any(|begin| definition.starts_with(begin))
}

/// So many pieces that one merge takes them all: `pieces * piece` are the entries, `pieces * MERGED_PIECE_BYTES` is `piece`.
/// Entries are taken to be half as large as the rows; where they are larger some are merged twice.
const fn sort_bytes(table_bytes: u64) -> Option<u64> {
    if table_bytes < SORTED_TABLE_BYTES_MIN || table_bytes > SORTED_TABLE_BYTES_MAX {
        return None;
    }
    let entries_bytes = table_bytes / 2;
    let piece_bytes = (entries_bytes * MERGED_PIECE_BYTES).isqrt();
    Some(if piece_bytes > SORT_BYTES_MIN { piece_bytes } else { SORT_BYTES_MIN })
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
    let bytes = bytes_of(tables);
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
    use crate::source::postgres::address::{Address, ClientSettings};
    use crate::source::postgres::connect::connect;
    use testkit::postgres::Server;

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
    fn memory_for_sorting_is_less_where_less_is_faster() {
        let memory = |statement: &str, bytes| {
            let table = Table { schema: "public".into(), name: "t".into(), bytes, ..Table::default() };
            of(&[statement], &[table]).remove("public.t").unwrap().remove(0).sort_bytes
        };
        let index = "CREATE INDEX a ON public.t USING btree (x)";
        assert_eq!(memory(index, SORTED_TABLE_BYTES_MIN - 1), None, "small");
        assert_eq!(memory(index, SORTED_TABLE_BYTES_MIN), Some(SORT_BYTES_MIN));
        let most = memory(index, SORTED_TABLE_BYTES_MAX).unwrap();
        assert!(SORTED_TABLE_BYTES_MAX / 2 / most <= most / MERGED_PIECE_BYTES + 1, "one merge: {most}");
        assert_eq!(memory(index, SORTED_TABLE_BYTES_MAX + 1), None, "large");
        let key = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id)";
        assert!(memory(key, 100 << 20).is_some());
        for otherwise in ["CREATE INDEX a ON public.t USING gin (x)", "CREATE INDEX a ON public.t USING hnsw (x)"] {
            assert_eq!(memory(otherwise, 100 << 20), None, "{otherwise}");
        }
    }

    /// A statement that fails for its settings would only be tried once more without them, and nobody would notice.
    #[test]
    fn a_server_sorts_in_the_memory_that_was_meant_and_never_in_more_than_it_gives() {
        let server = Server::start();
        server.sql(
            "postgres",
            "CREATE TABLE t AS SELECT 1 AS x;
             CREATE FUNCTION seen(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
               IF current_setting('maintenance_work_mem') <> current_setting('test.meant') THEN
                 RAISE 'built in %', current_setting('maintenance_work_mem');
               END IF;
               RETURN 1;
             END$$",
        );
        let address = Address::parse(&server.url("postgres"), &ClientSettings::default()).unwrap();
        let mut client = connect(&address).unwrap();
        let own_path = OwnPath::live(false);
        let table = Table { schema: "public".into(), name: "t".into(), bytes: 100 << 20, ..Table::default() };
        for (name, given, meant) in [("a", "64MB", "4MB"), ("b", "2MB", "2MB"), ("c", "4097kB", "4MB")] {
            server.sql(
                "postgres",
                &format!("ALTER SYSTEM SET maintenance_work_mem = '{given}'; SELECT pg_reload_conf()"),
            );
            while client.query_one("SHOW maintenance_work_mem", &[]).unwrap().get::<_, String>(0) != given {}
            client.batch_execute(&format!("SET test.meant = '{meant}'")).unwrap();
            let statement = format!("CREATE INDEX {name} ON public.t USING btree (public.seen(x))");
            let index = of(&[&statement], std::slice::from_ref(&table)).remove("public.t").unwrap().remove(0);
            assert!(index.build(&mut client, &own_path), "{given}");
            assert_eq!(client.query_one("SHOW maintenance_work_mem", &[]).unwrap().get::<_, String>(0), given);
        }
        client.batch_execute("SET test.meant = '3MB'").unwrap();
        let statement = "CREATE INDEX d ON public.t USING btree (public.seen(x))";
        let index = of(&[statement], &[table]).remove("public.t").unwrap().remove(0);
        assert!(!index.build(&mut client, &own_path), "the function sees what is in force");
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
