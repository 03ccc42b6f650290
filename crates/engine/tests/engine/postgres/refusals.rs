//! What is refused, and that it says why; what happens when others change things meanwhile.

use super::{HASH_KEY, backup, backup_with, client, restore_to, settings};
use engine::ErrorKind;
use engine::config::component::ServerDatabaseSettings;
use engine::manifest::{Export, Figures};
use engine::source::postgres::{ClientSettings, PostgresSource, check_privileges};
use engine::source::{Context, Source};
use engine::target::postgres::PostgresTarget;
use engine::target::{Place, Target};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::postgres::{Pooler, Server};
use vault::Silent;

fn shop(server: &Server) -> ServerDatabaseSettings {
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE ROLE backup LOGIN; CREATE SCHEMA inner_part; CREATE TABLE orders (id serial PRIMARY KEY, customer text);
         CREATE TABLE inner_part.secrets (x int); INSERT INTO orders (customer) SELECT 'c' || n FROM generate_series(1, 100) n;
         SELECT lo_from_bytea(4711, 'x');",
    );
    settings(&server.url("shop").replace("postgres@", "backup@"))
}

#[test]
fn a_role_without_rights_is_told_every_missing_grant_and_they_are_enough() {
    let server = Server::start();
    let settings = shop(&server);
    let error = backup_with(&settings, Export::Native, false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let missing = check_privileges(&settings, &client()).unwrap();
    assert_eq!(
        missing,
        [
            "GRANT SELECT ON LARGE OBJECT 4711 TO backup;",
            "GRANT SELECT ON SEQUENCE public.orders_id_seq TO backup;",
            "GRANT SELECT ON TABLE inner_part.secrets TO backup;",
            "GRANT SELECT ON TABLE public.orders TO backup;",
            "GRANT USAGE ON SCHEMA inner_part TO backup;",
        ]
    );
    assert!(missing.iter().all(|grant| error.hint().contains(grant)), "{}", error.hint());
    server.sql("shop", &missing.concat());
    assert_eq!(check_privileges(&settings, &client()).unwrap(), Vec::<String>::new());
    let unpacked = backup_with(&settings, Export::Native, false).unwrap();
    let figures = restore_to(&server.url("copy"), &unpacked).unwrap();
    assert_eq!(unpacked.manifest.differences(&figures), Vec::<String>::new());
}

#[test]
fn rows_hidden_by_row_level_security_are_an_error_never_a_smaller_backup() {
    let server = Server::start();
    let settings = shop(&server);
    server.sql(
        "shop",
        "GRANT USAGE ON SCHEMA inner_part TO backup; GRANT SELECT ON ALL TABLES IN SCHEMA public, inner_part TO backup;
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO backup; GRANT SELECT ON LARGE OBJECT 4711 TO backup;
         ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY a_few ON orders USING (id < 4);",
    );
    let error = backup_with(&settings, Export::Native, false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        error.hint().contains("ALTER ROLE backup BYPASSRLS; -- row-level security hides rows of public.orders"),
        "{}",
        error.hint()
    );
    server.sql("shop", "ALTER ROLE backup BYPASSRLS");
    let Figures::Database(figures) = backup_with(&settings, Export::Native, false).unwrap().manifest.figures else {
        panic!()
    };
    let orders = figures.tables.iter().find(|table| table.name == "orders").unwrap();
    assert_eq!(orders.rows, 100);
}

#[test]
fn a_table_cannot_be_dropped_or_altered_while_it_is_dumped() {
    let server = Server::start();
    shop(&server);
    let scratch = tempfile::tempdir().unwrap();
    let context = Context {
        progress: &Silent,
        scratch: scratch.path(),
        hash_key: HASH_KEY,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        deduplicating: false,
    };
    let mut source = PostgresSource::new("database", &settings(&server.url("shop")), client(), Export::Native);
    source.capture(&context).unwrap();
    for change in ["DROP TABLE orders", "ALTER TABLE orders ADD COLUMN x int", "TRUNCATE orders"] {
        let said = server.try_sql("shop", &format!("SET lock_timeout = '100ms'; {change}")).unwrap_err();
        assert!(said.contains("lock timeout"), "{change}: {said}");
    }
    // Rows may change: the snapshot does not see it.
    server.sql("shop", "DELETE FROM orders; INSERT INTO orders (customer) VALUES ('later'); CREATE TABLE new_one ()");
    let folder = tempfile::tempdir().unwrap();
    let mut writer = super::FolderWriter { folder: folder.path(), order: Vec::new() };
    let manifest = source.read(&context, &mut writer).unwrap();
    let Figures::Database(figures) = &manifest.figures else { panic!() };
    let rows: Vec<_> = figures.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("secrets", 0), ("pg_largeobject", 1), ("orders", 100)]);
    drop(source);
    server.sql("shop", "DROP TABLE orders");
}

