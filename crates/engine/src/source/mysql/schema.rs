//! A database's schema as a backup keeps it: enough to make everything anew, in a database of any name.
//!
//! Invariant: no definition names the database that it came from where the server lets it go unnamed. Bodies of routines and
//! views are the user's own words and stay as they are; where they name the database, a warning does so too. Definitions
//! are UTF-8: an object made by a latin1 client comes back as one of a utf8mb4 client.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of this shape; a reader refuses a higher one.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// How a column's values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Integers, decimals, years; and enums and sets that have an empty member, by index.
    Number,
    /// FLOAT and DOUBLE, as the shortest digits that give the same double.
    Float,
    /// Binary strings, bits, geometries.
    Bytes,
    /// Text in the column's own character set.
    Text,
    /// A name of an ENUM, or index 0.
    Enum,
    /// Dates and times.
    Time,
    /// MySQL's JSON type (MariaDB's is text).
    Json,
    /// Types with a text form of their own: UUID, INET6, …
    Other,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Column {
    pub name: String,
    /// `decimal(65,30) unsigned`
    #[serde(rename = "type")]
    pub declared: String,
    pub kind: Kind,
    /// Exact decimals are told from integers in JSON.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decimal: bool,
    /// Computed: hashed, never inserted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// What is selected; the column itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    pub name: String,
    /// SHOW CREATE TABLE.
    pub definition: String,
    pub engine: String,
    pub columns: Vec<Column>,
    #[serde(default)]
    pub primary_key: Vec<String>,
    /// The counter as SHOW CREATE TABLE has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_increment: Option<String>,
    /// All versions of its rows are kept, with their times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_versioned: bool,
    /// Its rows live elsewhere (MERGE, FEDERATED, BLACKHOLE, …): the definition is kept, no rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_rows: bool,
    /// Too large for a content hash by the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_hash: bool,
    /// Not in the engine's snapshot (MyISAM, Aria, MEMORY, …).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub non_transactional: bool,
}

/// A MariaDB sequence with the eight values of its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sequence {
    pub name: String,
    pub definition: String,
    pub values: Vec<String>,
}

/// What kind of stored program or view, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectKind {
    Package,
    PackageBody,
    Function,
    Procedure,
    View,
    Trigger,
    Event,
}

impl ObjectKind {
    /// The words between CREATE or DROP and the name.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Package => "PACKAGE",
            Self::PackageBody => "PACKAGE BODY",
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::View => "VIEW",
            Self::Trigger => "TRIGGER",
            Self::Event => "EVENT",
        }
    }

    /// Stored routines: what CREATE OR REPLACE keeps the grants of.
    pub const fn is_routine(self) -> bool {
        matches!(self, Self::Package | Self::PackageBody | Self::Function | Self::Procedure)
    }
}

/// A routine, view, trigger or event, with the settings under which it was made: the server keeps them with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    pub kind: ObjectKind,
    pub name: String,
    /// The table of a trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    pub definition: String,
    #[serde(default)]
    pub sql_mode: String,
    pub character_set_client: String,
    pub collation_connection: String,
    #[serde(default)]
    pub database_collation: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// Views: the columns, for the stand-in that is made first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// A view that does not work in the source either; no figure counts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

/// Everything that is not rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schema {
    pub version: u32,
    pub engine: String,
    pub engine_version: String,
    pub database: String,
    pub character_set: String,
    pub collation: String,
    #[serde(default)]
    pub comment: String,
    pub tables: Vec<Table>,
    #[serde(default)]
    pub sequences: Vec<Sequence>,
    #[serde(default)]
    pub objects: Vec<Object>,
}

