//! Generated tables, types and values, out and back in both exports.

use super::{backup, restore_to};
use engine::manifest::Export;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Write;
use testkit::postgres::Server;

/// A column's type with values of it, as SQL literals.
#[derive(Debug, Clone)]
struct Column {
    declared: &'static str,
    values: Vec<Option<String>>,
}

#[derive(Debug, Clone)]
struct Table {
    name: String,
    columns: Vec<(String, Column)>,
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Text with everything that an escape can stumble over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\\\ntbN.\t\r\n'\"{},()x0-9 ü]{0,30}"].prop_map(|text| text.replace('\0', ""))
}

fn literal(declared: &'static str) -> BoxedStrategy<String> {
    match declared {
        "bigint" => any::<i64>().prop_map(|n| quote(&n.to_string())).boxed(),
        "double precision" => any::<f64>().prop_map(|x| quote(&format!("{x:e}").replace("inf", "Infinity"))).boxed(),
        "real" => any::<f32>().prop_map(|x| quote(&format!("{x:e}").replace("inf", "Infinity"))).boxed(),
        "numeric" => "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?|NaN|-?Infinity".prop_map(|digits| quote(&digits)).boxed(),
        "boolean" => any::<bool>().prop_map(|truth| quote(&truth.to_string())).boxed(),
        "bytea" => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| quote(&format!("\\x{}", hex::encode(bytes)))).boxed(),
        "text[]" => prop::collection::vec(prop::option::of(text()), 0..4)
            .prop_map(|items| {
                let items: Vec<_> = items.iter().map(|item| item.as_ref().map_or("NULL".to_owned(), |item| quote(item))).collect();
                format!("ARRAY[{}]::text[]", items.join(", "))
            })
            .boxed(),
        "jsonb" => text().prop_map(|text| format!("jsonb_build_object('k', {})", quote(&text))).boxed(),
        "timestamptz" => (-200_000_000_000_000_000_i64..9_000_000_000_000_000_000)
            .prop_map(|us| format!("'2000-01-01 00:00+00'::timestamptz + {us} * interval '1 microsecond'"))
            .boxed(),
        "interval" => (any::<i32>(), any::<i32>(), -9_000_000_000_000_000_i64..9_000_000_000_000_000)
            .prop_map(|(months, days, us)| format!("make_interval(months => {months}, days => {days}) + {us} * interval '1 microsecond'"))
            .boxed(),
        "varbit" => "[01]{0,30}".prop_map(|bits| format!("B'{bits}'")).boxed(),
        "uuid" => any::<u128>().prop_map(|n| quote(&format!("{n:032x}"))).boxed(),
        "int8multirange" => (any::<i32>(), 0..1000_i64)
            .prop_map(|(from, length)| format!("int8multirange(int8range({from}, {from}::bigint + {length}), int8range(NULL, -9223372036854775000))"))
            .boxed(),
        _ => text().prop_map(|text| quote(&text)).boxed(),
    }
}

fn column(rows: usize) -> impl Strategy<Value = Column> {
    const TYPES: [&str; 14] = [
        "bigint",
        "double precision",
        "real",
        "numeric",
        "boolean",
        "bytea",
        "text[]",
        "jsonb",
        "timestamptz",
        "interval",
        "varbit",
        "uuid",
        "int8multirange",
        "text",
    ];
    prop::sample::select(&TYPES[..]).prop_flat_map(move |declared| {
        prop::collection::vec(prop::option::weighted(0.9, literal(declared)), rows)
            .prop_map(move |values| Column { declared, values })
    })
}

fn table() -> impl Strategy<Value = Table> {
    (0..30_usize, "[a-z \"'./%\\\\ü$-]{1,20}").prop_flat_map(|(rows, name)| {
        let names = "[A-Za-z \"'\\\\,;()ü]{1,12}";
        prop::collection::vec((names, column(rows)), 0..6).prop_map(move |mut columns| {
            columns.iter_mut().enumerate().for_each(|(at, (name, _))| name.push_str(&at.to_string()));
            Table { name: name.clone(), columns }
        })
    })
}

fn sql(table: &Table, number: usize) -> String {
    let name = identifier(&format!("{}{number}", table.name));
    let columns: Vec<_> =
        table.columns.iter().map(|(name, column)| format!("{} {}", identifier(name), column.declared)).collect();
    let mut sql = format!("CREATE TABLE {name} ({});\n", columns.join(", "));
    for row in 0..table.columns.first().map_or(0, |(_, column)| column.values.len()) {
        let values: Vec<_> = table
            .columns
            .iter()
            .map(|(_, column)| column.values[row].clone().unwrap_or_else(|| "NULL".to_owned()))
            .collect();
        writeln!(sql, "INSERT INTO {name} VALUES ({});", values.join(", ")).unwrap();
    }
    sql
}

fn digest(server: &Server, database: &str) -> String {
    server.sql(
        database,
        "SET extra_float_digits = 3; SET TimeZone = 'UTC';
         SELECT string_agg(md5(query_to_xml(format('SELECT t::text AS x FROM %I t ORDER BY convert_to(t::text, ''UTF8'')', relname),
           true, false, '')::text), ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
}

#[test]
fn generated_tables_and_values_come_back_in_both_exports() {
    let server = Server::start();
    let mut runner = TestRunner::new(Config { cases: 5, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    runner
        .run(&prop::collection::vec(table(), 1..5), |tables| {
            case.set(case.get() + 1);
            let source = format!("source_{}", case.get());
            server.sql("postgres", &format!("CREATE DATABASE {source}"));
            let statements: String = tables.iter().enumerate().map(|(number, table)| sql(table, number)).collect();
            server.sql(&source, &format!("BEGIN; {statements} COMMIT;"));
            for export in [Export::Native, Export::Json] {
                let unpacked = backup(&server.url(&source), export);
                let copy = format!("copy_{}_{export:?}", case.get()).to_lowercase();
                let figures = restore_to(&server.url(&copy), &unpacked).unwrap();
                prop_assert_eq!(unpacked.manifest.differences(&figures), Vec::<String>::new());
                prop_assert_eq!(digest(&server, &source), digest(&server, &copy));
            }
            Ok(())
        })
        .unwrap();
}