/// Gives each connection to another server in turn, as a careless load balancer does.
fn balancer(ports: [u16; 2]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let turn = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", ports[turn.fetch_add(1, Ordering::Relaxed) % 2])).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(from, to));
            std::thread::spawn(move || copy(server, client));
        }
    });
    port
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn connections_that_end_at_different_servers_are_refused_with_the_reason() {
    let (one, other) = (Server::start(), Server::start());
    for server in [&one, &other] {
        server.sql("postgres", "CREATE TABLE t (a int)");
    }
    let port = balancer([one.port(), other.port()]);
    let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let error = backup_with(&settings(&url), Export::Native, false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().contains("pooler"), "{error} {}", error.hint());
}

#[test]
fn a_pooler_in_transaction_mode_is_refused_with_the_reason_and_one_in_session_mode_works() {
    let server = Server::start();
    server.sql("postgres", "CREATE DATABASE crm");
    server.sql("crm", "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)");
    for mode in ["transaction", "statement"] {
        let pooler = Pooler::start(&server, mode);
        for _ in 0..3 {
            let error = backup_with(&settings(&pooler.url("crm")), Export::Native, false).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{mode}: {error}");
            assert!(format!("{error} {}", error.hint()).contains("PgBouncer"), "{mode}: {error} {}", error.hint());
            assert!(error.hint().contains("address of the"), "{mode}: {error} {}", error.hint());
        }
        // What we tried left nothing behind on connections that the application gets next.
        for _ in 0..10 {
            let mut psql = server.client("psql");
            let seen = psql.args(["-XAtc", "SHOW search_path", &pooler.url("crm")]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&seen.stdout), "\"$user\", public\n", "{mode}");
        }
        let unpacked = super::backup(&server.url("crm"), Export::Native);
        let error = restore_to(&pooler.url("crm_copy"), &unpacked).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{mode}: {error}");
    }
    let pooler = Pooler::start(&server, "session");
    let through = backup_with(&settings(&pooler.url("crm")), Export::Native, false).unwrap();
    let direct = super::backup(&server.url("crm"), Export::Native);
    assert_eq!(through.manifest.figures, direct.manifest.figures);
}

#[test]
fn an_older_pg_dump_is_refused_with_the_remedy() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pg_dump");
    std::fs::write(&program, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 11.22 (Debian 11.22-1)'\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let settings =
        ServerDatabaseSettings { tools_folder: Some(folder.path().to_owned()), ..settings(&server.url("postgres")) };
    let error = backup_with(&settings, Export::Native, false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("of version 11") && error.hint().contains("postgresql-client-"), "{error}");
}

