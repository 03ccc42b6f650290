//! Where a MySQL or MariaDB server is found and how it is spoken to, from a URL.
//!
//! `mysql://user:password@host:port/database?socket=…&ssl-mode=…` as Prisma, Rails, SQLAlchemy and the server's own tools
//! write it. Parameters of connection pools mean nothing here and are passed over. The password is in no message.

use crate::redact::has_cut_password;
use crate::{Error, ErrorKind, Result};
use mysql::{ClientIdentity, OptsBuilder, SslOpts};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How much TLS is wanted; the words of the `mariadb` and `mysql` programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// An address, taken apart.
#[derive(Clone)]
pub(crate) struct Address {
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: u16,
    socket: Option<String>,
    /// The database; never empty.
    pub database: String,
    tls: Tls,
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Address {
    /// Reads a URL; it must name a database.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = ["mysql://", "mariadb://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme))
            .ok_or_else(|| bad("does not begin with mysql:// or mariadb://"))?;
        if has_cut_password(rest) {
            return Err(bad("seems to hold a password with a / or ? in it: write them as %2F and %3F"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (non_empty(decode(user)?), non_empty(decode(password)?)),
            None => (None, None),
        };
        let (host, port) = split_port(place)?;
        let parameters = parameters(query)?;
        let database = decode(database)?;
        if database.is_empty() {
            return Err(bad("names no database: mysql://user:password@host:3306/database is wanted"));
        }
        let take = |names: &[&str]| names.iter().find_map(|name| parameters.get(*name)).cloned();
        if parameters.contains_key("sslidentity") {
            return Err(bad(
                "has sslidentity (a PKCS #12 file), which cannot be read: give ssl-cert and ssl-key as PEM files",
            ));
        }
        Ok(Self {
            user,
            password,
            host,
            port,
            socket: take(&["socket", "unix_socket", "unixsocket"]),
            database,
            tls: tls(&parameters)?,
            ca: take(&["sslca", "sslrootcert"]).map(PathBuf::from),
            identity: take(&["sslcert"]).zip(take(&["sslkey"])).map(|(cert, key)| (cert.into(), key.into())),
        })
    }

    /// The same server and account, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// For messages: where, never with what password.
    pub fn describe(&self) -> String {
        match &self.socket {
            Some(socket) => format!("{} (MariaDB/MySQL at {socket})", self.database),
            None => format!("{} (MariaDB/MySQL at {}:{})", self.database, self.host, self.port),
        }
    }

    /// Whether a server without TLS is acceptable.
    pub fn tls_may_be_missing(&self) -> bool {
        self.tls == Tls::Preferred
    }

    /// Options for the driver, without a database.
    pub fn options(&self, with_tls: bool) -> OptsBuilder {
        let options = OptsBuilder::new()
            .user(self.user.clone())
            .pass(self.password.clone())
            .ip_or_hostname(Some(self.host.clone()))
            .tcp_port(self.port)
            .socket(self.socket.clone())
            .prefer_socket(self.socket.is_some())
            // Rows may be larger than what the server accepts as a statement.
            .max_allowed_packet(Some(1 << 30))
            .tcp_connect_timeout(Some(std::time::Duration::from_secs(15)))
            .stmt_cache_size(0);
        options.ssl_opts((with_tls && self.wants_tls()).then(|| self.ssl()))
    }

    fn wants_tls(&self) -> bool {
        self.tls != Tls::Disabled && self.socket.is_none()
    }

    fn ssl(&self) -> SslOpts {
        let mut ssl = SslOpts::default()
            .with_root_cert_path(self.ca.clone().map(Cow::Owned))
            .with_client_identity(self.identity.clone().map(|(cert, key)| ClientIdentity::new(cert, key)));
        if matches!(self.tls, Tls::Preferred | Tls::Required) {
            ssl = ssl.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true);
        }
        if self.tls == Tls::VerifyCa {
            ssl = ssl.with_danger_skip_domain_validation(true);
        }
        ssl
    }
}

/// The URL with another database in it: drills and copies.
pub(crate) fn url_with_database(url: &str, database: &str) -> Result<String> {
    Address::parse(url)?;
    let (before, query) = url.split_once('?').map_or((url, None), |(before, query)| (before, Some(query)));
    let (server, _) = before.rsplit_once('/').unwrap_or((before, ""));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{server}/{}{query}", encode(database)))
}

fn bad(why: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the database address {why}"),
        "Write it as mysql://user:password@host:3306/database; special characters in user and password as %XX.",
    )
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn split_port(place: &str) -> Result<(String, u16)> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host.to_owned(), port.strip_prefix(':')),
        None => match place.rsplit_once(':') {
            Some((host, port)) => (decode(host)?, Some(port)),
            None => (decode(place)?, None),
        },
    };
    let port = port
        .filter(|port| !port.is_empty())
        .map_or(Ok(3306), str::parse)
        .map_err(|_| bad("has a port that is not a number up to 65535"))?;
    Ok((if host.is_empty() { "localhost".to_owned() } else { host }, port))
}

