//! Columns of a row as values of ours: times are milliseconds since 1970, ids are text.

use crate::id::Id;
use crate::{Error, ErrorKind};
use jiff::Timestamp;
use rusqlite::{Row, types::Type};

fn wrong(column: usize, kind: Type, cause: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(cause))
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|cause| wrong(column, Type::Integer, cause))
}

/// A time that may be absent.
pub(super) fn time_optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?
        .map(Timestamp::from_millisecond)
        .transpose()
        .map_err(|cause| wrong(column, Type::Integer, cause))
}

/// An id.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Id> {
    Id::parse(&row.get::<_, String>(column)?).map_err(|cause| wrong(column, Type::Text, cause))
}

/// A JSON document.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|cause| wrong(column, Type::Text, cause))
}

/// A JSON document that may be absent.
pub(super) fn json_optional<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<String>>(column)?
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|cause| wrong(column, Type::Text, cause))
}

/// One of a set of names.
pub(super) fn named<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    parse(&name).ok_or_else(|| {
        let cause = Error::new(ErrorKind::Unsupported, format!("a record says {name:?}"), "Use the newer program.");
        wrong(column, Type::Text, cause)
    })
}
