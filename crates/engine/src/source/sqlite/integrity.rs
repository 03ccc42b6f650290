//! SQLite's own opinion on a file, sorted by how bad it is.
//!
//! `PRAGMA integrity_check` mixes damage with data that merely breaks the application's own rules (a CHECK added later, a
//! NULL where none should be). Damage is an error. A broken rule is a warning: the application lives with it, and refusing
//! to back it up would help nobody. The JSON export cannot insert some of it again and says so beforehand.

use super::open::{explain, quote};
use super::schema::TableShape;
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::path::Path;

/// Lines of an opinion that a person is shown.
const LINES_SHOWN: usize = 10;

/// What was found that is no damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) warnings: Vec<String>,
    /// Why the rows or definitions could not be inserted again from JSON.
    pub(crate) json_obstacles: Vec<String>,
}

impl Findings {
    pub(crate) fn join(&mut self, other: Self) {
        self.warnings.extend(other.warnings);
        self.json_obstacles.extend(other.json_obstacles);
    }
}

/// How far a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Pages, rows and their constraints; not whether indexes say what their tables say.
    Rows,
    Everything,
}

/// Checks every page, every row, and how many entries the indexes have. Where a constraint needs what only the application
/// has, the tables are checked one by one and wholly, and those that cannot be are named.
pub(crate) fn check<'a>(
    connection: &Connection,
    path: &Path,
    tables: impl Iterator<Item = &'a TableShape>,
) -> Result<(Findings, Reach)> {
    match run(connection, path, "PRAGMA main.quick_check(1000000)") {
        Err(cause) if lacks_extension(&cause) => {
            let mut findings = Findings::default();
            for table in tables {
                findings.join(check_table(connection, path, &table.name, Reach::Everything)?);
            }
            Ok((findings, Reach::Everything))
        }
        other => Ok((other.map_err(|cause| explain(path, cause))??, Reach::Rows)),
    }
}

/// Checks a table: with every one of its indexes, or its rows alone.
pub(crate) fn check_table(connection: &Connection, path: &Path, table: &str, reach: Reach) -> Result<Findings> {
    let pragma = match reach {
        Reach::Rows => "quick_check",
        Reach::Everything => "integrity_check",
    };
    let cache = |size: &str| connection.execute_batch(size).map_err(|cause| explain(path, cause));
    // Every row is looked up in every index, at random: here alone the cache counts.
    cache("PRAGMA cache_size=-32768")?;
    let findings = match run(connection, path, &format!("PRAGMA main.{pragma}({})", quote(table))) {
        Err(cause) if lacks_extension(&cause) => {
            let what = format!("table {table}: an index or constraint needs what only the application has ({cause})");
            Findings {
                warnings: vec![format!("{what}; its rows were read, its indexes not checked")],
                json_obstacles: vec![what],
            }
        }
        other => other.map_err(|cause| explain(path, cause))??,
    };
    cache("PRAGMA cache_size=-2000; PRAGMA shrink_memory")?;
    Ok(findings)
}

/// Collations, functions and modules that the application registers. A connection says of a collation once that there is none,
/// and from then on only that it knows no way to the table.
fn lacks_extension(cause: &rusqlite::Error) -> bool {
    let text = cause.to_string();
    ["no such collation", "no such function", "unknown function", "no such module", "no query solution"]
        .iter()
        .any(|part| text.contains(part))
}

fn run(connection: &Connection, path: &Path, pragma: &str) -> rusqlite::Result<Result<Findings>> {
    let mut statement = connection.prepare(pragma)?;
    let mut rows = statement.query([])?;
    let (mut damage, mut broken_rules, mut not_insertable) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        let lines = match severity(&line) {
            Severity::Fine => continue,
            Severity::BrokenRule => &mut broken_rules,
            Severity::NotInsertable => &mut not_insertable,
            Severity::Damage => &mut damage,
        };
        if lines.len() < LINES_SHOWN {
            lines.push(line);
        }
        if damage.len() == LINES_SHOWN {
            break;
        }
    }
    if !damage.is_empty() {
        return Ok(Err(Error::new(
            ErrorKind::Damaged,
            format!("SQLite database {} is damaged: {}", path.display(), damage.join("; ")),
            "Restore the newest backup that was proven, or rescue what can be read with `sqlite3 FILE .recover`.",
        )));
    }
    Ok(Ok(Findings { warnings: [broken_rules, not_insertable.clone()].concat(), json_obstacles: not_insertable }))
}

enum Severity {
    Fine,
    BrokenRule,
    NotInsertable,
    Damage,
}

fn severity(line: &str) -> Severity {
    let typed = ["NULL value in ", "TEXT value in ", "NUMERIC value in "];
    if line == "ok" {
        Severity::Fine
    } else if line.starts_with("CHECK constraint failed in ") {
        Severity::BrokenRule
    } else if typed.iter().any(|start| line.starts_with(start))
        || (line.starts_with("non-") && line.contains(" value in "))
    {
        Severity::NotInsertable
    } else {
        Severity::Damage
    }
}

/// Whether there may be any.
pub(crate) fn has_foreign_keys(connection: &Connection) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema s, pragma_foreign_key_list(s.name, 'main') WHERE s.type = 'table')";
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or(true)
}

/// Rows that point nowhere. A warning at most: SQLite enforces foreign keys only where the application asks for it.
pub(crate) fn foreign_keys(connection: &Connection) -> Vec<String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let (table, parent, count): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("table {table}: {count} rows refer to rows of {parent} that do not exist"))
        })?;
        rows.collect()
    };
    read().unwrap_or_else(|cause| vec![format!("foreign keys could not be checked: {cause}")])
}
