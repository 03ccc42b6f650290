//! Foreign keys between tables that are exchanged alone and tables that stay.
//!
//! Such a key would follow its table into the database beside, and the copy there would forbid the application to delete
//! rows. So only the live side has them: they are dropped before a table leaves and made again after it has come back. Keys
//! *from* a table that stays cannot be had so without a moment in which they do not hold: the exchange is refused.

use crate::source::mysql::schema::Schema;
use crate::source::mysql::session::{Session, quote_name, quote_text, text_at};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A foreign key to a table that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    /// The table that has it.
    pub table: String,
    /// As `SHOW CREATE TABLE` writes it.
    pub definition: String,
    /// The index that serves it: the server may give it another name.
    pub index: Option<String>,
}

/// Takes keys to tables that are not restored along out of the definitions.
pub(super) fn take_out(schema: &mut Schema, restored: &[String]) -> Vec<Key> {
    let mut keys = Vec::new();
    for table in &mut schema.tables {
        let (kept, taken) = split(&table.definition, restored);
        keys.extend(taken.into_iter().map(|definition| Key::new(&table.name, definition, &table.definition)));
        table.definition = kept;
    }
    keys
}

/// Keys of live tables to those that stay.
pub(super) fn of_live(session: &mut Session, database: &str, exchanged: &[String]) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for table in exchanged {
        let path = format!("{}.{}", quote_name(database), quote_name(table));
        let shown = session.rows(&format!("SHOW CREATE TABLE {path}"))?;
        let definition = shown.first().map(|row| text_at(row, 1)).unwrap_or_default();
        let (_, taken) = split(&definition, exchanged);
        keys.extend(taken.into_iter().map(|key| Key::new(table, key, &definition)));
    }
    Ok(keys)
}

/// A definition without its keys to other tables than `along`, and these.
fn split(definition: &str, along: &[String]) -> (String, Vec<String>) {
    let (mut kept, mut taken): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for line in definition.lines() {
        let bare = line.trim().trim_end_matches(',');
        let is_key = bare.starts_with("CONSTRAINT `") && bare.contains(" FOREIGN KEY (");
        if is_key && !parts(bare).is_some_and(|(_, table, _)| along.contains(&table)) {
            taken.push(bare.to_owned());
        } else {
            kept.push(line);
        }
    }
    let mut text = kept.join("\n");
    if !taken.is_empty() {
        text = text.replacen(",\n)", "\n)", 1);
    }
    (text, taken)
}

/// Columns, the table referred to, and its columns; the lists as they are written.
fn parts(definition: &str) -> Option<(&str, String, &str)> {
    let (_, rest) = definition.split_once(" FOREIGN KEY (")?;
    let (columns, rest) = rest.split_once(") REFERENCES `")?;
    let (table, rest) = rest.split_once("` (")?;
    let (referred, _) = rest.split_once(')')?;
    Some((columns, table.replace("``", "`"), referred))
}

fn name(definition: &str) -> String {
    let rest = definition.strip_prefix("CONSTRAINT `").unwrap_or(definition);
    rest.split_once("` FOREIGN KEY").map_or(rest, |(name, _)| name).replace("``", "`")
}

impl Key {
    fn new(table: &str, definition: String, whole: &str) -> Self {
        let columns = parts(&definition).map_or("", |(columns, _, _)| columns).replace(' ', "");
        let serves = |line: &&str| {
            line.split_once("` (").is_some_and(|(_, list)| !columns.is_empty() && list.starts_with(columns.as_str()))
        };
        let keys = whole.lines().filter_map(|line| line.trim().strip_prefix("KEY `"));
        let index =
            keys.filter(|line| serves(line)).find_map(|line| Some(line.split_once("` (")?.0.replace("``", "`")));
        Self { table: table.to_owned(), definition, index }
    }

