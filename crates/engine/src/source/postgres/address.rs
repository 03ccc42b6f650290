//! Where a PostgreSQL server is and how to sign in: a `postgresql://` URL as libpq reads it.
//!
//! The engine reads neither environment nor home folder: whatever libpq would take from there (the user's name, the
//! text of `~/.pgpass`) comes in through [`ClientSettings`]. A password never appears in `Debug` output or messages.

use super::tls::TlsMode;
use crate::redact::has_cut_password;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What the binary found in the environment and hands to the engine.
#[derive(Clone, Default)]
pub struct ClientSettings {
    /// Name of the operating system's user: signs in where the URL names nobody.
    pub user: Option<String>,
    /// Text of the password file (`~/.pgpass` or `PGPASSFILE`).
    pub pgpass: Option<Zeroizing<String>>,
    /// Folders of the PATH, in order: where `pg_dump` is looked for after `tools_folder`.
    pub tool_folders: Vec<PathBuf>,
}

/// A server, a database in it and everything needed to connect.
#[derive(Clone)]
pub struct Address {
    /// Hosts with ports, tried in order; a host that begins with `/` is the folder of a Unix socket.
    pub hosts: Vec<(String, u16)>,
    /// Who signs in.
    pub user: String,
    /// The password, where the URL or the password file has one.
    pub password: Option<Zeroizing<String>>,
    /// The database.
    pub database: String,
    /// `sslmode`.
    pub tls: TlsMode,
    /// `sslrootcert`: a file, or `system`.
    pub root_certificate: Option<PathBuf>,
    /// `sslcert`.
    pub client_certificate: Option<PathBuf>,
    /// `sslkey`.
    pub client_key: Option<PathBuf>,
    /// `options`, passed to the server as they are.
    pub options: Option<String>,
    /// `connect_timeout` in seconds.
    pub connect_timeout_s: u64,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The address without its password, for messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "{}@{}/{}", self.user, hosts.join(","), self.database)
    }
}

impl Address {
    /// Reads `postgresql://user:password@host:port/database?sslmode=…`.
    ///
    /// Understands libpq's connection parameters. Those of application frameworks (`schema`, `connection_limit`, …) are
    /// passed over, but an unknown one that begins with `ssl` is refused: a misspelt `sslmode` must not pass for none.
    pub fn parse(url: &str, client: &ClientSettings) -> Result<Self> {
        let rest = strip_scheme(url)?;
        if has_cut_password(rest) {
            return Err(bad("its password seems to hold a / or ?".to_owned(), "Write them as %2F and %3F."));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        let mut parts = Parts {
            user: decode(user)?,
            password: password.map(decode).transpose()?,
            database: decode(path.trim_end_matches('/'))?,
            ..Parts::default()
        };
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            let (host, port) = split_port(host)?;
            parts.hosts.push(decode(host)?);
            parts.ports.push(port);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parts.parameter(&decode(name)?, decode(value)?)?;
        }
        parts.into_address(client)
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// Whether this host is the folder of a Unix socket.
    pub fn is_socket(host: &str) -> bool {
        host.starts_with('/')
    }
}

/// What was read from the URL so far.
#[derive(Default)]
struct Parts {
    hosts: Vec<String>,
    ports: Vec<Option<u16>>,
    user: String,
    password: Option<String>,
    database: String,
    tls: Option<TlsMode>,
    root_certificate: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    options: Option<String>,
    connect_timeout_s: Option<u64>,
}

impl Parts {
    fn parameter(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "host" | "hostaddr" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => self.ports = value.split(',').map(|port| parse_port(port).map(Some)).collect::<Result<_>>()?,
            "user" => self.user = value,
            "password" => self.password = Some(value),
            "dbname" => self.database = value,
            "sslmode" => self.tls = Some(TlsMode::parse(&value)?),
            "sslrootcert" => self.root_certificate = Some(value.into()),
            "sslcert" => self.client_certificate = Some(value.into()),
            "sslkey" => self.client_key = Some(value.into()),
            "options" => self.options = Some(value),
            "connect_timeout" => self.connect_timeout_s = value.parse().ok(),
            // libpq's `sslcompression`, `sslnegotiation`, …, and Prisma's `sslaccept`: no effect on what is verified here.
            "sslcompression" | "sslsni" | "ssl_min_protocol_version" | "ssl_max_protocol_version" | "sslaccept" => {}
            other if other.starts_with("ssl") => {
                return Err(bad(
                    format!("the parameter {other} is unknown or not supported"),
                    "Known are sslmode, sslrootcert, sslcert and sslkey.",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn into_address(mut self, client: &ClientSettings) -> Result<Address> {
        if self.user.is_empty() {
            self.user = client
                .user
                .clone()
                .ok_or_else(|| bad("it names no user".to_owned(), "Write it as postgresql://user@host/database."))?;
        }
        if self.database.is_empty() {
            self.database.clone_from(&self.user);
        }
        if self.hosts.is_empty() {
            self.hosts.push("localhost".to_owned());
        }
        let port_of = |at: usize| {
            let only = if self.ports.len() == 1 { self.ports[0] } else { None };
            self.ports.get(at).copied().flatten().or(only).unwrap_or(5432)
        };
        let hosts: Vec<_> = self.hosts.iter().enumerate().map(|(at, host)| (host.clone(), port_of(at))).collect();
        let password = match (self.password, &client.pgpass) {
            (Some(password), _) => Some(Zeroizing::new(password)),
            (None, Some(text)) => hosts.iter().find_map(|host| from_pgpass(text, host, &self.database, &self.user)),
            (None, None) => None,
        };
        Ok(Address {
            hosts,
            user: self.user,
            password,
            database: self.database,
            tls: self.tls.unwrap_or_default(),
            root_certificate: self.root_certificate,
            client_certificate: self.client_certificate,
            client_key: self.client_key,
            options: self.options,
            connect_timeout_s: self.connect_timeout_s.filter(|&s| s > 0).unwrap_or(15),
        })
    }
}

/// Accepts `postgres://`, `postgresql://` and what some frameworks make of them (`postgresql+psycopg2://`).
fn strip_scheme(url: &str) -> Result<&str> {
    if let Some((scheme, rest)) = url.split_once("://")
        && matches!(scheme.split('+').next(), Some("postgres" | "postgresql"))
    {
        return Ok(rest);
    }
    Err(bad(
        "it does not begin with postgresql://".to_owned(),
        "Write it as postgresql://user:password@host:5432/database.",
    ))
}

fn split_port(host: &str) -> Result<(&str, Option<u16>)> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest
            .split_once(']')
            .ok_or_else(|| bad("an IPv6 address lacks its ]".to_owned(), "Write it as [::1]:5432."))?;
        return Ok((address, port.strip_prefix(':').map(parse_port).transpose()?));
    }
    match host.rsplit_once(':') {
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((host, None)),
    }
}

fn parse_port(port: &str) -> Result<u16> {
    if port.is_empty() {
        return Ok(5432);
    }
    // Not told: it may be part of a password.
    port.parse().map_err(|_| bad("its port is not a number up to 65535".to_owned(), "Write it as host:5432."))
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| hex::decode(digits).ok());
        match digits.as_deref() {
            Some([value]) if *value != 0 => bytes.push(*value),
            _ => {
                return Err(bad(
                    "it has a % that two hexadecimal digits do not follow".to_owned(),
                    "Write a % sign as %25.",
                ));
            }
        }
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8 after decoding".to_owned(), "Encode it as UTF-8."))
}

/// The URL itself is never repeated: it may hold a password.
fn bad(why: String, hint: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the address of the PostgreSQL database is wrong: {why}"), hint)
}

/// The password for this connection in a password file: `host:port:database:user:password`, `*` matches anything,
/// `\` escapes. A Unix socket is found under its folder or as `localhost`.
fn from_pgpass(text: &str, (host, port): &(String, u16), database: &str, user: &str) -> Option<Zeroizing<String>> {
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = pgpass_fields(line);
        let password = fields.pop().filter(|_| fields.len() == 4)?;
        let host_matches =
            fields[0] == "*" || fields[0] == *host || (Address::is_socket(host) && fields[0] == "localhost");
        let rest_matches = [(1, port.as_str()), (2, database), (3, user)]
            .iter()
            .all(|&(at, want)| fields[at] == "*" || fields[at] == want);
        (host_matches && rest_matches).then(|| Zeroizing::new(password))
    })
}

