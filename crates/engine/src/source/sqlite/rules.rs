//! What SQLite's `quick_check` says of the values of a row: no NULL where none may be, no number in a column of text, no text
//! in a column of numbers that is a number. A row that breaks a rule is shown to SQLite, which words it.

use super::schema::TableShape;
use crate::export::ValueRef;

/// What a column turns values into (<https://sqlite.org/datatype3.html#determination_of_column_affinity>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Text,
    /// INTEGER and NUMERIC.
    Numeric,
    Real,
    /// None.
    Blob,
}

impl Affinity {
    pub(super) fn of(declared_type: &str) -> Self {
        let declared = declared_type.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        if has(&["INT"]) {
            Self::Numeric
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// What holds of a value in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    not_null: bool,
    affinity: Affinity,
}

const ANY: Rule = Rule { not_null: false, affinity: Affinity::Blob };

impl Rule {
    /// For each value of a row, the hidden row id first where there is one.
    pub(super) fn of_row(shape: &TableShape) -> Vec<Self> {
        let columns = shape.columns.iter().zip(&shape.not_null).map(|((name, declared), &not_null)| {
            if shape.is_rowid(name) { ANY } else { Self { not_null, affinity: Affinity::of(declared) } }
        });
        shape.hidden_rowid().map(|_| ANY).into_iter().chain(columns).collect()
    }

    pub(super) fn is_kept_by(self, value: &ValueRef<'_>) -> bool {
        match (self.affinity, value) {
            (_, ValueRef::Null) => !self.not_null,
            (Affinity::Text, ValueRef::Integer(_) | ValueRef::Real(_)) => false,
            (Affinity::Numeric | Affinity::Real, ValueRef::RawText(text)) => !is_number(text),
            _ => true,
        }
    }
}

/// Whether SQLite could take a text for a number. Rather too often than too rarely: vertical tabs are white space to it, and
/// a NUL may end a text.
fn is_number(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.iter().any(|byte| matches!(byte, 0 | 0x0b))
        || std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn types_have_the_affinity_that_sqlite_gives_them() {
        for (affinity, declared) in [
            (Affinity::Real, &["REAL", "double precision", "Float", "DOUBLE"][..]),
            (Affinity::Numeric, &["INTEGER", "POINT FLOAT INT", "FLOATING POINT", "NUMERIC", "DATETIME", "BOOLEAN"]),
            (Affinity::Text, &["TEXT", "varchar(9)", "REAL TEXT", "BLOB TEXT"]),
            (Affinity::Blob, &["", "BLOB", "BLOB REAL"]),
        ] {
            // FLOATING POINT holds INT.
            declared.iter().for_each(|declared| assert_eq!(Affinity::of(declared), affinity, "{declared}"));
        }
    }

    /// Whatever SQLite complains of breaks a rule.
    #[test]
    fn no_value_that_sqlite_complains_of_is_kept() {
        let texts = [
            "1",
            " 1",
            "-1.5e3",
            "+.5",
            "0x10",
            "1e",
            ".",
            "-",
            "",
            "2026-11-22",
            "2026-11-22 10:00",
            "1\u{b}",
            "1 2",
            "abc",
            "9e999",
            "1\0",
            "٣",
        ];
        let mut values = vec!["NULL".to_owned(), "1".to_owned(), "1.5".to_owned(), "x'31'".to_owned()];
        values.extend(texts.iter().map(|text| format!("CAST(x'{}' AS TEXT)", hex::encode(text))));
        let mut complaints = 0;
        for declared in ["TEXT", "INTEGER", "NUMERIC", "REAL", "BLOB", "DATETIME", "TEXT NOT NULL", "REAL NOT NULL"] {
            for value in &values {
                let connection = Connection::open_in_memory().unwrap();
                // The type is told to SQLite only after the value was stored as it is.
                connection
                    .execute_batch(&format!(
                        "CREATE TABLE t (a BLOB); INSERT INTO t VALUES ({value}); PRAGMA writable_schema=ON;
                         UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a {declared})'; PRAGMA writable_schema=RESET;"
                    ))
                    .unwrap();
                let opinion: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
                let stored: rusqlite::types::Value =
                    connection.query_row("SELECT * FROM (SELECT a FROM t)", [], |row| row.get(0)).unwrap();
                let stored = match &stored {
                    rusqlite::types::Value::Null => ValueRef::Null,
                    rusqlite::types::Value::Integer(n) => ValueRef::Integer(*n),
                    rusqlite::types::Value::Real(x) => ValueRef::Real(*x),
                    rusqlite::types::Value::Text(text) => ValueRef::RawText(text.as_bytes()),
                    rusqlite::types::Value::Blob(bytes) => ValueRef::Blob(bytes),
                };
                let affinity = Affinity::of(declared.trim_end_matches(" NOT NULL"));
                let rule = Rule { not_null: declared.ends_with("NOT NULL"), affinity };
                if opinion != "ok" {
                    complaints += 1;
                    assert!(!rule.is_kept_by(&stored), "{declared} {value}: {opinion}");
                }
            }
        }
        assert!(complaints > 20, "{complaints}");
        for text in ["2026-11-22", "2026-11-22 10:00:00", "12,50", "192.168.0.1", "030-1234567", "", "-"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }
}