impl Schema {
    /// Reads a schema from a backup.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Probe {
            version: u32,
        }
        let probe: Probe = serde_json::from_slice(bytes).map_err(damaged)?;
        if probe.version > SCHEMA_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the schema has version {}, this build reads up to {SCHEMA_VERSION}", probe.version),
                "Use the Strongroom that wrote it, or a newer one.",
            ));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// As it lies in the backup.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|cause| Error::internal(format!("writing the schema: {cause}")))
    }

    /// The objects of one kind.
    pub fn of(&self, kind: ObjectKind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// Accounts that own routines, views, triggers and events, as `user@host`, each once.
    pub fn definers(&self) -> Vec<String> {
        let found = self.objects.iter().filter_map(|object| definer(&object.definition));
        found.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Counts for the figures; broken views are none of them.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::from([("sequences".to_owned(), self.sequences.len() as u64)]);
        for (kind, name) in [
            (ObjectKind::Package, "packages"),
            (ObjectKind::Function, "functions"),
            (ObjectKind::Procedure, "procedures"),
            (ObjectKind::View, "views"),
            (ObjectKind::Trigger, "triggers"),
            (ObjectKind::Event, "events"),
        ] {
            counts.insert(name.to_owned(), self.of(kind).filter(|object| !object.broken).count() as u64);
        }
        counts
    }
}

/// A schema that is not one.
pub(crate) fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the schema in the backup cannot be read: {cause}"),
        "Use another copy or an older backup.",
    )
}

/// `user@host` of a definition's DEFINER clause.
pub(crate) fn definer(definition: &str) -> Option<String> {
    let head = &definition[..definition.char_indices().nth(400).map_or(definition.len(), |(at, _)| at)];
    let at = head.find("DEFINER=")? + "DEFINER=".len();
    let (user, rest) = backquoted(&head[at..])?;
    match rest.strip_prefix('@').and_then(backquoted) {
        Some((host, _)) => Some(format!("{user}@{host}")),
        None => Some(user),
    }
}

fn backquoted(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix('`')?;
    let mut name = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '`' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '`').is_some() {
            name.push('`');
        } else {
            return Some((name, &rest[at + 1..]));
        }
    }
    None
}