/// Four fields and the rest of the line, escapes undone.
fn pgpass_fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => field.extend(characters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address> {
        Address::parse(url, &ClientSettings { user: Some("me".into()), ..ClientSettings::default() })
    }

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        let address =
            parse("postgresql://al%40ice:p%3Ass@db.example:6543/crm%20x?sslmode=verify-full&schema=public").unwrap();
        assert_eq!(address.hosts, [("db.example".to_owned(), 6543)]);
        assert_eq!((address.user.as_str(), address.database.as_str()), ("al@ice", "crm x"));
        assert_eq!(address.password.unwrap().as_str(), "p:ss");
        assert_eq!(address.tls, TlsMode::VerifyFull);
        let address = parse("postgres:///crm?host=/var/run/postgresql&port=5433").unwrap();
        assert_eq!(address.hosts, [("/var/run/postgresql".to_owned(), 5433)]);
        assert_eq!(address.user, "me");
        let address = parse("postgresql://[::1]:5433,other/x").unwrap();
        assert_eq!(address.hosts, [("::1".to_owned(), 5433), ("other".to_owned(), 5432)]);
        assert_eq!(parse("postgresql://%2Ftmp%2Fs:5000/x").unwrap().hosts, [("/tmp/s".to_owned(), 5000)]);
    }

    #[test]
    fn a_wrong_address_is_refused_without_repeating_its_password() {
        for url in [
            "mysql://a:geheim@b/c",
            "postgresql://a:geheim@b:99999/c",
            "postgresql://a:geheim%@b/c",
            "postgresql://a:geheim@b/c?sslmod=require",
            "postgresql://a:geheim@b/c?sslmode=sometimes",
            "postgresql://a:geheim/x@b/c",
            "postgresql://a:12/geheim@b/c",
            "postgresql://a:geheim?x@b/c",
            "postgresql://a:geheim/c",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
        }
        let shown = format!("{:?}", parse("postgresql://a:geheim@b/c").unwrap());
        assert!(!shown.contains("geheim"), "{shown}");
    }

    #[test]
    fn the_password_file_is_searched_in_order() {
        let pgpass = "# comment\nother:*:*:*:no\nh:5432:d:u\\:x:a\\:b:c\n*:*:*:*:last";
        let client = ClientSettings { pgpass: Some(Zeroizing::new(pgpass.to_owned())), ..ClientSettings::default() };
        let password = |url| Address::parse(url, &client).unwrap().password.map(|p| p.to_string());
        assert_eq!(password("postgresql://u%3Ax@h/d").as_deref(), Some("a:b:c"));
        assert_eq!(password("postgresql://v@h/d").as_deref(), Some("last"));
        assert_eq!(password("postgresql://v:own@h/d").as_deref(), Some("own"));
    }
}
