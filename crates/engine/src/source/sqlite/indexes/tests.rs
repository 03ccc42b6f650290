//! What the balance calls good, SQLite's `integrity_check` calls good; and sound indexes are not left to it.

use super::*;
use crate::hash::HashKey;
use crate::source::sqlite::measure;
use crate::source::sqlite::open::open_immutable;
use crate::source::sqlite::pages::tests::database;
use crate::source::sqlite::pages::{Places, rows};
use crate::source::sqlite::schema;
use proptest::prelude::*;
use rusqlite::params_from_iter;
use rusqlite::types::Value;
use std::path::Path;
use vault::Silent;

/// Whether every index of every table was weighed and found good.
fn balance(path: &Path) -> Option<bool> {
    let connection = open_immutable(path).ok()?;
    let objects = schema::objects(&connection, path).ok()?;
    let key = RandomState::default();
    let (file, mut weigher) = (PageFile::open(path)?, Weigher::new(&key));
    let mut even = true;
    for object in objects.iter().filter(|object| object.is_table()) {
        let shape = schema::shape(&connection, path, &object.name).ok()?;
        let table = PlainTable::new(&shape, object.root)?;
        for index in plain_indexes(&connection, &shape, Some(&table), &objects)? {
            let mut sum = Balance::default();
            let known = rows(&file, &table, (i64::MIN, i64::MAX), &Places::new(&file).unwrap(), |values| {
                let (mut row, mut places) = (Vec::new(), Vec::new());
                for value in values {
                    let start = row.len();
                    encode(&mut row, value);
                    places.push(start..row.len());
                }
                weigher.add_row(&mut sum, &index, &row, &places);
                Ok(())
            });
            let entries = weigher.take_entries(&file, &index, &Silent).ok()?;
            sum.join(entries.filter(|_| known.is_ok_and(|known| known))?);
            even &= sum.is_even();
        }
    }
    Some(even)
}

/// SQLite's opinion, as its lines.
fn opinion(path: &Path, pragma: &str) -> String {
    let read = || -> rusqlite::Result<Vec<String>> {
        let connection = open_immutable(path).map_err(|_| rusqlite::Error::InvalidQuery)?;
        let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    read().map_or_else(|cause| cause.to_string(), |lines| lines.join("; "))
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (-3_i64..4).prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        (-3_i32..4).prop_map(|n| Value::Real(f64::from(n) / 2.0)),
        (0_i64..5).prop_map(|n| Value::Real((i64::MAX - n) as f64)),
        (0_i64..5).prop_map(|n| Value::Integer(i64::MAX - n)),
        Just(Value::Real(-0.0)),
        "[ab\u{0}é]{0,3}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::Blob),
        (0_usize..3000, any::<u8>()).prop_map(|(length, byte)| Value::Blob(vec![byte; length])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn sound_indexes_of_ordinary_tables_are_found_good(
        page_size in (9_u32..=13).prop_map(|bits| 1_u32 << bits),
        key in prop_oneof![Just("INTEGER PRIMARY KEY"), Just("INTEGER"), Just("TEXT PRIMARY KEY")],
        inserted in proptest::collection::vec((any::<i64>(), values(), values(), values()), 0..300),
        deleted in 1..7_i64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let connection = database(&path, &format!(
            "PRAGMA page_size={page_size}; CREATE TABLE t (a DOUBLE, k {key}, b, c VARCHAR(9), UNIQUE (k, b));
             CREATE INDEX t_a ON t(a); CREATE INDEX t_b ON t(b DESC, c); CREATE INDEX t_k ON t(k); CREATE INDEX t_cb ON t(c, b DESC);
             BEGIN;"
        ));
        for (key, a, b, c) in inserted {
            let row = [a, Value::Integer(key), b, c];
            connection.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", params_from_iter(row)).unwrap();
        }
        connection.execute("DELETE FROM t WHERE rowid % ? = 0", [deleted]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        drop(connection);
        prop_assert_eq!(opinion(&path, "integrity_check"), "ok");
        prop_assert_eq!(balance(&path), Some(true));
    }
}

#[test]
fn values_of_every_class_are_ordered_as_sqlite_orders_them() {
    let connection = Connection::open_in_memory().unwrap();
    let numbers = [
        "NULL",
        "-9223372036854775808",
        "-9.3e18",
        "-1",
        "-0.5",
        "0",
        "0.0",
        "0.5",
        "1",
        "9007199254740993",
        "9007199254740992.0",
        "9223372036854775807",
        "9.223372036854775807e18",
        "9e999",
        "-9e999",
        "''",
        "'A'",
        "'a'",
        "x''",
        "x'41'",
    ];
    let value = |sql: &str| connection.query_row(&format!("SELECT {sql}"), [], |row| row.get::<_, Value>(0)).unwrap();
    let read = |value: &Value| -> ValueRef<'static> {
        match value {
            Value::Null => ValueRef::Null,
            Value::Integer(n) => ValueRef::Integer(*n),
            Value::Real(x) => ValueRef::Real(*x),
            Value::Text(text) => ValueRef::RawText(text.clone().leak().as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes.clone().leak()),
        }
    };
    for a in numbers {
        for b in numbers {
            let expected: i64 = connection
                .query_row(
                    &format!(
                        "SELECT CASE WHEN count(DISTINCT r) = 1 THEN 0 WHEN max(CASE at WHEN 0 THEN r END) = 1 THEN -1 ELSE 1 END
                         FROM (SELECT at, rank() OVER (ORDER BY v) AS r FROM (SELECT 0 AS at, {a} AS v UNION ALL SELECT 1, {b}))"
                    ),
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            let found = compare(read(&value(a)), read(&value(b))) as i64;
            assert_eq!(found, expected, "{a} and {b}");
        }
    }
}

/// Row ids wide apart: the rows are read in several pieces.
const SOUND: &str = "PRAGMA page_size=512;
    CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT UNIQUE, c REAL);
    CREATE INDEX t_a ON t(a); CREATE INDEX t_ca ON t(c, a);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO t SELECT i * 997, i % 10, printf('%0*d', i % 40 * (1 + 30 * (i % 53 = 0)), i), i / 4.0 FROM n;
    CREATE TABLE keyless (a, b TEXT NOT NULL, c NUMERIC); CREATE INDEX k_a ON keyless(a);
    INSERT INTO keyless SELECT b, a, c FROM t; INSERT INTO keyless VALUES (zeroblob(3000), 'x', 'y');
    CREATE TABLE dropped AS SELECT * FROM t; DROP TABLE dropped; DELETE FROM t WHERE id % 7 = 3;";

/// The heart of it: whatever `integrity_check` finds wrong with a file, we do not find right.
#[test]
fn no_damage_that_sqlite_finds_goes_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    drop(database(&path, SOUND));
    assert_eq!((opinion(&path, "integrity_check").as_str(), asked(&path)), ("ok", Some(Vec::new())));
    let whole = std::fs::read(&path).unwrap();
    let (mut seen, mut only_in_indexes, mut taken_for_good) = (0, 0, 0);
    // The nightly run changes every byte.
    let step = if std::env::var_os("DAMAGE_EVERY_BYTE").is_some() { 1 } else { 37 };
    for at in (0..whole.len()).step_by(step) {
        for change in [1, 0x80, whole[at]] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            std::fs::write(&path, &damaged).unwrap();
            let asked = asked(&path);
            let opinion_of_all = opinion(&path, "integrity_check");
            if opinion_of_all == "ok" {
                taken_for_good += u32::from(asked.is_some_and(|asked| asked.is_empty()));
                continue;
            }
            seen += 1;
            assert_ne!(asked, Some(Vec::new()), "byte {at} changed by {change:#x}: {opinion_of_all}");
            only_in_indexes += u32::from(opinion(&path, "quick_check") == "ok");
        }
    }
    assert!(seen > 300 && only_in_indexes > 100 && taken_for_good > 30, "{seen} {only_in_indexes} {taken_for_good}");
}