#[test]
fn what_stands_in_a_restores_way_is_found_before_anything_is_touched() {
    let (server, other) = (Server::start(), Server::start());
    shop(&server);
    server.sql("shop", "CREATE ROLE clerk; ALTER TABLE orders OWNER TO clerk; CREATE EXTENSION hstore");
    let mut unpacked = backup(&server.url("shop"), Export::Native);
    if let Figures::Database(figures) = &mut unpacked.manifest.figures {
        figures.values.insert("extensions".to_owned(), r#"["hstore","not_there"]"#.to_owned());
        figures.engine_version = "99.1".to_owned();
    }
    other.sql("postgres", "CREATE DATABASE used; CREATE ROLE weak LOGIN");
    other.sql("used", "CREATE TABLE t ()");
    let obstacles = |url: &str| {
        let place = Place::Database { url: url.to_owned() };
        let mut target = PostgresTarget::new("database", &settings(url), client(), place);
        target.inspect(&super::context(&Silent), &unpacked.manifest).unwrap().obstacles.join("\n")
    };
    let found = obstacles(&other.url("new"));
    for part in ["CREATE ROLE \"clerk\";", "not_there", "99.1"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    assert!(!found.contains("hstore is"), "{found}");
    assert!(obstacles(&other.url("used")).contains("not empty: 1 tables"));
    assert!(obstacles(&other.url("new").replace("postgres@", "weak@")).contains("ALTER ROLE \"weak\" CREATEDB;"));
    let place = Place::Database { url: other.url("used") };
    let mut target = PostgresTarget::new("database", &settings(&other.url("used")), client(), place);
    let layout = std::fs::read(unpacked.folder.path().join("0-layout.json")).unwrap();
    let refused = target.entry(&super::context(&Silent), &unpacked.order[0], &mut layout.as_slice()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(other.sql("used", "SELECT count(*) FROM pg_class WHERE relname = 'orders'"), "0");
}

#[test]
fn no_password_is_ever_shown() {
    let server = Server::start();
    server.sql("postgres", "CREATE ROLE locked LOGIN PASSWORD 'geheim'");
    std::fs::write(server.data().join("pg_hba.conf"), "host all postgres all trust\nhost all all all scram-sha-256\n")
        .unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()");
    let url = |password: &str| server.url("postgres").replace("postgres@", &format!("locked{password}@"));
    while backup_with(&settings(&url("")), Export::Native, false).is_ok() {}
    let error = backup_with(&settings(&url(":falsch")), Export::Native, false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let error = format!("{error} {error:?} {}", error.hint());
    assert!(!error.contains("falsch"), "{error}");
    backup_with(&settings(&url(":geheim")), Export::Native, false).unwrap();
    let pgpass = ClientSettings { pgpass: Some("127.0.0.1:*:*:locked:geheim\n".to_owned().into()), ..client() };
    assert_eq!(check_privileges(&settings(&url("")), &pgpass).unwrap(), Vec::<String>::new());
}

/// A writer whose server dies while it takes the first table.
struct Killing<'a>(&'a Server);

impl vault::EntryWriter for Killing<'_> {
    fn write(
        &mut self,
        entry: &vault::Entry,
        content: Option<&mut dyn vault::Content>,
    ) -> engine::Result<vault::Outcome> {
        let mut reader = content.unwrap().open().unwrap();
        if entry.path.starts_with(b"2-data") || entry.path.as_bytes() == b"database.json" {
            self.0.crash();
        }
        let bytes =
            std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| vault::error::from_io("copying", e))?;
        Ok(vault::Outcome::Stored { bytes, padded_bytes: 0 })
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> engine::Result<vault::Committed> {
        panic!("a backup that failed was committed")
    }
}

#[test]
fn a_server_that_dies_while_it_is_dumped_fails_the_backup() {
    for export in [Export::Native, Export::Json] {
        let mut server = Server::start();
        server.sql("postgres", "CREATE TABLE a AS SELECT repeat('x', 1000) FROM generate_series(1, 60000)");
        server.sql(
            "postgres",
            "CREATE TABLE b AS SELECT * FROM a; CREATE TABLE c AS SELECT * FROM a; CREATE TABLE d AS SELECT * FROM a",
        );
        let scratch = tempfile::tempdir().unwrap();
        let context = Context {
            progress: &Silent,
            scratch: scratch.path(),
            hash_key: HASH_KEY,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            deduplicating: false,
        };
        let mut source = PostgresSource::new("database", &settings(&server.url("postgres")), client(), export);
        source.capture(&context).unwrap();
        let error = source.read(&context, &mut Killing(&server)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        server.kill();
    }
}

#[test]
fn a_restore_into_a_new_database_that_fails_takes_the_database_away() {
    let server = Server::start();
    shop(&server);
    let unpacked = backup(&server.url("shop"), Export::Native);
    for (path, broken) in [
        ("1-post-data.sql", "CREATE INDEX nonsense;"),
        ("2-data/0002-public.orders.copy", "1\n"),
        ("0-layout.json", "{"),
    ] {
        let url = server.url("new");
        let mut target = PostgresTarget::new("database", &settings(&url), client(), Place::Database { url });
        let context = super::context(&Silent);
        target.inspect(&context, &unpacked.manifest).unwrap();
        let filled = unpacked.order.iter().try_for_each(|entry| {
            let mut content = std::fs::read(unpacked.folder.path().join(entry.path.to_os_path())).unwrap();
            if entry.path.as_bytes() == path.as_bytes() {
                content = broken.into();
            }
            target.entry(&context, entry, &mut content.as_slice())
        });
        assert!(filled.and_then(|()| target.finish(&context)).is_err(), "{path}");
        target.discard(&context).unwrap();
        target.discard(&context).unwrap();
        assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'new'"), "0", "{path}");
    }
}
