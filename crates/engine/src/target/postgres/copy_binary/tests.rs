//! The judge is a real server: it writes values as text and is given them back in binary.

use super::*;
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::connect::connect;
use crate::source::postgres::rows::Taking;
use crate::target::postgres::rows_in::{Destination, next_piece};
use bytes::Bytes;
use proptest::prelude::*;
use testkit::postgres::Server;

/// Every form by its column, with values at the edges and some by the hash of a number `n`.
const COLUMNS_AND_VALUES: [(&str, &str); 22] = [
    ("bool", "NULL, true, false, n % 2 = 0"),
    ("int2", "NULL, 0, -1, 32767, -32768, (h % 32768)::int2"),
    ("int4", "NULL, 0, 2147483647, -2147483648, (h % 2147483648)::int4"),
    ("int8", "NULL, 9223372036854775807, -9223372036854775808, 999999999999999999, -1000000000000000000, h, h % 1000"),
    ("oid", "NULL, 0, 4294967295, (abs(h) % 4294967296)::oid"),
    ("float4", "NULL, 'NaN', 'Infinity', '-Infinity', '-0', 1e-45, 3.4028235e38, 0.1, (h * 1e-20)::float4, (h % 100000)::float4"),
    ("float8", "NULL, 'NaN', 'Infinity', '-Infinity', '-0', 5e-324, 1.7976931348623157e308, 0.1, 1e23, h * 1e-20, h * 1e250, h % 100000"),
    ("numeric", "NULL, 'NaN', 'Infinity', '-Infinity', 0, 0.0000, 0.00001, -0.1, 9999, 10000, 100000000, 1e1000, 1e-1000, 1e-16383, 1.10,
      repeat('9', 131072)::numeric, ('0.' || repeat('9', 16383))::numeric, ('-' || repeat('90', 500) || '.' || repeat('0', 77) || '1')::numeric,
      h, h / 10.0 ^ (n % 40), (h % 100000) / 100.0, round(h::numeric, -(n % 19)), h::numeric ^ 9"),
    ("numeric(12,2)", "NULL, 0, -0.01, 9999999999.99, (h % 1000000000) / 100.0"),
    ("text", "NULL, '', ' ', '\\N', '\\', 'NULL', E'a\\tb\\nc\\rd\\\\e\\bf\\fg\\vh', E'\\\\.', chr(1) || chr(127), repeat('ü€😀', n % 50),
      repeat(E'\\\\', n % 5) || chr((n * 37) % 55000 + 1) || E'\\t' || chr(57344 + (n * 211) % 1000000)"),
    ("varchar(30)", "NULL, '', 'x  ', repeat('ü', 30)"),
    ("character(5)", "NULL, '', 'a', 'ab ü'"),
    ("name", "NULL, 'x', repeat('n', 63)"),
    ("json", "NULL, 'null', '{\"a\" : [1, 2.50, \"\\u00e9\\n\\\\\"]}', ' [ ] '"),
    ("jsonb", "NULL, 'null', '{\"a\" : [1, 2.50, \"\\u00e9\\n\\\\\"]}', jsonb_build_object('n', n, 'h', h, 't', repeat(E'\"\\\\\\t', n % 9))"),
    ("bytea", "NULL, '', '\\x00', '\\x5c6e0a09', decode(repeat(md5(n::text), n % 9), 'hex')"),
    ("uuid", "NULL, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', md5(n::text)::uuid"),
    ("date", "NULL, 'infinity', '-infinity', '0001-01-01', '9999-12-31', '2000-02-29', '1900-03-01', '0001-01-01'::date + (abs(h) % 3652059)::int"),
    ("time", "NULL, '00:00', '24:00:00', '23:59:59.999999', '12:00:00.1', '12:34:56.000001', '00:00'::time + (h % 86400000000) * interval '1 microsecond'"),
    ("timestamp", "NULL, 'infinity', '-infinity', '0001-01-01', '9999-12-31 23:59:59.999999', '1999-12-31 23:59:59.5',
      '5000-01-01'::timestamp + (h % 150000000000000000) * interval '1 microsecond', '2020-01-01'::timestamp + n * interval '1 second'"),
    ("timestamptz", "NULL, 'infinity', '-infinity', '0001-01-01 00:00+00', '9999-12-31 23:59:59.999999+00', '1883-11-18 12:03:57+14',
      '5000-01-01 00:00+00'::timestamptz + (h % 150000000000000000) * interval '1 microsecond'"),
    ("colour", "NULL, 'red', E'it''s\\tübel'"),
];

fn client(server: &Server) -> Client {
    connect(&Address::parse(&server.url("postgres"), &ClientSettings::default()).unwrap()).unwrap()
}

fn table(name: &str, columns: &[&str]) -> Table {
    let columns = columns.iter().map(|&column| column.to_owned()).collect();
    Table { schema: "public".to_owned(), name: name.to_owned(), columns, ..Table::default() }
}

fn text_of(client: &mut Client, table: &str) -> Vec<u8> {
    let mut text = Vec::new();
    let statement = format!("COPY (SELECT * FROM public.{table} ORDER BY number) TO STDOUT");
    client
        .copy_out(&|| "reading".to_owned(), &statement, |line| {
            text.extend_from_slice(line);
            Ok(())
        })
        .unwrap();
    text
}

fn framed(rows: Vec<u8>) -> Bytes {
    [HEADER, &rows, TRAILER].concat().into()
}

#[test]
fn values_of_every_form_come_back_as_the_same_text() {
    let server = Server::start();
    server.sql("postgres", "CREATE TYPE colour AS ENUM ('red', E'it''s\\tübel')");
    let mut client = client(&server);
    for (number, (declared, values)) in COLUMNS_AND_VALUES.iter().enumerate() {
        let (source, copy) = (format!("source_{number}"), format!("copy_{number}"));
        client
            .batch_execute(&format!(
                "SET search_path = public;
             CREATE DOMAIN domain_{number} AS {declared};
             CREATE TABLE {source} (number int8, value {declared}, again domain_{number});
             INSERT INTO {source} SELECT row_number() OVER (), v, v FROM (
               SELECT n, ('x' || md5(n::text))::bit(64)::int8 >> (n % 50) FROM generate_series(1, 150) n) AS s (n, h),
               unnest(ARRAY[{values}]::{declared}[]) v;
             CREATE TABLE {copy} (LIKE {source})"
            ))
            .unwrap_or_else(|error| panic!("{declared}: {error:?}"));
        let text = text_of(&mut client, &source);
        let copy_table = table(&copy, &["number", "value", "again"]);
        let found = encoders(&mut client, std::slice::from_ref(&copy_table)).unwrap();
        let encoder =
            found.get(&("public".to_owned(), copy.clone())).unwrap_or_else(|| panic!("no form of {declared}"));
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let shown = || String::from_utf8_lossy(&line[..line.len().min(100)]);
            assert!(encoder.encode(line).is_some(), "{declared}: {}", shown());
        }
        let mut rows = Some(framed(encoder.encode(&text).unwrap()));
        let statement = Taking { binary: true, ..Taking::default() }.copy_statement(&copy_table);
        client.copy_in(declared, &statement, || Ok(rows.take())).unwrap();
        assert!(text_of(&mut client, &copy) == text, "{declared}");
    }
}

#[test]
fn what_is_written_otherwise_goes_as_text_and_nothing_is_lost() {
    let server = Server::start();
    server.sql(
        "postgres",
        "CREATE TABLE source (number int8, at timestamp, day date);
         INSERT INTO source SELECT n, '2020-01-01'::timestamp + n * interval '1 s', '2020-01-01' FROM generate_series(1, 200000) n;
         UPDATE source SET at = '0044-03-15 BC' WHERE number IN (1, 70000, 70001);
         UPDATE source SET day = '10000-01-01' WHERE number IN (120000, 200000);
         CREATE TABLE copy (LIKE source)",
    );
    let mut client = client(&server);
    let text = text_of(&mut client, "source");
    let copy = table("copy", &["number", "at", "day"]);
    let encoder =
        &encoders(&mut client, std::slice::from_ref(&copy)).unwrap()[&("public".to_owned(), "copy".to_owned())];
    let mut content = text.as_slice();
    let (mut pieces, mut rest) = (Vec::new(), Vec::new());
    loop {
        let piece = next_piece("", &mut content, &mut rest).unwrap();
        if piece.is_empty() {
            break;
        }
        pieces.push(piece);
    }
    let encoded: Vec<_> = pieces.iter().map(|piece| encoder.encode(piece).is_some()).collect();
    assert!(encoded.windows(2).filter(|pair| pair[0] != pair[1]).count() >= 4, "the formats alternate: {encoded:?}");
    let destination = Destination { what: "copying", table: &copy, taking: Taking::default(), encoder: Some(encoder) };
    let mut pieces = pieces.into_iter();
    let first = pieces.next().unwrap();
    destination.copy(&mut client, &first, || Ok(pieces.next())).unwrap().unwrap();
    assert!(text_of(&mut client, "copy") == text);
}

#[test]
fn other_types_and_what_is_not_compared_have_no_encoder() {
    let server = Server::start();
    server.sql(
        "postgres",
        "CREATE TABLE plain (a int, b text, c int GENERATED ALWAYS AS (a) STORED); CREATE TABLE counted (a int);
         CREATE TABLE arrays (a int, b text[]); CREATE TABLE intervals (a interval); CREATE TABLE nothing ();
         CREATE TABLE rows (a plain); CREATE SCHEMA own; CREATE DOMAIN own.int8 AS interval; CREATE TABLE named (a own.int8)",
    );
    let tables = [
        table("plain", &["a", "b"]),
        table("arrays", &["a", "b"]),
        table("intervals", &["a"]),
        table("nothing", &[]),
        table("rows", &["a"]),
        table("named", &["a"]),
        table("gone", &["a"]),
        Table { unhashed: true, ..table("counted", &["a"]) },
    ];
    let found = encoders(&mut client(&server), &tables).unwrap();
    assert_eq!(found.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["plain"]);
    assert_eq!(found[&("public".to_owned(), "plain".to_owned())].forms, [Form::Int4, Form::Text]);
}

#[test]
fn what_postgresql_never_writes_is_not_understood() {
    for (form, texts) in [
        (Form::Bool, &["true", "", "T"][..]),
        (Form::Int2, &["32768", "-32769", "+1", "1.0", "", "-", "0x1"]),
        (Form::Int8, &["9223372036854775808", "-9223372036854775809", "99999999999999999999", "1 "]),
        (Form::Oid, &["-1", "4294967296"]),
        (Form::Float8, &["", "1,5", "0x1p3"]),
        (Form::Numeric, &["", "-", ".5", "5.", "1e5", "1_000", "--1", "1.2.3", "nan"]),
        (Form::Text, &["\\x41", "\\101", "\\"]),
        (Form::Bytea, &["\\\\x0", "\\\\xzz", "abc", "\\x00"]),
        (Form::Uuid, &["00000000000000000000000000000000", "{00000000-0000-0000-0000-000000000000}"]),
        (Form::Date, &["0044-03-15 BC", "10000-01-01", "2023-02-29", "2023-2-9", "01/02/2023"]),
        (Form::Time, &["24:00:01", "12:60:00", "12:00", "12:00:00.", "12:00:00.1234567", "12:00:00+01"]),
        (Form::Timestamp, &["2020-01-01", "2020-01-01T00:00:00", "2020-01-01 00:00:00+00"]),
        (Form::TimestampTz, &["2020-01-01 00:00:00", "2020-01-01 00:00:00+01", "2020-01-01 00:00:00+00 BC"]),
    ] {
        for text in texts {
            assert_eq!(form.encode(format!("{text}\n").as_bytes(), b'\n', &mut Vec::new()), None, "{form:?} {text}");
        }
    }
}

#[test]
fn too_few_and_too_many_fields_are_not_understood() {
    let encoder = Encoder::of(&[Some("int8"), Some("text")]).unwrap();
    assert!(encoder.encode(b"1\tx\n\\N\t\\N\n").is_some());
    for lines in [&b"1\n"[..], b"1\tx\ty\n", b"1\tx", b"\n", b"\t\n", b"1\tx\n\n"] {
        assert_eq!(encoder.encode(lines), None, "{:?}", String::from_utf8_lossy(lines));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_nothing(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[-0-9.:tfNaInity\\\\x\t\n +]{0,60}".prop_map(String::into_bytes),
    ]) {
        fuzz(&bytes);
    }
}
