//! Settings that are made while the service runs: whether schedules run, which runs were done, edited schedules.

use super::{Catalog, failed};
use crate::Result;
use jiff::Timestamp;
use rusqlite::OptionalExtension;

impl Catalog {
    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        self.connection()
            .query_row("SELECT value FROM settings WHERE name = $1", [name], |row| row.get(0))
            .optional()
            .map_err(|cause| failed("reading a setting", cause))
    }

    /// All settings whose name begins with `prefix`.
    pub fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        let doing = |cause| failed("reading the settings", cause);
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT name, value FROM settings WHERE substr(name, 1, length($1)) = $1 ORDER BY name")
            .map_err(doing)?;
        let rows = statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?))).map_err(doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }

    /// Sets a setting; `None` removes it, so that the configuration speaks again.
    pub fn setting_set(&self, name: &str, value: Option<&str>, now: Timestamp, by: &str) -> Result<()> {
        self.write(|tx| {
            match value {
                Some(value) => tx.execute(
                    "INSERT INTO settings (name, value, changed_at, changed_by) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (name) DO UPDATE SET value = $2, changed_at = $3, changed_by = $4",
                    (name, value, now.as_millisecond(), by),
                ),
                None => tx.execute("DELETE FROM settings WHERE name = $1", [name]),
            }
            .map_err(|cause| failed("writing a setting", cause))?;
            Ok(())
        })
    }

    /// Takes a setting away and returns it, in one step: of two who try, one gets it.
    pub fn setting_take(&self, name: &str, value: &str) -> Result<bool> {
        self.write(|tx| {
            tx.execute("DELETE FROM settings WHERE name = $1 AND value = $2", (name, value))
                .map(|taken| taken == 1)
                .map_err(|cause| failed("taking a setting", cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_taken_once() {
        let catalog = Catalog::in_memory().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        catalog.setting_set("a.b", Some("1"), now, "ann").unwrap();
        catalog.setting_set("a.b", Some("2"), now, "ann").unwrap();
        catalog.setting_set("ab", Some("3"), now, "ann").unwrap();
        assert_eq!(catalog.settings("a.").unwrap(), [("a.b".to_owned(), "2".to_owned())]);
        assert!(!catalog.setting_take("a.b", "1").unwrap());
        assert!(catalog.setting_take("a.b", "2").unwrap());
        assert_eq!(catalog.setting("a.b").unwrap(), None);
    }
}
