//! Encrypted connections, with and without proof of who is at the other end.

use super::*;
use std::process::Command;
use testkit::mariadb::Server;
use vault::ErrorKind;

/// A certificate authority, a certificate for the server and one for a client.
fn certificates(folder: &Path) {
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority 2>/dev/null
        for who in server client; do
          openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who 2>/dev/null
          printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext
          openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $who.pem 2>/dev/null
        done
        chmod a+rx . ; chmod a+r *";
    assert!(Command::new("sh").args(["-c", script]).current_dir(folder).status().unwrap().success());
}

#[test]
fn tls_modes_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let arguments = [
        format!("--ssl-ca={}", file("ca.pem")),
        format!("--ssl-cert={}", file("server.pem")),
        format!("--ssl-key={}", file("server.key")),
    ];
    let server = Server::start(&arguments.each_ref().map(String::as_str));
    server.fresh("secure");
    server.sql(
        "secure",
        "CREATE TABLE a (id INT); CREATE USER certified IDENTIFIED BY 'x' REQUIRE X509; GRANT ALL ON *.* TO certified",
    );
    let try_url = |url: String| try_backup(&settings(&url), Export::Native).map(|_| ());
    let base = server.url("secure");
    for mode in ["preferred", "required", "disabled"] {
        try_url(format!("{base}?ssl-mode={mode}")).unwrap();
    }
    try_url(format!("{base}?ssl-mode=verify_identity&ssl-ca={}", file("ca.pem"))).unwrap();
    try_url(format!("{base}?sslaccept=strict&sslca={}", file("ca.pem"))).unwrap();
    // Nobody vouches for the server.
    assert!(try_url(format!("{base}?ssl-mode=verify_identity")).is_err());
    assert!(try_url(format!("{base}?ssl-mode=verify_ca&ssl-ca={}", file("client.pem"))).is_err());
    let certified = server.url_of("certified", "x", "secure");
    assert_eq!(try_url(format!("{certified}?ssl-mode=required")).unwrap_err().kind(), ErrorKind::PermissionDenied);
    try_url(format!("{certified}?ssl-mode=required&ssl-cert={}&ssl-key={}", file("client.pem"), file("client.key")))
        .unwrap();
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = Server::shared();
    server.fresh("insecure");
    let error =
        try_backup(&settings(&format!("{}?ssl-mode=required", server.url("insecure"))), Export::Native).err().unwrap();
    assert!(error.hint().contains("TLS"), "{error:?}");
}
