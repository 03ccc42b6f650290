//! Single tables put back into a live database, taken back, and refused where that cannot be right.

use crate::support::{App, definitions};
use testkit::{mariadb, postgres};

const CONFIRM: [&str; 2] = ["--confirm", "CONFIRM_RESTORE"];

fn restore(app: &App, id: &str, tables: &[&str]) -> serde_json::Value {
    let mut arguments = vec!["restore", id, "--component", "database"];
    for table in tables {
        arguments.extend(["--table", table]);
    }
    app.ok(&[arguments, CONFIRM.to_vec()].concat())
}

fn refused(app: &App, exit: i32, id: &str, tables: &[&str]) -> String {
    let mut arguments = vec!["restore", id, "--component", "database", "--json"];
    for table in tables {
        arguments.extend(["--table", table]);
    }
    let outcome = app.run(&[arguments, CONFIRM.to_vec()].concat());
    assert_eq!(outcome.exit, exit, "{outcome:?}");
    outcome.stderr
}

const SHOP: &str = r#"
    CREATE ROLE app LOGIN; CREATE ROLE guest; CREATE ROLE seller; CREATE DATABASE crm OWNER app;
    \c crm
    CREATE SCHEMA sales AUTHORIZATION app;
    SET ROLE app;
    CREATE TYPE sales.mood AS ENUM ('good', 'bad');
    CREATE TABLE log (what text);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (TG_OP); RETURN NEW; END';
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, mood sales.mood, shout text GENERATED ALWAYS AS (upper(name)) STORED);
    COMMENT ON TABLE customers IS 'who buys; ON x';
    CREATE INDEX customers_name ON customers (name);
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TRIGGER asleep AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION noted();
    ALTER TABLE customers DISABLE TRIGGER asleep;
    CREATE RULE mirror AS ON INSERT TO customers DO ALSO INSERT INTO log VALUES ('rule');
    CREATE TABLE sales."Orders" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE, total numeric);
    COMMENT ON CONSTRAINT "Orders_customer_fkey" ON sales."Orders" IS 'the buyer';
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON customers TO guest USING (name = current_user);
    GRANT SELECT (id, name) ON customers TO guest;
    GRANT UPDATE ON customers TO seller WITH GRANT OPTION;
    SET ROLE seller; GRANT UPDATE ON customers TO guest; SET ROLE app;
    CREATE VIEW rich AS SELECT c.* FROM customers c JOIN sales."Orders" o ON o.customer = c.id WHERE total > 10;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM customers;
    CREATE TABLE measured (at date, value int) PARTITION BY RANGE (at);
    CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    INSERT INTO measured VALUES ('2024-05-05', 1);
    INSERT INTO customers (name, mood) VALUES ('Zoë', 'good'), ('Grace', 'bad'), ('Linus', NULL);
    INSERT INTO sales."Orders" (customer, total) VALUES (1, 5), (2, 50), (2, 7);
    TRUNCATE log;
    RESET ROLE;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO guest;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC;
"#;

const READ: &str = r#"SELECT * FROM customers ORDER BY id; SELECT * FROM sales."Orders" ORDER BY id; SELECT * FROM rich ORDER BY id;
    SELECT count(*) FROM log; SELECT * FROM measured"#;

#[test]
fn postgresql_rows_come_back_and_keys_triggers_and_sequences_stay_right() {
    let server = postgres::Server::start();
    server.sql("postgres", SHOP);
    let app = App::of_database(&server.url("crm").replace("postgres@", "app@"));
    server.sql("crm", "ALTER TABLE measured OWNER TO app; ALTER TABLE measured_2024 OWNER TO app");
    let (intact, defined) = (server.sql("crm", READ), definitions(&server, "crm"));
    for record in [app.backup(&[]), app.backup(&["--format", "json"]), app.backup(&["--format", "repository"])] {
        let id = record["id"].as_str().unwrap();
        server.sql("crm", "UPDATE customers SET name = 'gone' WHERE id = 1; INSERT INTO customers (name) VALUES ('new'); TRUNCATE log");
        let damaged = server.sql("crm", READ);
        let plan = app.ok(&["restore", id, "--component", "database", "--table", "customers", "--dry-run"]);
        let part = &plan["components"][0];
        assert_eq!(part["tables"][0]["name"], "customers", "{plan}");
        assert_eq!(
            (&part["backup"]["figures"]["tables"][0]["rows"], &part["live"]["tables"][0]["rows"]),
            (&3.into(), &4.into()),
            "{plan}"
        );
        assert!(part["warnings"].to_string().contains("REFRESH MATERIALIZED VIEW"), "{plan}");
        let restored = restore(&app, id, &["public.customers"]);
        assert_eq!(server.sql("crm", READ), intact);
        assert_eq!(definitions(&server, "crm"), defined);
        // The number of the row that is gone is not given out again.
        let sequence: i64 = server.sql("crm", "SELECT last_value FROM customers_id_seq").parse().unwrap();
        assert!(sequence >= 4, "{sequence}");
        app.ok(&["undo", "latest"]);
        assert_eq!(server.sql("crm", READ), damaged);
        app.ok(&["undo", restored["id"].as_str().unwrap()]);
        assert_eq!(server.sql("crm", READ), intact);
    }
}

