//! Whatever a table holds, its pages say what SQLite says, or nothing.

use super::*;
use crate::source::sqlite::open::open_immutable;
use crate::source::sqlite::rows::{Encoding, Rows};
use crate::source::sqlite::schema;
use proptest::prelude::*;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// A row with its values as text; bytes in full, numbers to the bit.
type Read = Vec<Vec<String>>;

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Real(x) => format!("real {:x}", x.to_bits()),
        ValueRef::Text(text) => format!("text {:x?}", text.as_bytes()),
        ValueRef::RawText(bytes) => format!("text {bytes:x?}"),
        other => format!("{other:?}"),
    }
}

/// Both readings of a table; the first is `None` where the pages are not enough.
fn both(path: &Path, name: &str, between: Option<(i64, i64)>) -> (Option<Read>, Read) {
    let connection = open_immutable(path).unwrap();
    let objects = schema::objects(&connection, path).unwrap();
    let root = objects.iter().find(|object| object.name == name).unwrap().root;
    let shape = schema::shape(&connection, path, name).unwrap();
    let mut through_sqlite = Read::new();
    Rows::new(path, &shape, Encoding::Utf8)
        .for_each(&connection, between, |values| {
            through_sqlite.push(values.map(show).collect());
            Ok(())
        })
        .unwrap();
    let from_pages = PlainTable::new(&shape, root).and_then(|table| {
        let mut read = Read::new();
        let file = PageFile::open(path).unwrap();
        let known =
            rows(&file, &table, between.unwrap_or((i64::MIN, i64::MAX)), &Places::new(&file).unwrap(), |values| {
                read.push(values.map(show).collect());
                Ok(())
            });
        known.unwrap().then_some(read)
    });
    (from_pages, through_sqlite)
}

pub(in super::super) fn database(path: &Path, script: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(script).unwrap();
    connection
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-2_i64..3).prop_map(Value::Integer),
        any::<i64>().prop_flat_map(|n| (0..63_u32).prop_map(move |bits| Value::Integer(n >> bits))),
        any::<f64>().prop_map(Value::Real),
        Just(Value::Real(-0.0)),
        ".{0,40}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
        (0_usize..20_000, any::<u8>()).prop_map(|(length, byte)| Value::Blob(vec![byte; length])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pages_say_what_sqlite_says(
        page_size in (9_u32..=16).prop_map(|bits| 1_u32 << bits),
        key in prop_oneof![Just("INTEGER PRIMARY KEY"), Just("INTEGER"), Just("TEXT PRIMARY KEY")],
        rows in proptest::collection::vec((any::<i64>(), values(), values(), values()), 0..300),
        bounds in (any::<i64>(), any::<i64>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let connection = database(&path, &format!(
            "PRAGMA page_size={page_size}; CREATE TABLE t (a DOUBLE, k {key}, b, c VARCHAR(9)); BEGIN;"
        ));
        for (key, a, b, c) in rows {
            let row = [a, Value::Integer(key), b, c];
            connection.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", params_from_iter(row)).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
        drop(connection);
        for between in [None, Some((bounds.0.min(bounds.1), bounds.0.max(bounds.1)))] {
            let (from_pages, through_sqlite) = both(&path, "t", between);
            prop_assert_eq!(from_pages, Some(through_sqlite));
        }
    }
}

#[test]
fn a_deep_tree_is_read_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    database(
        &path,
        "PRAGMA page_size=512; CREATE TABLE t (id INTEGER PRIMARY KEY, text);
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         INSERT INTO t SELECT i * 3, printf('%0*d', i % 700, i) FROM n; DELETE FROM t WHERE id % 7 = 0;",
    );
    let (whole, expected) = both(&path, "t", None);
    assert!(expected.len() > 50_000 && whole.as_ref() == Some(&expected));
    let mut parts = Read::new();
    for at in 0..10 {
        let (part, expected) = both(&path, "t", Some((at * 20_000, at * 20_000 + 19_999)));
        assert!(part.as_ref() == Some(&expected));
        parts.extend(expected);
    }
    assert!(parts == expected);
}

#[test]
fn what_is_not_plain_is_left_to_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    database(
        &path,
        "CREATE TABLE no_rowid (k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO no_rowid VALUES ('a', 1);
         CREATE TABLE generated (a, b AS (a + 1)); INSERT INTO generated VALUES (1);
         CREATE TABLE later (a); INSERT INTO later VALUES (1); ALTER TABLE later ADD COLUMN b DEFAULT 'x';
         CREATE TABLE taken (rowid, _rowid_, oid); INSERT INTO taken VALUES (1, 2, 3);
         CREATE TABLE plain (a); INSERT INTO plain VALUES (1);
         CREATE TABLE empty_later (a, b DEFAULT 1); INSERT INTO empty_later VALUES (1, 2);
         ALTER TABLE empty_later ADD COLUMN c; ALTER TABLE empty_later ADD COLUMN d REAL;",
    );
    for table in ["no_rowid", "generated", "later", "taken"] {
        let (from_pages, through_sqlite) = both(&path, table, None);
        assert!(from_pages.is_none() && through_sqlite.len() == 1, "{table}");
    }
    assert!(both(&path, "plain", None).0.is_some());
    let (from_pages, through_sqlite) = both(&path, "empty_later", None);
    assert_eq!(from_pages, Some(through_sqlite), "columns that were added later, without a default");
}

/// Nothing that a file holds makes the reader panic, hang or take more memory than the file has bytes.
#[test]
fn damaged_pages_are_not_known_or_read_as_something() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    database(
        &path,
        "PRAGMA page_size=512; CREATE TABLE t (a, b REAL);
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 400)
         INSERT INTO t SELECT printf('%0*d', i % 900, i), i FROM n;",
    );
    let connection = open_immutable(&path).unwrap();
    let root = schema::objects(&connection, &path).unwrap()[0].root;
    let table = PlainTable::new(&schema::shape(&connection, &path, "t").unwrap(), root).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (mut known, mut not_known) = (0, 0);
    for at in (0..whole.len()).step_by(101) {
        for byte in [0, 5, 13, 0x81, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            std::fs::write(&path, &damaged).unwrap();
            let read = PageFile::open(&path).map(|file| {
                rows(&file, &table, (i64::MIN, i64::MAX), &Places::new(&file).unwrap(), |values| {
                    values.for_each(drop);
                    Ok(())
                })
            });
            fuzz(&damaged);
            match read {
                Some(Ok(true)) => known += 1,
                Some(Ok(false)) | None => not_known += 1,
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }
    assert!(known > 0 && not_known > 0, "{known} {not_known}");
}
