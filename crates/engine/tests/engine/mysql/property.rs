//! Tables, types and values made up at random come back bit for bit.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testkit::mariadb::Server;

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A column's type, and literals that it can hold.
fn column() -> impl Strategy<Value = (String, BoxedStrategy<String>)> {
    let hex = |bytes: Vec<u8>| format!("x'{}'", to_hex(&bytes));
    let bytes = move |max: usize| proptest::collection::vec(any::<u8>(), 0..max).prop_map(hex).boxed();
    let text = || {
        "\\PC{0,12}|[\\x00-\\x7f]{0,12}|[a-z]{0,9}"
            .prop_map(|text| format!("CONVERT(x'{}' USING utf8mb4)", to_hex(text.as_bytes())))
            .boxed()
    };
    prop_oneof![
        Just(("BIGINT UNSIGNED".to_owned(), any::<u64>().prop_map(|n| n.to_string()).boxed())),
        Just(("BIGINT".to_owned(), any::<i64>().prop_map(|n| n.to_string()).boxed())),
        Just(("SMALLINT ZEROFILL".to_owned(), any::<u16>().prop_map(|n| n.to_string()).boxed())),
        Just(("DECIMAL(65,30)".to_owned(), "-?[0-9]{1,35}\\.[0-9]{1,30}".boxed())),
        Just(("DOUBLE".to_owned(), any::<f64>().prop_map(|x| format!("{x:e}")).boxed())),
        Just(("FLOAT".to_owned(), any::<f32>().prop_map(|x| format!("{x:e}")).boxed())),
        Just(("FLOAT(10,3)".to_owned(), (-1e6_f32..1e6).prop_map(|x| format!("{x:e}")).boxed())),
        Just(("DOUBLE(20,5)".to_owned(), (-1e14_f64..1e14).prop_map(|x| format!("{x:e}")).boxed())),
        Just(("BIT(64)".to_owned(), any::<u64>().prop_map(|n| format!("b'{n:b}'")).boxed())),
        Just(("BIT(3)".to_owned(), (0..8_u8).prop_map(|n| format!("b'{n:b}'")).boxed())),
        Just(("YEAR".to_owned(), prop_oneof![Just(0), 1901..2155_i32].prop_map(|n| n.to_string()).boxed())),
        Just((
            "DATETIME(6)".to_owned(),
            (0..9999_i32, 0..13_u8, 0..32_u8, 0..1_000_000_u32)
                .prop_map(|(y, m, d, u)| format!("'{y:04}-{m:02}-{d:02} 23:59:58.{u:06}'"))
                .boxed()
        )),
        Just((
            "TIMESTAMP(3) NULL".to_owned(),
            (1..2_147_483_647_i64).prop_map(|n| format!("FROM_UNIXTIME({n}.125)")).boxed()
        )),
        Just((
            "TIME(6)".to_owned(),
            (-838..839_i32, 0..60_u8, 0..1_000_000_u32).prop_map(|(h, m, u)| format!("'{h}:{m:02}:01.{u:06}'")).boxed()
        )),
        Just((
            "DATE".to_owned(),
            (0..9999_i32, 0..13_u8, 0..32_u8).prop_map(|(y, m, d)| format!("'{y:04}-{m:02}-{d:02}'")).boxed()
        )),
        Just(("VARCHAR(40)".to_owned(), text())),
        Just(("TEXT COMPRESSED".to_owned(), text())),
        Just(("VARCHAR(40) CHARACTER SET latin1".to_owned(), bytes(20))),
        Just((
            "VARCHAR(40) CHARACTER SET ucs2".to_owned(),
            "[a-zäß漢]{0,9}".prop_map(|text| format!("'{text}'")).boxed()
        )),
        Just(("VARBINARY(60)".to_owned(), bytes(60))),
        Just(("BINARY(8)".to_owned(), bytes(8))),
        Just(("MEDIUMBLOB".to_owned(), bytes(2000))),
        Just(("ENUM('a','ü','','1','it''s')".to_owned(), (0..6_u8).prop_map(|n| n.to_string()).boxed())),
        Just(("ENUM('a','ü','2')".to_owned(), (0..4_u8).prop_map(|n| n.to_string()).boxed())),
        Just(("SET('a','ü','2','x')".to_owned(), (0..16_u8).prop_map(|n| n.to_string()).boxed())),
        Just((
            "UUID".to_owned(),
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"
                .prop_map(|text| format!("'{text}'"))
                .boxed()
        )),
        Just((
            "INET6".to_owned(),
            any::<[u16; 8]>().prop_map(|parts| format!("'{}'", std::net::Ipv6Addr::from(parts))).boxed()
        )),
        Just((
            "POINT".to_owned(),
            (-1e300_f64..1e300, any::<i16>()).prop_map(|(x, y)| format!("POINT({x:e},{y})")).boxed()
        )),
        Just((
            "JSON".to_owned(),
            "[a-z\" ]{0,9}".prop_map(|text| format!("JSON_OBJECT('k', '{text}', 'n', 1.50)")).boxed()
        )),
    ]
}

/// SQL that makes a table and its rows.
fn table() -> impl Strategy<Value = String> {
    (proptest::collection::vec(column(), 1..8), 0..3_u8, any::<bool>()).prop_flat_map(|(columns, key, versioned)| {
        let value =
            |values: &BoxedStrategy<String>| prop_oneof![1 => Just("NULL".to_owned()).boxed(), 6 => values.clone()];
        let row = columns.iter().map(|(_, values)| value(values)).collect::<Vec<_>>();
        let definitions = columns
            .iter()
            .enumerate()
            .map(|(at, (definition, _))| format!(", `c{at} ü` {definition}"))
            .collect::<Vec<_>>()
            .concat();
        let head = match key {
            0 => "k INT",
            1 => "k INT AUTO_INCREMENT PRIMARY KEY",
            _ => "k INT UNIQUE",
        };
        let tail = if versioned { " WITH SYSTEM VERSIONING" } else { "" };
        proptest::collection::vec(row, 0..12).prop_map(move |rows| {
            let inserts = rows.iter().enumerate().map(|(at, row)| {
                format!("INSERT IGNORE INTO `t é` VALUES ({}, {});\n", at as i32 * 3 - 5, row.join(", "))
            });
            let mut sql = format!(
                "CREATE OR REPLACE TABLE `t é` ({head}{definitions}){tail};\n{}",
                inserts.collect::<Vec<_>>().concat()
            );
            if versioned {
                sql.push_str("DELETE FROM `t é` LIMIT 1;\n");
            }
            sql
        })
    })
}

#[test]
fn whatever_a_table_holds_comes_back() {
    let server = Server::shared();
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&(table(), any::<bool>()), |(sql, json)| {
            server.fresh("property");
            server.sql(
                "property",
                &format!("SET time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';\n{sql}"),
            );
            let (manifest, kept) = backup(&server.url("property"), if json { Export::Json } else { Export::Native });
            server.sql("", "DROP DATABASE IF EXISTS property_copy");
            restore_new(&server.url("property_copy"), &manifest, &kept);
            assert_same(&server.dump("property_copy"), &server.dump("property"), &sql);
            Ok(())
        })
        .unwrap();
}