/// SHOW CREATE TABLE without the counter, and the counter.
pub(crate) fn split_auto_increment(definition: &str) -> (String, Option<String>) {
    const END_OF_COLUMNS: &str = "\n) ENGINE=";
    let whole = || (definition.to_owned(), None);
    // Inside quotes the server writes a line break as `\n`: the first real one before `) ENGINE` ends the columns.
    let Some(options) = definition.find(END_OF_COLUMNS).map(|at| at + END_OF_COLUMNS.len()) else { return whole() };
    // The engine's name is one word, and the counter comes right after it.
    let engine_end = definition[options..].find(' ').map_or(definition.len(), |at| options + at);
    let Some(rest) = definition[engine_end..].strip_prefix(" AUTO_INCREMENT=") else { return whole() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (format!("{}{}", &definition[..engine_end], &rest[digits..]), Some(rest[..digits].to_owned()))
}

/// Removes `` `database`. `` after `nextval(`, `lastval(` and `setval(`: the server writes it into column defaults.
pub(crate) fn unqualify_sequences(definition: &str, database: &str) -> String {
    let mut text = definition.to_owned();
    for function in ["nextval", "lastval", "setval"] {
        let qualified = format!("{function}({}.", super::session::quote_name(database));
        text = text.replace(&qualified, &format!("{function}("));
    }
    text
}

/// Removes the database's name from the head of a trigger (`CREATE … TRIGGER db.name … ON db.table FOR EACH ROW`), which the
/// server keeps as the user wrote it.
pub(crate) fn unqualify_trigger(definition: &str, database: &str) -> String {
    let quoted = super::session::quote_name(database);
    let mut out = String::with_capacity(definition.len());
    let mut rest = definition;
    let mut previous = String::new();
    while let Some(length) = head_token(rest) {
        let (token, after) = rest.split_at(length);
        let word = token.to_ascii_lowercase();
        let is_name = token == quoted || token == database;
        let qualified = after.trim_start().strip_prefix('.');
        if let (true, Some(name)) = (is_name && matches!(previous.as_str(), "trigger" | "exists" | "on"), qualified) {
            rest = name.trim_start();
            continue;
        }
        out.push_str(token);
        rest = after;
        if previous == "for" && word == "each" {
            break;
        }
        if !token.starts_with(char::is_whitespace) {
            previous = word;
        }
    }
    out + rest
}

/// Removes the database's name from a view's text where it stands before a table and a column, or before a function: the
/// server writes it there now and then, and always for a view whose definer is gone. (Before a table alone it leaves it out.)
pub(crate) fn unqualify_view(definition: &str, database: &str) -> String {
    let qualifier = format!("{}.", super::session::quote_name(database));
    let mut out = String::with_capacity(definition.len());
    let mut rest = definition;
    while let Some(first) = rest.chars().next() {
        if !out.ends_with('.')
            && let Some(name) = rest.strip_prefix(&qualifier)
            && name.starts_with('`')
            && name[quoted_length(name, '`')..].starts_with(['.', '('])
        {
            rest = name;
        }
        let length = match first {
            '`' => quoted_length(rest, '`'),
            '\'' => text_length(rest),
            _ => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Length of a string literal in which a backslash escapes.
fn text_length(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the next token of a definition's head: spaces, something quoted, a word, or one other character.
fn head_token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let until = |stop: &dyn Fn(char) -> bool| text.find(stop).unwrap_or(text.len());
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    Some(match first {
        '`' | '"' | '\'' => quoted_length(text, first),
        _ if first.is_whitespace() => until(&|c| !c.is_whitespace()),
        _ if is_word(first) => until(&|c| !is_word(c)),
        _ => first.len_utf8(),
    })
}

/// Length of a quoted token, its quotes included; a doubled quote is a part of it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(next) = text[at..].find(quote) {
        at += next + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// The members of `enum('a','b')` or `set(…)`, as they stand between the quotes.
pub(crate) fn members(column_type: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let mut rest = column_type;
    while let Some(open) = rest.find('\'') {
        let length = quoted_length(&rest[open..], '\'');
        members.push(&rest[open + 1..(open + length - 1).max(open + 1)]);
        rest = &rest[open + length..];
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_taken_out_of_the_definition_and_nowhere_else() {
        let sql = "CREATE TABLE `t` (\n  `a` int COMMENT '\\n) ENGINE=x AUTO_INCREMENT=3'\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        let (without, counter) = split_auto_increment(sql);
        assert_eq!(counter.as_deref(), Some("42"));
        assert!(without.ends_with("\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"));
        assert_eq!(split_auto_increment(&without), (without.clone(), None));
    }

    #[test]
    fn a_trigger_loses_its_databases_name_in_the_head_only() {
        let sql = "CREATE DEFINER=`crm`@`crm` trigger crm.tr before insert on `crm` . `crm` for each row insert into crm.log values(1)";
        assert_eq!(
            unqualify_trigger(sql, "crm"),
            "CREATE DEFINER=`crm`@`crm` trigger tr before insert on `crm` for each row insert into crm.log values(1)"
        );
    }

    #[test]
    fn a_view_loses_its_databases_name_where_the_server_adds_it() {
        let sql = "CREATE VIEW `v` AS select `crm`.`t`.`id` AS `crm`,`crm`.`f`(1,'it\\'s `crm`.`t`.`x`') from `t` join `crm` where `crm`.`id` = 1";
        let expected = "CREATE VIEW `v` AS select `t`.`id` AS `crm`,`f`(1,'it\\'s `crm`.`t`.`x`') from `t` join `crm` where `crm`.`id` = 1";
        assert_eq!(unqualify_view(sql, "crm"), expected);
    }

    #[test]
    fn the_definer_is_found() {
        assert_eq!(definer("CREATE DEFINER=`a``b`@`%` VIEW `v`").as_deref(), Some("a`b@%"));
        assert_eq!(definer("CREATE TABLE t"), None);
    }

    #[test]
    fn the_members_of_an_enum_are_told_apart() {
        assert_eq!(members("enum('a','',''',''','b,c')"), ["a", "", "'',''", "b,c"]);
        assert!(members("int(11)").is_empty());
    }
}
