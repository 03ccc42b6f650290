//! Lays the layers over each other, and remembers for each key which one it came from.

use super::dotenv::{self, Assignment};
use super::settings::Settings;
use super::variables::VARIABLES;
use super::{ConfigInputs, Variable};
use crate::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file and the line in it.
    File(PathBuf, usize),
    /// A variable in `.env`, and the line there.
    Dotenv(&'static str, PathBuf, usize),
    /// An environment variable.
    Environment(&'static str),
    /// The command line.
    CommandLine,
    /// Found by looking into the folder.
    Found,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).display().to_string();
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{} line {line}", name(path)),
            Self::Dotenv(variable, path, line) => write!(f, "{variable} in {} line {line}", name(path)),
            Self::Environment(variable) => write!(f, "{variable} in the environment"),
            Self::CommandLine => f.write_str("command line"),
            Self::Found => f.write_str("found by looking"),
        }
    }
}

/// The origin of every key that somebody set.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where the key's value came from. A list is one value: what lies in it came from where it did.
    pub fn of(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.0.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']) {
                Some(at) => key = &key[..at],
                None => return Origin::Default,
            }
        }
    }

    /// What to call the key in a message: the variable where one set it, the key and its place otherwise.
    pub fn name(&self, key: &str) -> String {
        match self.of(key) {
            Origin::Dotenv(variable, ..) | Origin::Environment(variable) => variable.to_owned(),
            Origin::Default => key.to_owned(),
            origin => format!("{key} ({origin})"),
        }
    }

    pub(super) fn set(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }
}

impl ConfigInputs {
    /// The value of a variable as the layers see it: the environment's, else that of `.env`. Empty counts as not set.
    pub fn variable(&self, name: &str) -> Option<String> {
        let assignments = self.assignments();
        self.lookup(name, &assignments)
    }

    fn assignments(&self) -> Vec<Assignment> {
        self.dotenv.as_ref().map(|(_, text)| dotenv::parse(text)).unwrap_or_default()
    }

    fn lookup(&self, name: &str, assignments: &[Assignment]) -> Option<String> {
        let from_env = self.env.get(name).filter(|value| !value.is_empty()).cloned();
        from_env.or_else(|| {
            let found = assignments.iter().rev().find(|assignment| assignment.name == name)?;
            Some(self.expanded(found, assignments)).filter(|value| !value.is_empty())
        })
    }

    /// Replaces `${NAME}` where NAME is known and is not the variable itself; one level deep.
    fn expanded(&self, assignment: &Assignment, assignments: &[Assignment]) -> String {
        if assignment.literal {
            return assignment.value.clone();
        }
        expand(&assignment.value, &|name| {
            let other = assignments.iter().rev().find(|other| other.name == name && name != assignment.name);
            self.env.get(name).or(other.map(|other| &other.value)).cloned()
        })
        .0
    }
}

/// `text` with every `${NAME}` replaced that `lookup` knows, and the names that it does not know.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let (mut out, mut unknown) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = after.find('}') else {
            rest = after;
            break;
        };
        let name = &after[2..end];
        match lookup(name) {
            Some(value) => out.push_str(&value),
            None => {
                unknown.push(name.to_owned());
                out.push_str(&after[..=end]);
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    (out, unknown)
}

/// All layers in one, not yet checked for sense.
pub(super) fn merge(inputs: &ConfigInputs) -> Result<(Settings, Origins)> {
    let mut table = Table::new();
    let mut origins = Origins::default();
    if let Some((path, text)) = &inputs.toml {
        table = file_layer(inputs, path, text, &mut origins)?;
    }
    variable_layers(inputs, &mut table, &mut origins)?;
    for (key, text) in &inputs.overrides {
        put(&mut table, key, override_value(key, text)?);
        origins.set(key, Origin::CommandLine);
    }
    let settings = Settings::deserialize(table).map_err(|cause| {
        let (message, hint) = explain(cause.message());
        Error::new(ErrorKind::Config, format!("the command line's settings: {message}"), hint)
    })?;
    Ok((settings, origins))
}

fn file_layer(inputs: &ConfigInputs, path: &Path, text: &str, origins: &mut Origins) -> Result<Table> {
    // Into the settings' types for the sake of the errors, with their places; into a table for the layers.
    toml::from_str::<Settings>(text).map_err(|cause| file_error(path, text, &cause))?;
    let document = DeTable::parse(text).map_err(|cause| file_error(path, text, &cause))?;
    remember_lines(document.get_ref(), "", path, text, origins);
    let mut table: Table = text.parse().map_err(|cause: toml::de::Error| file_error(path, text, &cause))?;
    for key in ["encryption_key", "previous_keys"] {
        if table.contains_key(key) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{}: keys do not belong into this file: it is shown, copied and committed", origins.name(key)),
                "Put BACKUP_ENCRYPTION_KEY and BACKUP_PREVIOUS_KEYS into `.env` or the environment.",
            ));
        }
    }
    let assignments = inputs.assignments();
    expand_table(&mut table, "", &mut |key, text| {
        let (value, unknown) = expand(text, &|name| inputs.lookup(name, &assignments));
        match unknown.first() {
            None => Ok(value),
            Some(name) => Err(Error::new(
                ErrorKind::Config,
                format!("{} refers to the variable {name}, which is not set", origins.name(key)),
                format!("Set {name} in `.env` or the environment."),
            )),
        }
    })?;
    Ok(table)
}