const PARTITIONED: &str = "
    CREATE DATABASE crm;
    \\c crm
    CREATE TABLE who (id int PRIMARY KEY);
    CREATE SCHEMA parts;
    CREATE TABLE sales (id bigserial, at date NOT NULL, who int REFERENCES who, what text DEFAULT 'x', PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE INDEX sales_what ON sales (what);
    CREATE TABLE parts.\"Sales 2024\" PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE parts.sales_2025 PARTITION OF sales FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (at);
    CREATE TABLE parts.sales_2025_h1 PARTITION OF parts.sales_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
    CREATE TABLE parts.sales_2025_other PARTITION OF parts.sales_2025 DEFAULT;
    CREATE TABLE refers (sale bigint, at date, FOREIGN KEY (sale, at) REFERENCES sales);
    INSERT INTO who VALUES (1), (2);
    INSERT INTO sales (at, who, what) VALUES ('2024-02-03', 1, 'a'), ('2025-01-01', 2, 'x'), ('2025-09-09', 2, 'y');
    INSERT INTO refers VALUES (1, '2024-02-03');
";

const SALES: &str = "SELECT tableoid::regclass, * FROM sales ORDER BY id";

#[test]
fn postgresql_a_partitioned_table_comes_back_with_all_its_partitions() {
    let server = postgres::Server::start();
    server.sql("postgres", PARTITIONED);
    let app = App::of_database(&server.url("crm"));
    let rows = || server.sql("crm", SALES);
    let (intact, defined) = (rows(), definitions(&server, "crm"));
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for record in [app.backup(&[]), app.backup(&["--format", "json"])] {
        let id = record["id"].as_str().unwrap();
        let again = |damage: &str| {
            server.sql("crm", damage);
            let damaged = rows_or_nothing(&server);
            let restored = restore(&app, id, &["sales"]);
            assert_eq!(rows(), intact, "{damage}");
            assert_eq!(sorted(&definitions(&server, "crm")), sorted(&defined), "{damage}");
            app.ok(&["undo", "latest"]);
            assert_eq!(rows_or_nothing(&server), damaged, "{damage}");
            app.ok(&["undo", restored["id"].as_str().unwrap()]);
            assert_eq!(rows(), intact, "{damage}");
        };
        again(
            "UPDATE sales SET what = 'wrong'; DELETE FROM refers; DELETE FROM sales WHERE id = 1; INSERT INTO refers VALUES (2, '2025-01-01')",
        );
        again("DELETE FROM refers; ALTER TABLE sales DETACH PARTITION parts.sales_2025; DROP TABLE parts.sales_2025");
        again("DROP TABLE sales CASCADE");
        server.sql("crm", "CREATE TABLE parts.sales_2026 PARTITION OF sales FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'); INSERT INTO sales (at) VALUES ('2026-06-06')");
        let plan = app.ok(&["restore", id, "--component", "database", "--table", "sales", "--dry-run"]);
        assert!(plan["components"][0]["warnings"].to_string().contains("parts.sales_2026"), "{plan}");
        restore(&app, id, &["public.sales"]);
        assert!(rows().contains("2026-06-06"));
        server.sql("crm", "ALTER TABLE sales DETACH PARTITION parts.sales_2026; DROP TABLE parts.sales_2026");
        assert_eq!(rows(), intact);
    }
}

/// What is there of the partitioned table, if anything.
fn rows_or_nothing(server: &postgres::Server) -> String {
    server.try_sql("crm", SALES).unwrap_or_default()
}

#[test]
fn postgresql_a_dropped_table_is_made_again_with_all_that_hung_on_it() {
    let server = postgres::Server::start();
    server.sql("postgres", SHOP);
    let app = App::of_database(&server.url("crm"));
    let (intact, defined) = (server.sql("crm", READ), definitions(&server, "crm"));
    assert!(defined.contains("SET SESSION AUTHORIZATION seller"), "{defined}");
    for record in [app.backup(&[]), app.backup(&["--format", "json"])] {
        server.sql("crm", "DROP TABLE customers CASCADE; DROP TABLE measured_2024");
        let restored = restore(&app, record["id"].as_str().unwrap(), &["customers", "measured_2024"]);
        // Views do not belong to a table: CASCADE took them.
        let views = r#"SET ROLE app; CREATE VIEW rich AS SELECT c.* FROM customers c JOIN sales."Orders" o ON o.customer = c.id WHERE total > 10;
            CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM customers"#;
        let lost = server.try_sql("crm", "SELECT * FROM rich");
        assert!(lost.is_err());
        server.sql("crm", views);
        assert_eq!(server.sql("crm", READ), intact);
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&definitions(&server, "crm")), sorted(&defined));
        server.sql("crm", "DROP VIEW rich; DROP MATERIALIZED VIEW counted");
        app.ok(&["undo", "latest"]);
        assert_eq!(
            server.sql("crm", "SELECT to_regclass('customers') IS NULL, to_regclass('measured_2024') IS NULL"),
            "t|t"
        );
        let restores = app.ok(&["undo", restored["id"].as_str().unwrap()]);
        assert_eq!(restores["state"], "swapped");
        server.sql("crm", views);
        assert_eq!(server.sql("crm", READ), intact);
    }
}