/// Parameters by name in lower case without `-` and `_`-variants: `ssl-ca`, `ssl_ca` and `sslca` are one.
fn parameters(query: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase().replace("ssl-", "ssl").replace("ssl_", "ssl");
        found.insert(name, decode(value)?);
    }
    Ok(found)
}

fn tls(parameters: &BTreeMap<String, String>) -> Result<Tls> {
    if let Some(accept) = parameters.get("sslaccept") {
        return match accept.as_str() {
            "strict" => Ok(Tls::VerifyIdentity),
            "accept_invalid_certs" => Ok(Tls::Required),
            _ => Err(bad("has an unknown sslaccept: strict or accept_invalid_certs")),
        };
    }
    let Some(mode) = parameters.get("sslmode") else { return Ok(Tls::Preferred) };
    match mode.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" | "disable" => Ok(Tls::Disabled),
        "preferred" | "prefer" => Ok(Tls::Preferred),
        "required" | "require" => Ok(Tls::Required),
        "verify_ca" => Ok(Tls::VerifyCa),
        "verify_identity" | "verify_full" => Ok(Tls::VerifyIdentity),
        _ => Err(bad("has an unknown ssl-mode: disabled, preferred, required, verify_ca or verify_identity")),
    }
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
            let mut decoded = [0];
            hex::decode_to_slice(pair, &mut decoded).map_err(|_| bad("has a bad %XX"))?;
            bytes.push(decoded[0]);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| bad("is not UTF-8 after decoding its %XX"))
}

fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let a = Address::parse(
            "mysql://us%40er:p%3Aw@db.example:3307/crm?connection_limit=5&ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
        )
        .unwrap();
        assert_eq!((a.user.as_deref(), a.password.as_deref()), (Some("us@er"), Some("p:w")));
        assert_eq!((a.host.as_str(), a.port, a.database.as_str()), ("db.example", 3307, "crm"));
        assert_eq!((a.tls, a.ca), (Tls::VerifyCa, Some(PathBuf::from("/ca.pem"))));
        let a = Address::parse("mariadb://root@localhost/d%C3%A9?socket=/run/s.sock").unwrap();
        assert_eq!((a.database.as_str(), a.socket.as_deref(), a.password), ("dé", Some("/run/s.sock"), None));
        assert_eq!(Address::parse("mysql://[::1]:99/x").unwrap().host, "::1");
    }

    #[test]
    fn a_bad_address_is_refused_without_showing_its_password() {
        for url in [
            "postgres://u:secret@h/d",
            "mysql://u:secret@h",
            "mysql://u:secret@h:x/d",
            "mysql://u:secret%zz@h/d",
            "mysql://u:secret/x@h/d",
            "mysql://u:1/secret@h/d",
            "mysql://u:secret/d",
        ] {
            let error = Address::parse(url).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn another_database_keeps_everything_else() {
        let url = url_with_database("mysql://u:p@h:1/crm?sslmode=required", "cr m").unwrap();
        assert_eq!(url, "mysql://u:p@h:1/cr%20m?sslmode=required");
    }
}
