//! Both exports bring every value back, bit for bit.

use super::*;
use proptest::prelude::*;
use rusqlite::types::Value as Sql;

fn assert_round_trips(path: &Path) {
    let expected = dump(path);
    for export in [Export::Native, Export::Json] {
        let folder = tempfile::tempdir().unwrap();
        let taken = backup(path, export);
        let restored = restore_into(&folder.path().join("there"), &taken);
        assert_eq!(dump(&restored), expected, "{export:?}");
        let damage = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check NOT IN ('ok', 'CHECK constraint failed in aged')";
        assert_eq!(integer(&restored, damage), 0);
        if export == Export::Json {
            serde_json::from_slice::<serde_json::Value>(&taken.bytes).unwrap();
        }
    }
}

const ZOO: &str = r#"
PRAGMA page_size=1024; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA user_version=-7; PRAGMA application_id=252006;
CREATE TABLE "order"("select" INTEGER PRIMARY KEY AUTOINCREMENT, "a ""b""" TEXT DEFAULT 'x', [from] REAL, 'it''s' BLOB);
INSERT INTO "order" VALUES (5, 'a', 1.0, x'00ff'), (9223372036854775807, NULL, -0.0, ''), (-3, 'z' || char(0) || 'y', 9e999, 1);
DELETE FROM "order" WHERE "select" = 9223372036854775807;
CREATE TABLE loose(a, b);
INSERT INTO loose(rowid, a, b) VALUES (-9223372036854775808, 9007199254740993, -0.0), (7, 1e300, 'not a number'), (100, -9e999, 5);
INSERT INTO loose VALUES (CAST(x'fffe41' AS TEXT), x''), ('', NULL), (4.9e-324, 0.1);
CREATE TABLE "$rowid"("$rowid", rowid TEXT, _rowid_);
INSERT INTO "$rowid" VALUES (1, 'r', 2), (NULL, NULL, NULL);
CREATE TABLE allnames(rowid, _rowid_, oid); INSERT INTO allnames VALUES (3, 2, 1);
CREATE TABLE pairs(a TEXT COLLATE NOCASE, b INTEGER, c, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
INSERT INTO pairs VALUES ('B', 1, 1.5), ('a', 2, x'01'), ('', -1, NULL);
CREATE INDEX pairs_c ON pairs(c);
CREATE TABLE strict_one(i INT, r REAL, t TEXT, b BLOB, x ANY) STRICT;
INSERT INTO strict_one VALUES (1, 2, '3', x'04', '5'), (NULL, NULL, NULL, NULL, 5.0);
CREATE TABLE computed(a INTEGER, twice INT GENERATED ALWAYS AS (a * 2) STORED, thrice AS (a * 3), b);
INSERT INTO computed(a, b) VALUES (1, 'one'), (2, 'two');
CREATE INDEX computed_thrice ON computed(thrice) WHERE a > 1;
CREATE INDEX computed_expression ON computed(lower(b), a + 1);
CREATE TABLE husband(id INTEGER PRIMARY KEY, wife INTEGER NOT NULL REFERENCES wife(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE wife(id INTEGER PRIMARY KEY, husband INTEGER NOT NULL REFERENCES husband(id) DEFERRABLE INITIALLY DEFERRED);
BEGIN; INSERT INTO husband VALUES (1, 2); INSERT INTO wife VALUES (2, 1); COMMIT;
CREATE TABLE empty(a UNIQUE, b UNIQUE);
CREATE TABLE descending(id INTEGER PRIMARY KEY DESC, v); INSERT INTO descending VALUES ('text', 1);
CREATE TABLE aged(v CHECK (v > 10)); PRAGMA ignore_check_constraints=ON; INSERT INTO aged VALUES (3);
CREATE VIEW names AS SELECT "a ""b""" FROM "order";
CREATE VIEW broken AS SELECT * FROM no_such_table;
CREATE TRIGGER log_it AFTER INSERT ON empty BEGIN INSERT INTO loose VALUES (new.a, 'by trigger'); END;
CREATE TRIGGER through INSTEAD OF INSERT ON names BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE docs USING fts5(title, body, tokenize = 'porter');
INSERT INTO docs VALUES ('one', 'running dogs'), ('two', 'sleeping cats');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1, y0, y1); INSERT INTO places VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6);
CREATE VIRTUAL TABLE old_docs USING fts4(body); INSERT INTO old_docs VALUES ('some words');
ANALYZE;
"#;

#[test]
fn a_zoo_of_tables_comes_back() {
    let (_folder, path) = database(ZOO);
    assert_round_trips(&path);
    let folder = tempfile::tempdir().unwrap();
    let restored = restore_into(folder.path().join("x").as_path(), &backup(&path, Export::Json));
    assert_eq!(integer(&restored, "SELECT count(*) FROM docs WHERE docs MATCH 'run'"), 1);
    assert_eq!(integer(&restored, "SELECT id FROM places WHERE x0 > 4"), 2);
    let connection = Connection::open(&restored).unwrap();
    connection.execute_batch("INSERT INTO empty VALUES (1, 2); INSERT INTO docs VALUES ('three', 'more')").unwrap();
    assert_eq!(integer(&restored, "SELECT count(*) FROM loose WHERE b = 'by trigger'"), 1);
    connection.execute("INSERT INTO \"order\"(\"from\") VALUES (1)", []).unwrap_err();
}

#[test]
fn a_module_that_this_build_lacks_does_no_harm() {
    let (_folder, path) = database(
        "CREATE TABLE odd_content(id INTEGER PRIMARY KEY, v); INSERT INTO odd_content VALUES (1, x'01');
         PRAGMA writable_schema=ON;
         INSERT INTO sqlite_schema VALUES ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING nobody_knows(a, b)');",
    );
    assert_round_trips(&path);
}

#[test]
fn wal_mode_and_an_empty_database_come_back() {
    let (_folder, path) = database("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1);");
    assert_round_trips(&path);
    assert!(!path.with_extension("db-wal").exists() && !path.with_extension("db-shm").exists());
    for sql in
        ["", "CREATE TABLE t(a); DROP TABLE t;", "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE t;"]
    {
        assert_round_trips(&database(sql).1);
    }
}

#[test]
fn utf16_databases_come_back_even_where_their_text_is_not_valid() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        let (_folder, path) = database(&format!(
            "PRAGMA encoding='{encoding}'; CREATE TABLE \"t\u{fc}r\"(id INTEGER PRIMARY KEY, v, w TEXT);
             INSERT INTO \"t\u{fc}r\" VALUES (1, '\u{1f600} gr\u{fc}n', 'x'), (2, CAST(x'41D8' AS TEXT), CAST(x'D841' AS TEXT)),
             (3, CAST(x'410042' AS TEXT), ''), (4, CAST(x'FFFE4100' AS TEXT), CAST(x'FEFF0041' AS TEXT)), (5, 7, x'4100');"
        ));
        assert_round_trips(&path);
    }
}

