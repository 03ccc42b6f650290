//! Out and back again, compared by other means than ours: `pg_dump` and ordered dumps of the rows.

use super::{Unpacked, backup, backup_with, restore_to, settings, torture};
use engine::config::component::ServerDatabaseSettings;
use engine::manifest::{Export, Figures};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::postgres::Server;

/// Everything that PostgreSQL's own tool says about a database, without what changes from run to run.
fn pg_dump(server: &Server, database: &str) -> String {
    let output = server.client("pg_dump").args(["--schema-only", "--create", "-d", database]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
        .collect::<Vec<_>>()
        .join("\n")
        .replace(database, "DATABASE")
}

/// A dump restored by PostgreSQL's own tools: what a correct restore looks like.
fn oracle(server: &Server, from: &str, to: &str) {
    server.sql("postgres", &format!("CREATE DATABASE {to}"));
    let mut dump = server.client("pg_dump").args(["-Fc", "-d", from]).stdout(Stdio::piped()).spawn().unwrap();
    let restore = server
        .client("pg_restore")
        .args(["--exit-on-error", "-d", to])
        .stdin(dump.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    assert!(dump.wait().unwrap().success());
}

/// Every row of every table as text, sorted; large objects and sequences too.
fn contents(server: &Server, database: &str) -> String {
    let tables = server.sql(
        database,
        "SELECT format('SELECT %L, t::text FROM ONLY %I.%I t', relname, nspname, relname)
           FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
          WHERE relkind IN ('r', 'm') AND relispopulated AND nspname !~ '^pg_' AND nspname <> 'information_schema'
          UNION ALL SELECT format('SELECT %L, (last_value, is_called)::text FROM %I.%I', relname, nspname, relname)
           FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'S'",
    );
    // A name may hold a line break: queries are told apart by their beginning.
    let queries = tables.replace("\nSELECT '", "\nUNION ALL SELECT '").replace("\nSELECT E'", "\nUNION ALL SELECT E'");
    server.sql(
        database,
        &format!(
            "SET extra_float_digits = 3; SET TimeZone = 'UTC'; {queries}
             UNION ALL SELECT 'large object', oid || md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1, 2"
        ),
    )
}

fn assert_same(server: &Server, restored: &str) {
    let (expected, actual) = (pg_dump(server, "oracle"), pg_dump(server, restored));
    let difference = expected.lines().zip(actual.lines()).find(|(expected, actual)| expected != actual);
    assert!(expected == actual, "{difference:?}");
    let rows = contents(server, "source");
    assert!(rows.len() > 400_000 && rows.contains("{[1,3),[5,7)}"), "the rows are not all there: {}", rows.len());
    assert!(rows == contents(server, restored), "the rows differ");
}

fn torture_server() -> Server {
    let server = Server::start();
    torture(&server, "source");
    oracle(&server, "source", "oracle");
    // What `pg_restore` does not put back without --create.
    server.sql(
        "oracle",
        "ALTER DATABASE oracle SET work_mem = '9MB';
         ALTER DATABASE oracle SET search_path = \"$user\", app, \"Sch\"\"ema ü.;-- \";
         ALTER ROLE reader IN DATABASE oracle SET my.setting = 'it''s';
         REVOKE CONNECT ON DATABASE oracle FROM PUBLIC;
         GRANT CONNECT, CREATE ON DATABASE oracle TO reader WITH GRANT OPTION;
         COMMENT ON DATABASE oracle IS 'the torture'",
    );
    server
}

fn assert_promised(unpacked: &Unpacked, figures: &Figures) {
    assert_eq!(unpacked.manifest.differences(figures), Vec::<String>::new());
}

#[test]
fn a_native_export_brings_back_every_type_and_every_object() {
    let server = torture_server();
    let unpacked = backup(&server.url("source"), Export::Native);
    let figures = restore_to(&server.socket_url("restored"), &unpacked).unwrap();
    assert_promised(&unpacked, &figures);
    assert_same(&server, "restored");
}

#[test]
fn psql_alone_restores_a_native_export_by_hand() {
    let server = torture_server();
    let unpacked = backup(&server.url("source"), Export::Native);
    server.sql("postgres", "CREATE DATABASE by_hand");
    let output = Command::new("sh")
        .arg(unpacked.folder.path().join("restore.sh"))
        .args(["-d", "by_hand"])
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", "postgres")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&server, "by_hand");
}

#[test]
fn a_json_export_alone_brings_back_every_type_and_every_object() {
    let server = torture_server();
    let unpacked = backup(&server.url("source"), Export::Json);
    assert_eq!(unpacked.order.len(), 1);
    let document = std::fs::read_to_string(unpacked.folder.path().join("database.json")).unwrap();
    for value in [
        r#""c_int8":{"$int":"-9223372036854775808"}"#,
        r#""c_numeric":{"$decimal":"NaN"}"#,
        r#""c_bool":true"#,
        r#""c_float8":{"$float":"NaN"}"#,
        r#""c_bytea":{"$bytes":"#,
        r#""c_timestamptz":"294276-12-31 23:59:59.999999+00""#,
        r#""c_positive":2147483647"#,
    ] {
        assert!(document.contains(value), "{value}");
    }
    serde_json::from_str::<serde_json::Value>(&document).unwrap();
    let figures = restore_to(&server.url("restored"), &unpacked).unwrap();
    assert_promised(&unpacked, &figures);
    assert_same(&server, "restored");
}

/// The shapes of well-known sample databases, in both exports, judged by `pg_dump`; what is not in the backup is named.
#[test]
fn the_shapes_of_sample_databases_come_back() {
    let server = Server::start();
    let space = server.data().parent().unwrap().join("space");
    std::fs::create_dir(&space).unwrap();
    assert!(Command::new("chown").arg("--reference").args([&server.data(), &space]).status().unwrap().success());
    server.sql("postgres", "CREATE ROLE sample_owner");
    server.sql("postgres", "CREATE ROLE sample_reader");
    server.sql("postgres", &format!("CREATE TABLESPACE sample_space LOCATION '{}'", space.display()));
    server.sql("postgres", "CREATE DATABASE source");
    server.sql("source", include_str!("samples.sql"));
    for (export, restored) in [(Export::Native, "native_copy"), (Export::Json, "json_copy")] {
        let unpacked = backup(&server.url("source"), export);
        let named = unpacked.manifest.warnings.join("\n");
        assert!(named.contains("rental.passwords") && named.contains("not_here"), "{named}");
        let figures = restore_to(&server.url(restored), &unpacked).unwrap();
        assert_promised(&unpacked, &figures);
        let definitions = |database: &str| pg_dump(&server, database).replace(database, "DATABASE");
        let without = definitions("source")
            .split("\n\n")
            .filter(|statement| {
                !statement.contains("SUBSCRIPTION not_here") && !statement.contains("Type: SUBSCRIPTION")
            })
            .collect::<Vec<_>>()
            .join("\n\n");
        let actual = definitions(restored);
        let squeezed = |text: &str| {
            text.lines().filter(|line| !line.is_empty() && *line != "--").map(str::to_owned).collect::<Vec<_>>()
        };
        let (expected, actual) = (squeezed(&without), squeezed(&actual));
        let difference = expected.iter().zip(&actual).find(|(expected, actual)| expected != actual);
        assert!(expected == actual, "{difference:?}");
        assert!(contents(&server, "source") == contents(&server, restored), "the rows differ");
    }
}

#[test]
fn both_exports_come_to_the_same_figures_in_key_order_too() {
    let server = torture_server();
    let figures = |export, deduplicating| {
        backup_with(&settings(&server.url("source")), export, deduplicating).unwrap().manifest.figures
    };
    let native = figures(Export::Native, false);
    assert_eq!(native, figures(Export::Native, true));
    assert_eq!(native, figures(Export::Json, false));
}

#[test]
fn large_tables_may_go_without_a_hash_but_not_without_a_count() {
    let server = torture_server();
    let settings = ServerDatabaseSettings { content_hash_bytes_max: Some(0), ..settings(&server.url("source")) };
    let hashed = backup(&server.url("source"), Export::Native);
    for (number, export) in [Export::Native, Export::Json].into_iter().enumerate() {
        let unpacked = backup_with(&settings, export, false).unwrap();
        let measured = restore_to(&server.url(&format!("counted{number}")), &unpacked).unwrap();
        assert_promised(&unpacked, &measured);
        let (Figures::Database(measured), Figures::Database(hashed)) = (&measured, &hashed.manifest.figures) else {
            panic!("figures of something else than a database")
        };
        let mut unhashed = 0;
        for (measured, hashed) in measured.tables.iter().zip(&hashed.tables) {
            assert_eq!((&measured.name, measured.rows), (&hashed.name, hashed.rows));
            unhashed += usize::from(measured.rows > 0 && measured.content_hash.is_none());
        }
        assert!(unhashed > 10, "{unhashed}");
    }
}

#[test]
fn restored_tables_need_no_vacuum_and_have_statistics() {
    let server = Server::start();
    server.sql("postgres", "CREATE DATABASE source");
    server.sql(
        "source",
        "CREATE TABLE item (id int PRIMARY KEY, name text); CREATE INDEX item_name ON item (lower(name));
         INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 5000) n;
         CREATE TABLE parent (id int, at int) PARTITION BY RANGE (at);
         CREATE TABLE part PARTITION OF parent FOR VALUES FROM (0) TO (10);
         INSERT INTO parent SELECT n, n % 10 FROM generate_series(1, 500) n;
         CREATE TABLE none ();",
    );
    let unpacked = backup(&server.url("source"), Export::Native);
    let figures = restore_to(&server.url("restored"), &unpacked).unwrap();
    assert_promised(&unpacked, &figures);
    let visible = "SELECT string_agg(relname || ' ' || (relallvisible = relpages), ', ' ORDER BY relname)
                     FROM pg_class WHERE relname IN ('item', 'part')";
    assert_eq!(server.sql("restored", visible), "item true, part true");
    let known =
        "SELECT string_agg(DISTINCT tablename, ', ' ORDER BY tablename) FROM pg_stats WHERE schemaname = 'public'";
    assert_eq!(server.sql("restored", known), "item, item_name, parent, part");
    let counted = "SELECT string_agg(relname || ' ' || n_live_tup, ', ' ORDER BY relname) FROM pg_stat_user_tables";
    assert_eq!(server.sql("restored", counted), "item 5000, none 0, parent 0, part 500");
}

/// Of how many ranges of values the planner knows, table by table.
const SAMPLED: &str = "
    SELECT string_agg(format('%s %s', tablename, array_length(histogram_bounds::text::text[], 1) - 1), ', ' ORDER BY tablename)
      FROM pg_stats WHERE schemaname = 'public' AND attname = 'id'";

#[test]
fn an_automatic_vacuum_is_left_the_full_sample_where_one_follows() {
    let server = Server::start();
    server.sql("postgres", "CREATE DATABASE source");
    server.sql(
        "source",
        "CREATE TABLE plain (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE kept (id int) WITH (autovacuum_enabled = false);
         CREATE TABLE derived (id int); CREATE INDEX ON derived ((id % 7));
         INSERT INTO plain SELECT generate_series(1, 5000); INSERT INTO kept SELECT id FROM plain; INSERT INTO derived SELECT id FROM plain;",
    );
    let unpacked = backup(&server.url("source"), Export::Native);
    assert_promised(&unpacked, &restore_to(&server.url("first"), &unpacked).unwrap());
    assert_eq!(server.sql("first", SAMPLED), "derived 100, kept 100, plain 10");
    // A session that has ended has told the server what it changed, a moment later.
    let unseen = "SELECT n_mod_since_analyze FROM pg_stat_user_tables WHERE relname = 'plain'";
    let told = |_: &u32| std::thread::sleep(Duration::from_millis(100));
    assert!((0..100).inspect(told).any(|_| server.sql("first", unseen) == "5000"), "{}", server.sql("first", unseen));
    // Nobody would come after us: everything is sampled now.
    server.sql("postgres", "ALTER SYSTEM SET autovacuum = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    assert_promised(&unpacked, &restore_to(&server.url("second"), &unpacked).unwrap());
    assert_eq!(server.sql("second", SAMPLED), "derived 100, kept 100, plain 100");
    let generated = "SELECT count(*) FROM pg_stats WHERE tablename = 'plain' AND attname = 'twice'";
    assert_eq!(server.sql("second", generated), "1");
}