/// `${NAME}` stands for a variable in every text but those for a shell or a database, which have `${…}` of their own.
fn expand_table(table: &mut Table, prefix: &str, replace: &mut dyn FnMut(&str, &str) -> Result<String>) -> Result<()> {
    for (key, value) in table.iter_mut() {
        if prefix.is_empty() && matches!(key.as_str(), "hooks" | "assert" | "check") || key == "body" {
            continue;
        }
        expand_value(value, &join(prefix, key), replace)?;
    }
    Ok(())
}

fn expand_value(value: &mut Value, key: &str, replace: &mut dyn FnMut(&str, &str) -> Result<String>) -> Result<()> {
    match value {
        Value::String(text) if text.contains("${") => *text = replace(key, text)?,
        Value::Table(table) => expand_table(table, key, replace)?,
        Value::Array(items) => {
            for item in items {
                expand_value(item, key, replace)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn remember_lines(table: &DeTable<'_>, prefix: &str, path: &Path, text: &str, origins: &mut Origins) {
    for (key, value) in table {
        let name = join(prefix, key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => remember_lines(inner, &name, path, text, origins),
            _ => origins.set(name, Origin::File(path.to_owned(), line_at(text, key.span().start))),
        }
    }
}

fn variable_layers(inputs: &ConfigInputs, table: &mut Table, origins: &mut Origins) -> Result<()> {
    let assignments = inputs.assignments();
    for variable in VARIABLES {
        let (Some(key), Some(text)) = (variable.key, inputs.lookup(variable.name, &assignments)) else { continue };
        let origin = origin_of(inputs, variable, &assignments)?;
        let value = variable.read(&text).ok_or_else(|| malformed(variable, &text, &origin))?;
        put(table, key, value);
        origins.set(key, origin);
    }
    Ok(())
}

fn origin_of(inputs: &ConfigInputs, variable: &Variable, assignments: &[Assignment]) -> Result<Origin> {
    let found = assignments.iter().rev().find(|assignment| assignment.name == variable.name);
    match (inputs.env.get(variable.name).filter(|value| !value.is_empty()), found, &inputs.dotenv) {
        (None, Some(found), Some((path, _))) if found.unclosed => Err(Error::new(
            ErrorKind::Config,
            format!("{} line {}: the quote that begins {} never ends", path.display(), found.line, variable.name),
            "Close the quote.",
        )),
        (None, Some(found), Some((path, _))) => Ok(Origin::Dotenv(variable.name, path.clone(), found.line)),
        _ => Ok(Origin::Environment(variable.name)),
    }
}

fn malformed(variable: &Variable, text: &str, origin: &Origin) -> Error {
    if let Some(error) = variable.read_error(text, &origin.to_string()) {
        return error;
    }
    let shown = if variable.is_secret() {
        format!("a value of {} characters", text.chars().count())
    } else {
        format!("{text:?}")
    };
    let hint = if variable.name == "BACKUP_ENCRYPTION_KEY" {
        "Make one with `strongroom key generate`."
    } else {
        "Correct it, or remove it to take the default."
    };
    Error::new(ErrorKind::Config, format!("{origin} is {shown}; expected is {}", variable.expects()), hint)
}

/// A value from the command line: what the key's variable would admit, else TOML, else a text.
fn override_value(key: &str, text: &str) -> Result<Value> {
    if let Some(variable) = VARIABLES.iter().find(|variable| variable.key == Some(key)) {
        return variable.read(text).ok_or_else(|| malformed(variable, text, &Origin::CommandLine).within(key));
    }
    let literal = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    Ok(literal.unwrap_or_else(|| text.into()))
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Table::new().into());
            if !inner.is_table() {
                *inner = Table::new().into();
            }
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

pub(super) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

fn file_error(path: &Path, text: &str, cause: &toml::de::Error) -> Error {
    let (message, hint) = explain(cause.message());
    let start = cause.span().map_or(1, |span| line_at(text, span.start));
    // Below a component the library only knows where the table begins: the key is looked for from there.
    let line = unknown_key(cause.message()).and_then(|key| line_of_key(text, start, key)).unwrap_or(start);
    Error::new(ErrorKind::Config, format!("{} line {line}: {message}", path.display()), hint)
}

fn line_of_key(text: &str, start: usize, key: &str) -> Option<usize> {
    let names = |line: &str| {
        let line = line.trim_start().trim_start_matches('[').trim_start_matches('"');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.', ']', '"']))
            || line.split(['.', ']']).any(|part| part == key)
    };
    text.lines().enumerate().skip(start - 1).find(|(_, line)| names(line)).map(|(index, _)| index + 1)
}

fn unknown_key(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// Serde's words made fit for people: the message, and a hint with the nearest name.
fn explain(message: &str) -> (String, String) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let general = || "docs/configuration.md lists every key.".to_owned();
    match quoted.split_first() {
        Some((wrong, known)) if message.starts_with("unknown field") => {
            (format!("there is no key `{wrong}` here"), suggest(wrong, known).unwrap_or_else(general))
        }
        Some((wrong, known)) if message.starts_with("unknown variant") => {
            let names = known.join(", ");
            (format!("`{wrong}` is none of {names}"), suggest(wrong, known).unwrap_or_else(general))
        }
        _ => (message.trim().to_owned(), general()),
    }
}

/// "Did you mean …?", when something known is near enough to `wrong`.
pub(super) fn suggest(wrong: &str, known: &[&str]) -> Option<String> {
    let (distance, best) = known.iter().map(|name| (edit_distance(wrong, name), name)).min()?;
    (distance <= 1 + wrong.chars().count() / 3).then(|| format!("Did you mean `{best}`?"))
}

/// Damerau-Levenshtein distance of neighbours: insertions, deletions, substitutions and swaps of adjacent letters.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut cost =
                (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