#[test]
fn postgresql_what_cannot_be_put_back_alone_is_refused_and_nothing_changes() {
    let server = postgres::Server::start();
    server.sql("postgres", SHOP);
    let app = App::of_database(&server.url("crm"));
    let id = app.backup(&[])["id"].as_str().unwrap().to_owned();
    server.sql(
        "crm",
        r#"INSERT INTO customers (name) VALUES ('new'); INSERT INTO sales."Orders" (customer, total) VALUES (4, 1)"#,
    );
    let before = server.sql("crm", READ);
    let said = refused(&app, 1, &id, &["customers"]);
    assert!(said.contains("Key (customer)=(4) is not present") && said.contains("Nothing was changed"), "{said}");
    assert_eq!(server.sql("crm", READ), before);
    restore(&app, &id, &["customers", "sales.Orders"]);
    server.sql("crm", "ALTER TABLE log ADD COLUMN later int");
    let said = refused(&app, 1, &id, &["log"]);
    assert!(said.contains("has the columns later, which the backup does not know"), "{said}");
    assert!(refused(&app, 4, &id, &["nothing"]).contains("holds no table"));
    for arguments in [&["--to", "/tmp/x"][..], &["--path", "database/x", "--to", "/tmp/x"]] {
        let outcome = app.run(&[&["restore", &id, "--table", "log"][..], arguments].concat());
        assert_eq!(outcome.exit, 2, "{outcome:?}");
    }
}

#[test]
fn mariadb_single_tables_move_with_their_triggers() {
    let server = mariadb::Server::start(&[]);
    server.fresh("crm");
    server.sql(
        "crm",
        "CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL);
         CREATE TABLE orders (id INT PRIMARY KEY, customer INT, FOREIGN KEY (customer) REFERENCES customers (id));
         CREATE TABLE log (what VARCHAR(20));
         CREATE TRIGGER note AFTER INSERT ON log FOR EACH ROW SET @noted = 1;
         CREATE VIEW seen AS SELECT * FROM customers; CREATE PROCEDURE p() SELECT 1;
         INSERT INTO customers (name) VALUES ('Zoë'), ('Grace'); INSERT INTO orders VALUES (1, 2); INSERT INTO log VALUES ('a')",
    );
    let app = App::of_database(&server.url("crm"));
    let intact = server.dump("crm");
    for record in [app.backup(&[]), app.backup(&["--format", "json"])] {
        let id = record["id"].as_str().unwrap();
        server.sql("crm", "DELETE FROM log; DROP TRIGGER note; DELETE FROM orders");
        let damaged = server.dump("crm");
        restore(&app, id, &["log", "orders"]);
        assert_eq!(server.dump("crm"), intact);
        app.ok(&["undo", "latest"]);
        assert_eq!(server.dump("crm"), damaged);
        let said = refused(&app, 1, id, &["customers"]);
        assert!(said.contains("restore orders along with them"), "{said}");
        // What lies beside does not hold on to what is live.
        server.sql("crm", "DELETE FROM orders; DELETE FROM customers WHERE id = 2");
        let said = refused(&app, 1, id, &["orders"]);
        assert!(said.contains("1 rows of orders would refer to rows of customers"), "{said}");
        restore(&app, id, &["customers", "orders", "log"]);
        assert_eq!(server.dump("crm"), intact);
    }
}

#[test]
fn sqlite_says_why_not() {
    let app = App::new();
    let id = app.backup(&[])["id"].as_str().unwrap().to_owned();
    let before = app.snapshot();
    let said = refused(&app, 1, &id, &["customers"]);
    assert!(said.contains("single tables cannot be put back here"), "{said}");
    crate::support::assert_same(&app.snapshot(), &before);
}
