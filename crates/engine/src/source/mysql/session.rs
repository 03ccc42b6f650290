//! A connection with everything pinned that could shape a value: time zone, SQL mode, character sets, limits, timeouts.
//!
//! Invariant: two sessions that read the same row get the same bytes, whatever the server's defaults are. Values come in
//! the column's own character set (`character_set_results = NULL`): nothing is converted, so nothing can be lost.

use super::address::Address;
use crate::{Error, ErrorKind, Result};
use mysql::prelude::Queryable;
use mysql::{Conn, DriverError, Value};

/// A value as the server's text protocol sends it; `None` is NULL.
pub(crate) type Field = Option<Vec<u8>>;

/// Settings every session gets. The timeouts are long because a reader may wait for the backup's writer.
const PINNED: &[&str] = &[
    "SET NAMES utf8mb4",
    "SET SESSION time_zone = '+00:00', sql_mode = '', sql_quote_show_create = 1, sql_select_limit = DEFAULT, \
     sql_safe_updates = 0, net_write_timeout = 86400, net_read_timeout = 86400, wait_timeout = 86400, \
     lock_wait_timeout = 30, innodb_lock_wait_timeout = 30, group_concat_max_len = 1073741824",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];
const PINNED_MARIADB: &[&str] =
    &["SET SESSION max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0, \
     idle_write_transaction_timeout = 0"];
const PINNED_MYSQL: &[&str] = &["SET SESSION max_execution_time = 0"];

/// Which family of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    MariaDb,
    MySql,
}

impl Flavour {
    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }
}

/// One pinned connection.
pub(crate) struct Session {
    conn: Conn,
    place: String,
    /// MariaDB or MySQL.
    pub flavour: Flavour,
    /// `10.11.19-MariaDB-…`.
    pub version: String,
    /// The server's number for this connection.
    pub connection_id: u32,
}

impl Session {
    /// Connects to the server and pins the session; no database is selected.
    pub fn connect(address: &Address) -> Result<Self> {
        let place = address.describe();
        let conn = match Conn::new(address.options(true)) {
            Err(mysql::Error::DriverError(DriverError::TlsNotSupported)) if address.tls_may_be_missing() => {
                Conn::new(address.options(false))
            }
            other => other,
        }
        .map_err(|cause| classify(&place, "connecting", cause))?;
        let connection_id = conn.connection_id();
        let mut session = Self { conn, place, flavour: Flavour::MySql, version: String::new(), connection_id };
        session.version = session.text("SELECT VERSION()")?.unwrap_or_default();
        if session.version.contains("MariaDB") {
            session.flavour = Flavour::MariaDb;
        }
        let more = match session.flavour {
            Flavour::MariaDb => PINNED_MARIADB,
            Flavour::MySql => PINNED_MYSQL,
        };
        for statement in PINNED.iter().chain(more) {
            session.execute(statement)?;
        }
        session.execute("SET character_set_results = NULL")?;
        Ok(session)
    }

    /// Connects and selects the database.
    pub fn open(address: &Address) -> Result<Self> {
        let mut session = Self::connect(address)?;
        session.use_database(&address.database)?;
        Ok(session)
    }

    /// Selects a database; a missing one is [`ErrorKind::NotFound`].
    pub fn use_database(&mut self, database: &str) -> Result<()> {
        self.execute(&format!("USE {}", quote_name(database)))
    }

