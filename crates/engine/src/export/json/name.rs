//! How a table's schema and name become one key of `tables`.
//!
//! A table of the default schema is keyed by its name, any other by `schema.table`. A `.` within a name is written `\.`
//! and a `\` as `\\`, so that no two tables share a key. (In the JSON text each `\` is doubled once more.)

use crate::{Error, ErrorKind, Result};

/// Schema and name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TableName {
    /// The schema; `None` for the engine's default one (`main`, `public`, the database itself).
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

impl TableName {
    /// A table of the default schema.
    pub fn plain(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// A table of another schema.
    pub fn qualified(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), name: name.into() }
    }

    /// The key in `tables`.
    pub fn to_key(&self) -> String {
        let mut key = String::with_capacity(self.name.len() + 16);
        if let Some(schema) = &self.schema {
            push_escaped(&mut key, schema);
            key.push('.');
        }
        push_escaped(&mut key, &self.name);
        key
    }

    /// Reads a key back.
    pub fn from_key(key: &str) -> Result<Self> {
        let bad = || {
            Error::new(
                ErrorKind::Damaged,
                format!("the JSON document is damaged: {key:?} is not a table's key"),
                "Use another copy of the backup, or an older one.",
            )
        };
        let mut parts = vec![String::new()];
        let mut chars = key.chars();
        while let Some(c) = chars.next() {
            match (c, parts.last_mut()) {
                ('.', _) => parts.push(String::new()),
                ('\\', Some(part)) => match chars.next() {
                    Some(c @ ('.' | '\\')) => part.push(c),
                    _ => return Err(bad()),
                },
                (c, Some(part)) => part.push(c),
                (_, None) => return Err(bad()),
            }
        }
        let name = parts.pop().ok_or_else(bad)?;
        let schema = parts.pop();
        if parts.is_empty() { Ok(Self { schema, name }) } else { Err(bad()) }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_key())
    }
}

fn push_escaped(key: &mut String, part: &str) {
    for c in part.chars() {
        if matches!(c, '.' | '\\') {
            key.push('\\');
        }
        key.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert_eq!(TableName::plain("customers").to_key(), "customers");
        assert_eq!(TableName::qualified("audit", "log").to_key(), "audit.log");
        assert_eq!(TableName::plain("audit.log").to_key(), r"audit\.log");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["a.b.c", "a\\", "a\\x", "..", "a.b."] {
            assert!(TableName::from_key(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(schema in proptest::option::of("\\PC*"), name in "[.\\\\a\u{fc}]*") {
            let name = TableName { schema, name };
            prop_assert_eq!(TableName::from_key(&name.to_key()).unwrap(), name);
        }
    }
}
