//! The document, written and read back; and bytes that are no document.

use super::*;
use crate::ErrorKind;
use crate::export::Value;
use proptest::prelude::*;

fn column(name: &str) -> Column {
    Column { name: name.to_owned(), ..Column::default() }
}

fn document(columns: &[&str], rows: &[Vec<Value>]) -> Vec<u8> {
    let object = SchemaObject { kind: "table".into(), name: "t".into(), ..SchemaObject::default() };
    let header = Header::new("database", "sqlite", "3");
    let mut writer = JsonWriter::new(Vec::new(), &header, &[object], &Settings::new()).unwrap();
    let columns = columns.iter().map(|name| column(name)).collect::<Vec<_>>();
    for name in [TableName::plain("t"), TableName::qualified("s", "t.\"x")] {
        writer.begin_table(&Table { name, columns: columns.clone(), ..Table::default() }).unwrap();
        rows.iter().for_each(|row| writer.row(row).unwrap());
        writer.end_table().unwrap();
    }
    writer.finish().unwrap()
}

fn read_back(bytes: &[u8]) -> crate::Result<Vec<(Table, Vec<Vec<Value>>)>> {
    let mut reader = JsonReader::new(bytes)?;
    let (mut tables, mut row) = (Vec::new(), Vec::new());
    while let Some(table) = reader.next_table()? {
        let mut rows = Vec::new();
        while reader.next_row(&mut row)? {
            rows.push(row.clone());
        }
        tables.push((table, rows));
    }
    reader.finish()?;
    Ok(tables)
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-3..3_i64).prop_map(|n| Value::Integer((1 << 53) + n)),
        (i64::MAX as u64 + 1..).prop_map(Value::Unsigned),
        any::<f64>().prop_filter("compared with ==", |x| !x.is_nan()).prop_map(Value::Real),
        Just(Value::Real(-0.0)),
        "-?[0-9]{1,60}\\.[0-9]{1,9}".prop_map(Value::Decimal),
        "\\PC{0,20}|[\\x00-\\x7f]{0,20}".prop_map(Value::Text),
        Just(Value::Text("{\"$int\":\"1\"}".into())),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::RawText),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
        any::<bool>().prop_map(Value::Bool),
    ]
}

proptest! {
    #[test]
    fn every_row_comes_back(rows in proptest::collection::vec(proptest::collection::vec(any_value(), 3), 0..8)) {
        let bytes = document(&["id", "$int", "a \"b\"\u{0}"], &rows);
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        for (_, found) in read_back(&bytes).unwrap() {
            // Debug output tells 0.0 from -0.0.
            prop_assert_eq!(format!("{:?}", found), format!("{:?}", rows));
        }
    }

    #[test]
    fn damaged_documents_never_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let row = vec![Value::Text("a\n\u{1f600}".into()), Value::Real(1.5), Value::Blob(vec![1, 2, 3])];
        let mut bytes = document(&["a", "b", "c"], &[row.clone(), row]);
        let at = at.index(bytes.len() - 1);
        if cut {
            bytes.truncate(at);
            let kind = read_back(&bytes).unwrap_err().kind();
            prop_assert!(matches!(kind, ErrorKind::Truncated | ErrorKind::Damaged), "{:?}", kind);
        } else {
            bytes[at] = byte;
            let _ = read_anything(&bytes);
        }
    }

    #[test]
    fn noise_never_panics(bytes in "[{}\\[\\],:\"\\\\ntf0-9.eE$a-z-]{0,60}") {
        let _ = read_anything(bytes.as_bytes());
        let _ = read_anything(format!("{{\"strongroom\":{{\"format\":\"strongroom-json\",\"version\":1,\"component\":\"c\",\
            \"engine\":\"e\",\"engineVersion\":\"1\"}},\"tables\":{{\"t\":{{\"columns\":[{{\"name\":\"a\"}}],\
            \"rows\":[{{\"a\":{bytes}").as_bytes());
    }
}

#[test]
fn nan_comes_back() {
    let found = read_back(&document(&["x"], &[vec![Value::Real(f64::NAN)]])).unwrap();
    assert!(matches!(found[0].1[0][0], Value::Real(x) if x.is_nan()));
}

#[test]
fn rows_without_columns_are_counted() {
    let found = read_back(&document(&[], &[vec![], vec![], vec![]])).unwrap();
    assert_eq!(found[0].1.len(), 3);
}

#[test]
fn members_that_are_not_known_are_passed_over() {
    let text = String::from_utf8(document(&["a"], &[vec![Value::Integer(1)]])).unwrap();
    let text = text.trim_end().strip_suffix('}').unwrap();
    let text = format!("{text},\"manifest\":{{\"a\":[1,\"}}\\\"\",{{}}]}}}}\n");
    let text = text.replace("\"columns\":", "\"later\":[[\"]\"]],\"columns\":");
    assert_eq!(read_back(text.as_bytes()).unwrap().len(), 2);
}

#[test]
fn values_may_stand_in_any_order_but_each_once() {
    let text = String::from_utf8(document(&["a", "b"], &[vec![Value::Integer(1), Value::Integer(2)]])).unwrap();
    let other = text.replace("{\"a\":1,\"b\":2}", "{ \"b\" : 2 , \"a\" : 1 }");
    assert_eq!(read_back(other.as_bytes()).unwrap(), read_back(text.as_bytes()).unwrap());
    for bad in
        ["{\"a\":1}", "{\"a\":1,\"a\":2}", "{\"b\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"b\":[2]}"]
    {
        let text = text.replace("{\"a\":1,\"b\":2}", bad);
        assert_eq!(read_back(text.as_bytes()).unwrap_err().kind(), ErrorKind::Damaged, "{bad}");
    }
}

#[test]
fn what_is_no_value_is_refused_with_its_place() {
    let text = String::from_utf8(document(&["a"], &[vec![Value::Integer(7)]])).unwrap();
    let at = text.find("{\"a\":7}").unwrap();
    for bad in [
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "1e999",
        "+1",
        "18446744073709551616",
        "nul",
        "True",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "{\"$int\":1}",
        "{\"$int\":\"+1\"}",
        "{\"$int\":\"x\"}",
        "{\"$float\":\"1\"}",
        "{}",
        "{\"$bytes\":\"!\"}",
        "{\"$new\":\"\"}",
        "{\"$int\":\"1\",\"b\":\"2\"}",
        "[",
    ] {
        let error = read_back(text.replacen(":7}", &format!(":{bad}}}"), 1).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{bad}: {error}");
        let offset = error.message().split("byte ").nth(1).unwrap().split(':').next().unwrap();
        assert!((at..at + 60).contains(&offset.parse().unwrap()), "{bad}: {error}");
    }
}

#[test]
fn what_is_not_a_document_says_so() {
    let kind = |text: &str| JsonReader::new(text.as_bytes()).err().unwrap().kind();
    for other in ["PK\u{3}\u{4}", "[1]", "{}", "{\"a\":{}}", "{\"tables\":{}}", "{\"strongroom\":{\"format\":\"x\"}}"] {
        assert_eq!(kind(other), ErrorKind::NotABackup, "{other}");
    }
    assert_eq!(kind("{\"strongroom\":{\"format\":\"strongroom-json\",\"version\":2}}"), ErrorKind::Unsupported);
    assert_eq!(kind(""), ErrorKind::Truncated);
    assert_eq!(kind(&format!("{{\"a\":{}", "[".repeat(100_000))), ErrorKind::Damaged);
}