    /// Runs a statement.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.conn.query_drop(sql).map_err(|cause| classify(&self.place, &shorten(sql), cause))
    }

    /// Runs a statement and gives the server's error number back instead of an error.
    pub fn try_execute(&mut self, sql: &str) -> Result<Result<(), (u16, String)>> {
        match self.conn.query_drop(sql) {
            Ok(()) => Ok(Ok(())),
            Err(mysql::Error::MySqlError(error)) => Ok(Err((error.code, error.message))),
            Err(cause) => Err(classify(&self.place, &shorten(sql), cause)),
        }
    }

    /// All rows of a small result.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Field>>> {
        let mut rows = Vec::new();
        self.each(sql, &mut |row| {
            rows.push(row.into_iter().map(field).collect());
            Ok(true)
        })?;
        Ok(rows)
    }

    /// Calls `row` for each row as it comes in, until it says `false` or fails. The rest of the result is then still under way:
    /// the session is of no further use, and whoever stopped ends it with `KILL`.
    pub fn each(&mut self, sql: &str, row: &mut dyn FnMut(Vec<Value>) -> Result<bool>) -> Result<()> {
        let failed = |cause| classify(&self.place, &shorten(sql), cause);
        for next in self.conn.query_iter(sql).map_err(failed)? {
            let values = next.map_err(failed)?.unwrap();
            if !row(values)? {
                break;
            }
        }
        Ok(())
    }

    /// The first column of the first row, as text.
    pub fn text(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self.rows(sql)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten().map(lossy))
    }

    /// The first column of the first row, as a number; 0 where there is none.
    pub fn number(&mut self, sql: &str) -> Result<u64> {
        Ok(self.text(sql)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// For messages.
    pub fn place(&self) -> &str {
        &self.place
    }
}

fn field(value: Value) -> Field {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        // The text protocol sends nothing else.
        other => Some(other.as_sql(true).into_bytes()),
    }
}

/// Bytes of the server's own making (names, numbers) as text.
pub(crate) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A column of a row, as text; empty for NULL.
pub(crate) fn text_at(row: &[Field], index: usize) -> String {
    row.get(index).cloned().flatten().map(lossy).unwrap_or_default()
}

/// An identifier in backquotes.
pub(crate) fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal that means the same under every SQL mode we set.
pub(crate) fn quote_text(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    super::literal::push_text(&mut quoted, text.as_bytes());
    lossy(quoted)
}

/// The beginning of a statement, for messages: a row of data does not belong there.
fn shorten(sql: &str) -> String {
    let line = sql.lines().next().unwrap_or_default();
    let cut = line.char_indices().nth(120).map_or(line.len(), |(at, _)| at);
    if cut < sql.len() { format!("{}…", &line[..cut]) } else { line.to_owned() }
}

/// Turns the driver's error into one of ours, by the server's error number.
fn classify(place: &str, what: &str, cause: mysql::Error) -> Error {
    let (kind, hint) = match &cause {
        mysql::Error::MySqlError(error) => by_number(error.code),
        mysql::Error::TlsError(_) => (
            ErrorKind::Database,
            "Check ssl-mode, ssl-ca, ssl-cert and ssl-key in the address against the server's certificate.",
        ),
        mysql::Error::DriverError(DriverError::TlsNotSupported) => (
            ErrorKind::Database,
            "The server offers no TLS: set up its certificate, or use ssl-mode=disabled on a trusted network.",
        ),
        mysql::Error::IoError(_) | mysql::Error::DriverError(_) => (
            ErrorKind::Database,
            "Does the server run, and is the address right? Its log says why it ended a connection.",
        ),
        _ => (ErrorKind::Database, "See the cause."),
    };
    let said = match &cause {
        mysql::Error::MySqlError(error) => {
            format!("{} (error {}, SQLSTATE {})", error.message, error.code, error.state)
        }
        other => other.to_string(),
    };
    Error::new(kind, format!("{place}: {what}: {said}"), hint).because(cause)
}

const fn by_number(code: u16) -> (ErrorKind, &'static str) {
    match code {
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => (
            ErrorKind::PermissionDenied,
            "Give the account the right that is named; `strongroom doctor` prints the GRANTs that are missing.",
        ),
        1049 => (ErrorKind::NotFound, "There is no such database on that server: check the address."),
        1205 | 1213 => (ErrorKind::Busy, "Somebody holds a lock: end long transactions, or try again later."),
        1021 | 1114 => (ErrorKind::NoSpace, "Free some space on the database server."),
        1412 => (
            ErrorKind::Busy,
            "A table was altered while it was backed up: try again when no migration runs. With the RELOAD right this \
             cannot happen.",
        ),
        1153 | 1301 => (ErrorKind::TooLarge, "Raise the server's max_allowed_packet, up to 1G, and try again."),
        _ => (ErrorKind::Database, "See the server's message."),
    }
}
