//! `sslmode` against a server with a certificate of its own authority.

use super::{client, settings};
use engine::Result;
use engine::source::postgres::check_privileges;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::postgres::Server;

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new("openssl").current_dir(folder).args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate signed by it: `<name>.crt`, `<name>.key`.
fn sign(folder: &Path, name: &str, subject: &str, extension: &str) {
    std::fs::write(folder.join("extensions"), extension).unwrap();
    openssl(folder, &format!("req -new -newkey rsa:2048 -nodes -subj {subject} -keyout {name}.key -out {name}.csr"));
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
        ),
    );
}

fn certificates(folder: &Path) {
    for ca in ["ca", "other"] {
        openssl(
            folder,
            &format!("req -x509 -newkey rsa:2048 -nodes -subj /CN={ca} -days 2 -keyout {ca}.key -out {ca}.crt"),
        );
    }
    sign(folder, "server", "/CN=localhost", "subjectAltName=DNS:localhost");
    sign(folder, "client", "/CN=postgres", "extendedKeyUsage=clientAuth");
}

#[test]
fn sslmode_means_what_libpq_means_by_it() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    server.install("server.crt", &std::fs::read(folder.path().join("server.crt")).unwrap());
    server.install("server.key", &std::fs::read(folder.path().join("server.key")).unwrap());
    server.install("root.crt", &std::fs::read(folder.path().join("ca.crt")).unwrap());
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.sql("postgres", "ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    server.sql("postgres", "CREATE DATABASE plain");
    let rules = "hostssl certified all all cert\nhostssl secret all all trust\nhostnossl plain all all trust\nhost postgres all all trust\n";
    server.sql("postgres", "CREATE DATABASE secret");
    server.sql("postgres", "CREATE DATABASE certified");
    server.install("pg_hba.conf", rules.as_bytes());
    server.sql("postgres", "SELECT pg_reload_conf()");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, other) = (format!("&sslrootcert={}", file("ca.crt")), format!("&sslrootcert={}", file("other.crt")));
    let certificate = format!("&sslcert={}&sslkey={}", file("client.crt"), file("client.key"));
    let connect = |host: &str, database: &str, query: &str| -> Result<Vec<String>> {
        let url = format!("postgresql://postgres@{host}:{}/{database}?{query}", server.port());
        check_privileges(&settings(&url), &client())
    };
    while connect("127.0.0.1", "postgres", "sslmode=require").is_err() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for (host, database, query, works) in [
        ("127.0.0.1", "secret", "sslmode=disable".to_owned(), false),
        ("127.0.0.1", "secret", "sslmode=allow".to_owned(), true),
        ("127.0.0.1", "secret", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "secret", String::new(), true),
        ("127.0.0.1", "secret", "sslmode=require".to_owned(), true),
        ("127.0.0.1", "secret", format!("sslmode=require{other}"), false),
        ("127.0.0.1", "secret", "sslmode=verify-ca".to_owned(), false),
        ("127.0.0.1", "secret", format!("sslmode=verify-ca{ca}"), true),
        ("127.0.0.1", "secret", format!("sslmode=verify-ca{other}"), false),
        ("127.0.0.1", "secret", format!("sslmode=verify-full{ca}"), false),
        ("localhost", "secret", format!("sslmode=verify-full{ca}"), true),
        ("localhost", "secret", format!("sslmode=verify-full{other}"), false),
        ("127.0.0.1", "plain", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "plain", "sslmode=require".to_owned(), false),
        ("localhost", "certified", format!("sslmode=verify-full{ca}"), false),
        ("localhost", "certified", format!("sslmode=verify-full{ca}{certificate}"), true),
    ] {
        let result = connect(host, database, &query);
        assert_eq!(result.is_ok(), works, "{host}/{database}?{query}: {result:?}");
    }
}
