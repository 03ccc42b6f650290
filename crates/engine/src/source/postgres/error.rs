//! What the server says, in our words: kind by SQLSTATE, its message, detail and hint kept.

use crate::{Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// Translates a failure of the server or of the connection. `what` says what was being done.
pub fn database(what: impl std::fmt::Display, error: tokio_postgres::Error) -> Error {
    let translated = match error.as_db_error() {
        Some(said) => from_server(&what.to_string(), said),
        None => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Error::new(
                ErrorKind::Database,
                format!("{what} failed: {error}{cause}"),
                "Is the server up, and reachable from here? Its log says more.",
            )
        }
    };
    translated.because(error)
}

fn from_server(what: &str, said: &DbError) -> Error {
    let mut message = format!("{what} failed: {} (SQLSTATE {})", said.message(), said.code().code());
    if let Some(detail) = said.detail() {
        message.push_str("; ");
        message.push_str(detail);
    }
    if let Some(place) = said.where_() {
        message.push_str("; in ");
        message.push_str(&place.chars().take(200).collect::<String>());
    }
    let (kind, hint) = classify(said.code());
    Error::new(kind, message, said.hint().unwrap_or(hint))
}

fn classify(code: &SqlState) -> (ErrorKind, &'static str) {
    match code.code() {
        "42501" => (ErrorKind::PermissionDenied, "`strongroom doctor` prints the GRANTs that are missing."),
        "28P01" | "28000" => (
            ErrorKind::PermissionDenied,
            "Check user and password in the address (or .pgpass) and the server's pg_hba.conf.",
        ),
        "3D000" => (ErrorKind::NotFound, "Check the database's name in the address."),
        "53100" => (ErrorKind::NoSpace, "Free space on the database server and try again."),
        "53200" => {
            (ErrorKind::Database, "Raise max_locks_per_transaction on the server: the database has many tables.")
        }
        "53300" => {
            (ErrorKind::Busy, "The server has no connection left: raise max_connections or lower `connections`.")
        }
        "55006" | "55P03" => (ErrorKind::Busy, "Try again when the others are done, or use --disconnect-clients."),
        "26000" | "08P01" => (
            ErrorKind::Unsupported,
            "Is there a connection pooler (PgBouncer) between? Use the address of the server itself.",
        ),
        "57P01" | "57P02" | "57P03" => {
            (ErrorKind::Database, "The server is stopping or starting: try again when it is up.")
        }
        _ => (ErrorKind::Database, "The server's log says more."),
    }
}

/// Whether the server did not find a function, a type, a table or a schema by its name.
pub fn lacks_a_name(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.and_then(tokio_postgres::Error::code).is_some_and(|code| {
        [
            SqlState::UNDEFINED_FUNCTION,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_OBJECT,
            SqlState::INVALID_SCHEMA_NAME,
        ]
        .contains(code)
    })
}

/// Whether there is no server, or none any more: it could not be reached, the connection broke, or it says that it is starting
/// or stopping.
pub fn is_away(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.is_some_and(|cause| cause.code().is_none_or(|code| matches!(code.code(), "57P01" | "57P02" | "57P03")))
}

/// Whether the server refused because of this SQLSTATE.
pub fn is(error: &tokio_postgres::Error, code: &SqlState) -> bool {
    error.code() == Some(code)
}