#[test]
fn the_document_can_be_read_by_a_person() {
    let (_folder, path) = database(ZOO);
    let document: serde_json::Value = serde_json::from_slice(&backup(&path, Export::Json).bytes).unwrap();
    assert_eq!(document["tables"]["computed"]["rows"][1]["b"], "two");
    assert_eq!(document["tables"]["order"]["rows"][1]["select"], 5);
    assert_eq!(document["settings"]["user_version"], -7);
    assert_eq!(document["tables"]["pairs"]["primaryKey"], serde_json::json!(["b", "a"]));
}

#[test]
fn a_hostile_document_reaches_no_other_file() {
    let (folder, path) = database("CREATE TABLE t(a); INSERT INTO t VALUES (1);");
    let taken = backup(&path, Export::Json);
    let text = String::from_utf8(taken.bytes).unwrap();
    let aim = folder.path().join("stolen.db");
    for bad in [
        format!("ATTACH '{}' AS x", aim.display()),
        format!("CREATE TABLE t(a); ATTACH '{}' AS x; CREATE TABLE x.y(z)", aim.display()),
        format!("VACUUM INTO '{}'", aim.display()),
        "CREATE TEMP TABLE t(a)".to_owned(),
        "CREATE VIRTUAL TABLE t USING fts5(a)".to_owned(),
        String::new(),
    ] {
        let bytes = text.replace("CREATE TABLE t(a)", &bad).into_bytes();
        let place = Place::Folder { path: folder.path().join(hex::encode(&bad)) };
        let mut target = SqliteTarget::new("database", settings(&path, Export::Json), place).unwrap();
        let _ = target.entry(&target_context(&Silent), &taken.entry, &mut bytes.as_slice());
        assert!(!aim.exists(), "{bad}");
    }
}