/// What the measurement left to SQLite; `None` when it failed.
fn asked(path: &Path) -> Option<Vec<String>> {
    measure::measure(path, path, HashKey::default(), &Silent).ok().map(|measured| measured.asked)
}

/// What a person is told, through the whole measurement.
#[test]
fn an_index_that_says_something_else_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (name, change, expected) in [
        ("twice", "rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 't_ca')", "invalid rootpage"),
        ("columns", "sql = 'CREATE INDEX t_a ON t(b)'", "missing from index t_a"),
        ("order", "sql = 'CREATE INDEX t_a ON t(a DESC)'", "missing from index t_a"),
        ("unique", "sql = 'CREATE UNIQUE INDEX t_a ON t(a)'", "non-unique entry in index t_a"),
    ] {
        let path = folder.path().join(name);
        let connection = database(&path, SOUND);
        connection
            .execute_batch(&format!("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET {change} WHERE name = 't_a';"))
            .unwrap();
        drop(connection);
        let error = measure::measure(&path, &path, HashKey::default(), &Silent).err().unwrap();
        assert!(error.message().contains(expected), "{name}: {}", error.message());
    }
}

#[test]
fn what_is_not_plain_is_left_to_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let connection = database(
        &path,
        "CREATE TABLE plain (a UNIQUE, b); CREATE TABLE bare (a);
         CREATE TABLE part (a); CREATE INDEX part_a ON part(a) WHERE a > 1;
         CREATE TABLE expression (a); CREATE INDEX expression_a ON expression(a + 1);
         CREATE TABLE collated (a COLLATE NOCASE); CREATE INDEX collated_a ON collated(a);
         CREATE TABLE no_rowid (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
         CREATE TABLE generated (a, b AS (a + 1)); CREATE INDEX generated_b ON generated(b);",
    );
    let objects = schema::objects(&connection, &path).unwrap();
    let indexes = |name: &str| {
        let shape = schema::shape(&connection, &path, name).unwrap();
        let root = objects.iter().find(|object| object.name == name).unwrap().root;
        let plain = PlainTable::new(&shape, root);
        plain_indexes(&connection, &shape, plain.as_ref(), &objects).map(|indexes| indexes.len())
    };
    assert_eq!(["plain", "bare"].map(indexes), [Some(1), Some(0)]);
    assert_eq!(["part", "expression", "collated", "no_rowid", "generated"].map(indexes), [None; 5]);
}