    /// Refuses where rows in `incoming` would refer to nothing in `live`.
    pub fn check(&self, session: &mut Session, incoming: &str, live: &str) -> Result<()> {
        let Some((columns, table, referred)) = parts(&self.definition) else { return Ok(()) };
        let pairs: Vec<_> = columns.split(',').map(str::trim).zip(referred.split(',').map(str::trim)).collect();
        let on =
            pairs.iter().map(|(column, other)| format!("c.{column} = p.{other}")).collect::<Vec<_>>().join(" AND ");
        let given = pairs.iter().map(|(column, _)| format!("c.{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND ");
        let orphans = session.number(&format!(
            "SELECT COUNT(*) FROM {}.{} c WHERE {given} AND NOT EXISTS (SELECT 1 FROM {}.{} p WHERE {on})",
            quote_name(incoming),
            quote_name(&self.table),
            quote_name(live),
            quote_name(&table)
        ))?;
        if orphans == 0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!("{orphans} rows of {} would refer to rows of {table} that are not there", self.table),
            format!("Nothing was changed. Restore {} and {table} together, or the whole database.", self.table),
        ))
    }

    fn is_there(&self, session: &mut Session, database: &str) -> Result<bool> {
        let count = session.number(&format!(
            "SELECT COUNT(*) FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'FOREIGN KEY' \
             AND TABLE_SCHEMA = {} AND TABLE_NAME = {} AND CONSTRAINT_NAME = {}",
            quote_text(database),
            quote_text(&self.table),
            quote_text(&name(&self.definition))
        ))?;
        Ok(count > 0)
    }

    fn has_index(&self, session: &mut Session, database: &str, index: &str) -> Result<bool> {
        let count = session.number(&format!(
            "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND INDEX_NAME = {}",
            quote_text(database),
            quote_text(&self.table),
            quote_text(index)
        ))?;
        Ok(count > 0)
    }

    fn path(&self, database: &str) -> String {
        format!("{}.{}", quote_name(database), quote_name(&self.table))
    }

    /// Idempotent.
    pub fn make(&self, session: &mut Session, database: &str) -> Result<()> {
        if !self.is_there(session, database)? {
            session.use_database(database)?;
            session.execute(&format!("ALTER TABLE {} ADD {}", self.path(database), self.definition))?;
        }
        // An index that the server once made by itself makes way for one with the key's name.
        let made = name(&self.definition);
        match &self.index {
            Some(index)
                if !self.has_index(session, database, index)? && self.has_index(session, database, &made)? =>
            {
                let (from, to) = (quote_name(&made), quote_name(index));
                session.execute(&format!("ALTER TABLE {} RENAME KEY {from} TO {to}", self.path(database)))
            }
            _ => Ok(()),
        }
    }

    /// Idempotent.
    pub fn drop(&self, session: &mut Session, database: &str) -> Result<()> {
        if !self.is_there(session, database)? {
            return Ok(());
        }
        let name = quote_name(&name(&self.definition));
        session.execute(&format!("ALTER TABLE {} DROP FOREIGN KEY {name}", self.path(database)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_to_tables_that_stay_are_taken_out() {
        let definition = "CREATE TABLE `o` (\n  `id` int,\n  KEY `k` (`c`),\n  CONSTRAINT `a` FOREIGN KEY (`c`) REFERENCES `customers` (`id`),\n  \
                          CONSTRAINT `b``x` FOREIGN KEY (`d`, `e`) REFERENCES `stay` (`f`, `g`) ON DELETE CASCADE\n) ENGINE=InnoDB";
        let (kept, taken) = split(definition, &["customers".to_owned()]);
        assert!(kept.contains("REFERENCES `customers` (`id`)\n)"), "{kept}");
        assert_eq!(taken.len(), 1);
        assert_eq!(name(&taken[0]), "b`x");
        let whole = "  PRIMARY KEY (`d`),\n  KEY `i``j` (`d`,`e`,`z`),\n";
        assert_eq!(Key::new("o", taken[0].clone(), whole).index.as_deref(), Some("i`j"));
        assert_eq!(parts(&taken[0]), Some(("`d`, `e`", "stay".to_owned(), "`f`, `g`")));
    }
}
