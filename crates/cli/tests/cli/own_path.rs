//! PostgreSQL: functions that find others by the application's search path alone, where `pg_restore` fails: behind an index, a
//! check, a generated column, a materialized view. And a materialized view that cannot be filled at all.

use crate::support::{App, definitions};
use testkit::postgres::Server;

/// `fits` finds `low` in the schema of the table alone, `plain` finds `unaccent` by the database's own path.
const SHOP: &str = r"
    CREATE ROLE app LOGIN; CREATE DATABASE crm OWNER app;
    \c crm
    CREATE SCHEMA words AUTHORIZATION app; CREATE EXTENSION unaccent SCHEMA words;
    CREATE EXTENSION cube; CREATE EXTENSION earthdistance;
    ALTER DATABASE crm SET search_path = public, words;
    SET ROLE app; SET search_path = tenant, public, words;
    CREATE SCHEMA tenant;
    CREATE FUNCTION public.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(unaccent($1))';
    CREATE FUNCTION tenant.low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
    CREATE FUNCTION tenant.fits(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN length(low($1)) > 0; END';
    CREATE DOMAIN tenant.name AS text CHECK (tenant.fits(VALUE));
    CREATE TABLE tenant.people (id int PRIMARY KEY, name text CHECK (tenant.fits(name)), other tenant.name,
                                found text GENERATED ALWAYS AS (public.plain(name)) STORED);
    INSERT INTO tenant.people SELECT n, 'Zoë ' || n, 'other' FROM generate_series(1, 100000) n;
    CREATE INDEX ON tenant.people (tenant.fits(name)); CREATE INDEX ON tenant.people (public.plain(name));
    CREATE STATISTICS tenant.how_many (mcv) ON tenant.fits(name), id FROM tenant.people;
    CREATE MATERIALIZED VIEW tenant.sums AS SELECT tenant.fits(name) AS fits, count(*) AS n FROM tenant.people GROUP BY 1;
    CREATE UNIQUE INDEX ON tenant.sums (fits);
    CREATE TABLE public.places (latitude float8, longitude float8);
    INSERT INTO public.places SELECT n, n FROM generate_series(1, 80) n;
    CREATE INDEX near ON public.places USING gist (ll_to_earth(latitude, longitude));
";

const READ: &str = "SELECT count(*), sum(id), min(found), max(name) FROM tenant.people; SELECT * FROM tenant.sums;
    SELECT count(*) FROM public.places";

#[test]
fn they_find_them_in_a_new_database_and_in_a_drill() {
    let server = Server::start();
    server.sql("postgres", SHOP);
    server.sql(
        "crm",
        "ALTER SCHEMA words OWNER TO postgres; GRANT USAGE ON SCHEMA words TO app;
         CREATE ROLE reader; CREATE ROLE guest; GRANT USAGE ON SCHEMA tenant TO reader WITH GRANT OPTION;
         GRANT SELECT ON tenant.people TO reader WITH GRANT OPTION; SET ROLE reader;
         GRANT SELECT ON tenant.people TO guest; GRANT USAGE ON SCHEMA tenant TO guest",
    );
    let app = App::of_database(&server.url("crm"));
    let (intact, defined) = (server.sql("crm", READ), definitions(&server, "crm"));
    assert!(intact.contains("zoe 1") && defined.contains("SET SESSION AUTHORIZATION reader"), "{intact}{defined}");
    for (n, format) in ["tar", "json", "repository"].into_iter().enumerate() {
        app.backup(&["--format", format]);
        app.ok(&["drill", "latest"]);
        let copy = format!("copy_{n}");
        app.ok(&["restore", "latest", "--component", "database", "--to", &server.url(&copy)]);
        assert_eq!(server.sql(&copy, READ), intact, "{format}");
        assert_eq!(definitions(&server, &copy), defined, "{format}");
        // Nothing is left of the path: what needs it needs it still.
        assert_eq!(server.sql(&copy, "SHOW search_path"), "public, words");
    }
}

#[test]
fn they_find_them_in_one_transaction_and_where_single_tables_come_back() {
    let server = Server::start();
    server.sql("postgres", SHOP);
    let app = App::of_database(&server.url("crm").replace("postgres@", "app@"));
    let (intact, defined) = (server.sql("crm", READ), definitions(&server, "crm"));
    app.backup(&[]);
    for damage in ["DELETE FROM tenant.people WHERE id > 5", "DROP TABLE tenant.people CASCADE"] {
        server.sql("crm", damage);
        let restore = ["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"];
        app.ok(&[&restore[..], &["--table", "tenant.people"]].concat());
        let count = "SELECT count(*), sum(id), min(found), max(name) FROM tenant.people";
        assert_eq!(server.sql("crm", count), intact.lines().next().unwrap(), "{damage}");
        app.ok(&["undo", "latest"]);
        app.ok(&restore);
        assert_eq!(server.sql("crm", READ), intact, "{damage}");
        assert_eq!(definitions(&server, "crm"), defined, "{damage}");
    }
}

#[test]
fn what_cannot_be_filled_is_named_and_the_rest_comes_back() {
    let server = Server::start();
    server.sql(
        "postgres",
        r#"CREATE ROLE app LOGIN; CREATE DATABASE crm OWNER app;
        \c crm
        SET ROLE app;
        CREATE TABLE rates (n int); INSERT INTO rates VALUES (1), (2);
        CREATE FUNCTION rate(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
        CREATE MATERIALIZED VIEW "all rates" AS SELECT rate(n) FROM rates;
        CREATE FUNCTION unreachable() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN nowhere_to_be_found(); END';
        CREATE OR REPLACE FUNCTION rate(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN unreachable(); END';"#,
    );
    for (role, to) in [("postgres", Some("copy")), ("app", None)] {
        let app = App::of_database(&server.url("crm").replace("postgres@", &format!("{role}@")));
        let sum = server.sql("crm", "SELECT sum(n) FROM rates");
        app.backup(&[]);
        server.sql("crm", "INSERT INTO rates VALUES (3)");
        let place = to.map_or_else(
            || vec!["--confirm".to_owned(), "CONFIRM_RESTORE".to_owned()],
            |copy| vec!["--to".to_owned(), server.url(copy)],
        );
        let place: Vec<_> = place.iter().map(String::as_str).collect();
        let outcome = app.run(&[&["restore", "latest", "--component", "database"][..], &place].concat());
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert!(outcome.stderr.contains("\"all rates\" could not be filled"), "{outcome:?}");
        assert_eq!(server.sql(to.unwrap_or("crm"), "SELECT sum(n) FROM rates"), sum, "{role}");
    }
}

/// What is refused far behind the first rows is said, and not what the connection says afterwards.
#[test]
fn a_row_that_is_refused_late_is_what_the_error_tells() {
    let server = Server::start();
    server.sql(
        "postgres",
        r"CREATE ROLE app LOGIN; CREATE DATABASE crm OWNER app;
        \c crm
        SET ROLE app;
        CREATE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
        CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
        CREATE TABLE people (id int PRIMARY KEY CHECK (public.fits(id)), name text);
        INSERT INTO people SELECT n, 'a name of some length, number ' || n FROM generate_series(1, 100000) n;
        CREATE OR REPLACE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
          'BEGIN IF $1 > 90000 THEN RAISE ''no more than that''; END IF; RETURN low(''x'') = ''x''; END';",
    );
    for (role, to) in [("postgres", Some("copy")), ("app", None)] {
        let app = App::of_database(&server.url("crm").replace("postgres@", &format!("{role}@")));
        app.backup(&[]);
        let url = server.url(to.unwrap_or_default());
        let place = if to.is_some() { ["--to", &url] } else { ["--confirm", "CONFIRM_RESTORE"] };
        let outcome = app.run(&[&["restore", "latest", "--component", "database"][..], &place].concat());
        assert!(outcome.exit == 1 && outcome.stderr.contains("no more than that"), "{role}: {outcome:?}");
        assert_eq!(server.sql("crm", "SELECT count(*) FROM people"), "100000");
    }
}
