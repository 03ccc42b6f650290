//! The user's own assertions on a restored copy: one statement, one value.

use super::open::{explain, open_immutable};
use crate::{Error, ErrorKind, Result};
use rusqlite::types::ValueRef;
use std::path::Path;
use std::time::{Duration, Instant};

/// Instructions of SQLite's machine between two looks at the clock.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// Runs one reading statement on a file that nobody writes and answers the first value of its first row as text: NULL and
/// no row as an empty string, blobs as hexadecimal digits. Stops after `timeout` with [`ErrorKind::Cancelled`].
pub fn query(path: &Path, sql: &str, timeout: Duration) -> Result<String> {
    let mut connection = open_immutable(path)?;
    let deadline = Instant::now() + timeout;
    let late = move || Instant::now() >= deadline;
    let mut run = || -> rusqlite::Result<String> {
        connection.progress_handler(INSTRUCTIONS_PER_LOOK, Some(late))?;
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(String::new()) };
        Ok(match row.get_ref(0)? {
            ValueRef::Null => String::new(),
            ValueRef::Integer(n) => n.to_string(),
            ValueRef::Real(x) => zmij::Buffer::new().format(x).to_owned(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Blob(bytes) => hex::encode(bytes),
        })
    };
    run().map_err(|cause| match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Error::new(
            ErrorKind::Cancelled,
            format!("{sql:?} took longer than {} ms", timeout.as_millis()),
            "Make the assertion simpler, or add an index for it.",
        ),
        Some(rusqlite::ErrorCode::Unknown) | None => Error::new(
            ErrorKind::Config,
            format!("{sql:?} cannot be run: {cause}"),
            "Correct the assertion in the configuration.",
        )
        .because(cause),
        _ => explain(path, cause),
    })
}