fn any_sql() -> impl Strategy<Value = Sql> {
    prop_oneof![
        Just(Sql::Null),
        any::<i64>().prop_map(Sql::Integer),
        (-2..2_i64).prop_map(Sql::Integer),
        any::<f64>().prop_filter("SQLite has no NaN", |x| !x.is_nan()).prop_map(Sql::Real),
        prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(f64::INFINITY), Just(9.007_199_254_740_993e15)]
            .prop_map(Sql::Real),
        "\\PC{0,12}|[\\x00-\\x7f]{0,12}|-?[0-9]{1,20}(\\.[0-9]{1,3})?".prop_map(Sql::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Sql::Blob),
    ]
}

#[derive(Debug, Clone)]
struct AnyTable {
    name: String,
    columns: Vec<(String, &'static str)>,
    key: u8,
    rows: Vec<Vec<Sql>>,
    raw_text: Vec<u8>,
}

fn any_table() -> impl Strategy<Value = AnyTable> {
    let name = "[a-z\"' .$\\\\\u{fc}]{1,6}|select|table|rowid|a\\.b";
    let declared = prop_oneof![
        Just(""),
        Just("TEXT"),
        Just("INTEGER"),
        Just("REAL"),
        Just("NUMERIC"),
        Just("BLOB"),
        Just("varchar(3)"),
        Just("BOOLEAN")
    ];
    (name, proptest::collection::btree_map(name, declared, 1..5), 0..4_u8, proptest::collection::vec(any::<u8>(), 0..6))
        .prop_flat_map(|(name, columns, key, raw_text)| {
            let width = columns.len();
            let rows = proptest::collection::vec(proptest::collection::vec(any_sql(), width), 0..6);
            let columns = columns.into_iter().collect::<Vec<_>>();
            rows.prop_map(move |rows| AnyTable {
                name: name.clone(),
                columns: columns.clone(),
                key,
                rows,
                raw_text: raw_text.clone(),
            })
        })
}

fn make(path: &Path, tables: &[AnyTable]) {
    let connection = Connection::open(path).unwrap();
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for (at, table) in tables.iter().enumerate() {
        let name = quote(&format!("{}{at}", table.name));
        let first = quote(&table.columns[0].0);
        let columns = table.columns.iter().map(|(n, t)| format!("{} {t}", quote(n))).collect::<Vec<_>>().join(", ");
        let end = match table.key {
            0 => String::new(),
            1 => format!(", PRIMARY KEY ({first})"),
            2 => format!(", UNIQUE ({first})"),
            _ => format!(", PRIMARY KEY ({first})) WITHOUT ROWID; --"),
        };
        let sql = format!("CREATE TABLE {name}({columns}{end}\n)").replace("--\n)", "");
        connection.execute_batch(&sql).unwrap();
        let marks = vec!["?"; table.columns.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {name} VALUES ({marks})");
        for row in &table.rows {
            // An INTEGER PRIMARY KEY refuses what is no integer: such a row is not in the source either.
            let _ = connection.execute(&insert, rusqlite::params_from_iter(row));
        }
        let last = quote(&table.columns[table.columns.len() - 1].0);
        let _ = connection.execute(
            &format!("UPDATE {name} SET {last} = CAST(?1 AS TEXT) WHERE typeof({last}) = 'text'"),
            [&table.raw_text],
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_database_comes_back(tables in proptest::collection::vec(any_table(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.db");
        make(&path, &tables);
        assert_round_trips(&path);
    }
}
