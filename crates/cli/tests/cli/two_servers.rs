//! Two database servers and uploads in one plan; passwords in nobody's sight; disks that fill on our side and on the server's.

use crate::support::Mounted;
use crate::support::{App, KEY};
use std::process::{Command, Stdio};
use testkit::{mariadb, postgres};

const SECRET: &str = "geh-1m-nis";

fn configure(app: &App, postgres: &str, mysql: &str) {
    std::fs::write(app.path().join(".env"), format!("BACKUP_ENCRYPTION_KEY={KEY}\n")).unwrap();
    app.configure(&format!(
        "[components.orders]\nkind = 'postgres'\nurl = '{postgres}'\n[components.shop]\nkind = 'mysql'\nurl = '{mysql}'\n\
         [components.uploads]\nkind = 'files'\npath = 'uploads'\n"
    ));
}

#[test]
fn two_servers_and_files_are_backed_up_and_restored_together_and_no_password_is_seen() {
    let (one, other) = (postgres::Server::start(), mariadb::Server::start(&[]));
    one.sql("postgres", &format!("CREATE ROLE app SUPERUSER LOGIN PASSWORD '{SECRET}'; CREATE DATABASE crm OWNER app"));
    one.install("pg_hba.conf", b"host all postgres all trust\nlocal all all trust\nhost all all all scram-sha-256\n");
    one.sql("postgres", "SELECT pg_reload_conf()");
    other.fresh("crm");
    other
        .sql("", &format!("CREATE USER app@'127.0.0.1' IDENTIFIED BY '{SECRET}'; GRANT ALL ON *.* TO app@'127.0.0.1'"));
    let app = App::empty();
    let url = one.url("crm").replace("postgres@", &format!("app:{SECRET}@"));
    configure(&app, &url, &other.url_of("app", SECRET, "crm"));
    std::fs::create_dir(app.path().join("uploads")).unwrap();
    let file = app.path().join("uploads/state");
    let set = |word: &str| {
        let sql = format!(
            "DROP TABLE IF EXISTS state; CREATE TABLE state (word VARCHAR(20)); INSERT INTO state VALUES ('{word}')"
        );
        one.sql("crm", &sql);
        other.sql("crm", &sql);
        std::fs::write(&file, word).unwrap();
    };
    let state = || {
        [
            one.sql("crm", "SELECT word FROM state"),
            other.sql("crm", "SELECT word FROM state"),
            std::fs::read_to_string(&file).unwrap(),
        ]
    };
    set("then");
    app.backup_waiting_at("backup.captured", || {
        let listed = Command::new("ps").args(["-eww", "-o", "args"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&listed.stdout).contains(SECRET), "a password stands in the process list");
    });
    set("now");
    app.ok(&["drill", "latest"]);
    app.ok(&["restore", "latest", "--confirm", "CONFIRM_RESTORE"]);
    assert_eq!(state(), ["then"; 3]);
    app.ok(&["undo", "latest"]);
    assert_eq!(state(), ["now"; 3]);
    // One of the two servers refuses: neither is changed, nor are the files.
    let id = app.ok(&["list"])[0]["id"].as_str().unwrap().to_owned();
    let held = other
        .client("crm")
        .args(["-e", "SELECT SLEEP(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while other.sql("", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'") == "0" {}
    assert_eq!(app.fails(5, &["restore", &id, "--confirm", "CONFIRM_RESTORE"]), "busy");
    assert_eq!(state(), ["now"; 3]);
    let mut held = held;
    let _ = held.kill();
    let _ = held.wait();
    let (copy, nowhere) =
        (url.replace("/crm", "/copy"), "mysql://app:SECRET@127.0.0.1:1/copy".replace("SECRET", SECRET));
    let said: String =
        [&["show", "latest"][..], &["audit"], &["doctor"], &["config", "show"], &["restores"], &["list"]]
            .into_iter()
            .chain([
                &["restore", "latest", "--component", "orders", "--to", &copy, "--dry-run"][..],
                &["restore", "latest", "--component", "orders", "--to", &copy],
                &["restore", "latest", "--component", "orders", "--to", &copy, "--json"],
                &["restore", "latest", "--component", "shop", "--to", &nowhere],
            ])
            .map(|arguments| format!("{:?}", app.run(arguments)))
            .collect();
    assert!(said.len() > 1000 && !said.contains(SECRET), "{said}");
    let kept = Command::new("grep").args(["-rlF", SECRET, "logs", "backups"]).current_dir(app.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "", "a password was written down");
}

#[test]
fn a_disk_that_fills_on_our_side_or_the_servers_costs_nothing_that_was_there() {
    let app = App::empty();
    // A tablespace on a small disk: the server's log must not be on it, or the server itself would stop.
    let disk = Mounted::tmpfs(app.path().join("disk"), "60m");
    let server = postgres::Server::start();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(&disk.0).status().unwrap().success(), "{program}");
    };
    run("chown", &[&format!("--reference={}", server.data().display())]);
    assert!(Command::new("chmod").arg("755").arg(app.path()).status().unwrap().success());
    server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display()));
    server.sql("postgres", "CREATE DATABASE crm");
    // Compresses poorly, so that the archive is large, too.
    server.sql(
        "crm",
        "CREATE TABLE noise TABLESPACE small AS
         SELECT n, sha512(n::text::bytea) || sha512((-n)::text::bytea) AS hash FROM generate_series(1, 200000) n",
    );
    std::fs::write(
        app.path().join(".env"),
        format!("DATABASE_URL=\"{}\"\nBACKUP_ENCRYPTION_KEY={KEY}\n", server.url("crm")),
    )
    .unwrap();
    let whole = "SELECT count(*), sum(length(hash)) FROM noise";
    let before = server.sql("crm", whole);
    app.backup(&[]);
    assert_eq!(app.fails(1, &["restore", "latest", "--confirm", "CONFIRM_RESTORE"]), "no_space");
    assert_eq!(server.sql("crm", whole), before);
    app.ok(&["list"]);
    let left = "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'crm\\_%'";
    assert_eq!(server.sql("postgres", left), "", "what was half filled is removed");
    let archives = Mounted::tmpfs(app.path().join("small"), "8m");
    app.configure(&format!("backup_dir = '{}'\n", archives.0.display()));
    assert_eq!(app.fails(1, &["backup"]), "no_space");
    assert_eq!(app.ok(&["list"])[0]["state"], "failed");
    assert_eq!(server.sql("crm", whole), before);
}
