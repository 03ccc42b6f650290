//! What a backup holds, in figures that a restore can be compared with.
//!
//! Invariant: the figures are captured inside the same consistent snapshot as the data, never before or after it. A
//! manifest travels inside its backup (authenticated with it) and beside it as a sidecar.

use crate::hash::HashKey;
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the manifest's shape; a reader refuses a higher one.
pub const MANIFEST_VERSION: u32 = 1;

/// Why a backup was made; decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The daily schedule.
    Daily,
    /// The weekly schedule.
    Weekly,
    /// The monthly schedule.
    Monthly,
    /// A person or program asked; stays until deleted.
    Manual,
    /// Taken before a restore; stays until the restore's undo expires.
    PreRestore,
}

impl Tier {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Daily, Self::Weekly, Self::Monthly, Self::Manual, Self::PreRestore];

    /// The name in JSON, folders and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Manual => "manual",
            Self::PreRestore => "pre-restore",
        }
    }
}

/// How a backup, or one component of it, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Under way.
    Running,
    /// Everything is in it.
    Succeeded,
    /// Something is missing; the warnings say what.
    Partial,
    /// Nothing came of it.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// How a backup lies in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON document, gzip, envelope.
    Json,
    /// A tar archive, compressed, enveloped.
    Tar,
    /// A snapshot in a repository.
    Repository,
}

/// How a database leaves its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// In the engine's own terms: SQLite pages, `pg_dump`'s schema with COPY data, MariaDB's schema with rows.
    Native,
    /// As JSON.
    Json,
}

/// What kind of thing a component is; names its source and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// A file tree.
    Files,
    /// The application's configuration files.
    Config,
    /// Its log files.
    Logs,
    /// A SQLite database.
    Sqlite,
    /// A PostgreSQL database.
    Postgres,
    /// A MySQL or MariaDB database.
    Mysql,
}

impl ComponentKind {
    /// The name in JSON and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Config => "config",
            Self::Logs => "logs",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always `"strongroom-manifest"`.
    pub format: String,
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The backup's id.
    pub id: Id,
    /// The plan that made it.
    pub plan: String,
    /// Why.
    pub tier: Tier,
    /// The person's words.
    pub description: Option<String>,
    /// How it lies in its store.
    pub archive: Format,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the data was captured: every database's snapshot was taken by then, every file read after.
    pub captured_at: Timestamp,
    /// [`HashKey`] of the content hashes below, random per backup: the method and a colon where it is not keyed BLAKE3, then
    /// 64 hexadecimal digits.
    pub hash_key: String,
    /// Fingerprint of the encryption key; `None` when not encrypted.
    pub key_fingerprint: Option<String>,
    /// Names and versions of the tools that took part, Strongroom first.
    pub tools: BTreeMap<String, String>,
    /// Head of the audit chain when the run started.
    pub audit_head: Option<String>,
    /// Components that lay in the application's folder, by name, with their path relative to it.
    #[serde(default)]
    pub origins: BTreeMap<String, String>,
    /// The parts.
    pub components: Vec<ComponentManifest>,
}

impl Manifest {
    /// The key of the content hashes.
    pub fn hash_key(&self) -> Result<HashKey> {
        self.hash_key.parse()
    }
}

/// What one component of a backup holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentManifest {
    /// Its name; first part of its entries' paths.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// Databases: how it was exported.
    pub export: Option<Export>,
    /// `succeeded` or `partial` (a component that failed fails the backup).
    pub state: State,
    /// Entries in the backup.
    pub entries: u64,
    /// Bytes of content in the backup.
    pub bytes: u64,
    /// What a person should know: files that vanished, could not be read or changed meanwhile.
    pub warnings: Vec<String>,
    /// What a restore is compared with.
    pub figures: Figures,
}

/// Figures that a restore must reproduce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Figures {
    /// A file tree.
    Tree {
        /// Regular files, hard links included.
        files: u64,
        /// Folders.
        directories: u64,
        /// Symbolic links.
        symlinks: u64,
        /// Pipes and devices.
        others: u64,
        /// Bytes in regular files.
        bytes: u64,
        /// [`SetHasher`](crate::hash::SetHasher) over every entry's path, kind, size, permissions, time and link target;
        /// the encoding is in [`tree::listing`](crate::tree::listing).
        listing_hash: String,
        /// The same over every entry's owner, group and setuid/setgid bits. `None` where whoever restored may not give
        /// files away: then it is not compared.
        owners_hash: Option<String>,
        /// The same over the extended attributes (and so the ACLs). `None` where the file system restored to cannot keep
        /// them: then it is not compared.
        attributes_hash: Option<String>,
        /// The component's own folder, which is no entry of the backup.
        root: Option<RootFolder>,
    },
    /// A database.
    Database(DatabaseFigures),
}

/// Who may use a component's own folder. For a restore where it no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootFolder {
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// Figures of a database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFigures {
    /// `sqlite`, `postgresql`, `mysql` or `mariadb`.
    pub engine: String,
    /// The server's or library's version.
    pub engine_version: String,
    /// SHA-256 over the schema in a canonical text: definitions of every object, sorted.
    pub schema_hash: String,
    /// Every table, sorted by schema and name.
    pub tables: Vec<TableFigures>,
    /// Count of each other kind of object: `indexes`, `triggers`, `views`, `routines`, `sequences`, …
    pub objects: BTreeMap<String, u64>,
    /// Values that are compared as they are: `user_version`, `encoding`, sequence values, …
    pub values: BTreeMap<String, String>,
    /// SQLite pages as they are: keyed BLAKE3 of the very file that was measured and of these figures. A restored file with
    /// this seal need not be measured again, it is that file. Never compared: a file rebuilt from rows has other pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_seal: Option<String>,
    /// Tables whose rows lie in others. For who names them; the schema's hash says whether they are as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitioned: Vec<PartitionedTable>,
}

/// A table that only unites others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionedTable {
    /// Its name.
    pub id: TableId,
    /// All tables below it, those that are partitioned themselves among them.
    pub partitions: Vec<TableId>,
}

/// Figures of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableFigures {
    /// Schema, where the engine has them.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Exact number of rows.
    pub rows: u64,
    /// [`SetHasher`](crate::hash::SetHasher) over the rows; `None` where a setting leaves it out for a very large table.
    pub content_hash: Option<String>,
}

/// A table's full name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableId {
    /// Schema, where the engine has them.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl TableFigures {
    /// The table's full name.
    pub fn id(&self) -> TableId {
        TableId { schema: self.schema.clone(), name: self.name.clone() }
    }
}

impl Figures {
    /// What these tables alone come to; everything else is left out.
    #[must_use]
    pub fn of_tables(self, tables: &[TableId]) -> Self {
        let Self::Database(figures) = self else { return self };
        Self::Database(DatabaseFigures {
            tables: figures.tables.into_iter().filter(|table| tables.contains(&table.id())).collect(),
            schema_hash: String::new(),
            objects: BTreeMap::new(),
            values: BTreeMap::new(),
            partitioned: figures.partitioned.into_iter().filter(|table| tables.contains(&table.id)).collect(),
            ..figures
        })
    }
}

impl ComponentManifest {
    /// Finds the tables that a person means: `customers`, or with its schema `sales.customers`. A partitioned one means its
    /// partitions too.
    pub fn tables_named(&self, names: &[String]) -> Result<Vec<TableId>> {
        let Figures::Database(figures) = &self.figures else {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{} is no database: it has no tables", self.name),
                "Name a database's component with --component, or leave out --table.",
            ));
        };
        let mut found = Vec::new();
        for name in names {
            let partitioned = figures.partitioned.iter().map(|table| table.id.clone());
            let all = figures.tables.iter().map(TableFigures::id).chain(partitioned);
            let matches: Vec<_> = all.filter(|id| id.name == *name || id.to_string() == *name).collect();
            match matches.as_slice() {
                [] => {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("{} holds no table {name:?} in this backup", self.name),
                        "`strongroom show ID --json` names its tables.",
                    ));
                }
                [one] => {
                    found.push(one.clone());
                    let partitions = figures.partitioned.iter().filter(|table| table.id == *one);
                    found.extend(partitions.flat_map(|table| table.partitions.iter().cloned()));
                }
                several => {
                    let names: Vec<_> = several.iter().map(TableId::to_string).collect();
                    return Err(Error::new(
                        ErrorKind::Usage,
                        format!("{} holds several tables {name:?}: {}", self.name, names.join(", ")),
                        "Name it with its schema.",
                    ));
                }
            }
        }
        found.sort_by_key(TableId::to_string);
        found.dedup();
        Ok(found)
    }

    /// Everything in which `actual` differs from this; empty when a restore came out as promised. Each line is for a person.
    pub fn differences(&self, actual: &Figures) -> Vec<String> {
        match (&self.figures, actual) {
            (Figures::Database(expected), Figures::Database(actual)) => database_differences(expected, actual),
            (Figures::Tree { .. }, Figures::Tree { .. }) => tree_differences(&self.figures, actual),
            _ => vec![format!("{} is of another kind than the manifest says", self.name)],
        }
    }
}

fn tree_differences(expected: &Figures, actual: &Figures) -> Vec<String> {
    let (
        Figures::Tree {
            files,
            directories,
            symlinks,
            others,
            bytes,
            listing_hash,
            owners_hash,
            attributes_hash,
            root: _,
        },
        Figures::Tree {
            files: f,
            directories: d,
            symlinks: s,
            others: o,
            bytes: b,
            listing_hash: l,
            owners_hash: owners,
            attributes_hash: attributes,
            root: _,
        },
    ) = (expected, actual)
    else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (what, expected, actual) in [
        ("files", files, f),
        ("folders", directories, d),
        ("symbolic links", symlinks, s),
        ("other entries", others, o),
        ("bytes", bytes, b),
    ] {
        if expected != actual {
            lines.push(format!("{what}: the manifest says {expected}, there are {actual}"));
        }
    }
    if lines.is_empty() && listing_hash != l {
        lines.push("the listing (names, sizes, permissions, times, link targets) differs from the manifest".to_owned());
    }
    let differ = |expected: &Option<String>, actual: &Option<String>| {
        expected.is_some() && actual.is_some() && expected != actual
    };
    if lines.is_empty() && differ(owners_hash, owners) {
        lines.push("owners or groups of some entries differ from the manifest".to_owned());
    }
    if lines.is_empty() && differ(attributes_hash, attributes) {
        lines.push("extended attributes of some entries differ from the manifest".to_owned());
    }
    lines
}

fn database_differences(expected: &DatabaseFigures, actual: &DatabaseFigures) -> Vec<String> {
    let mut lines = Vec::new();
    let key = |table: &TableFigures| (table.schema.clone(), table.name.clone());
    let label = |table: &TableFigures| match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    };
    let mut found: BTreeMap<_, _> = actual.tables.iter().map(|table| (key(table), table)).collect();
    for table in &expected.tables {
        match found.remove(&key(table)) {
            None => lines.push(format!("table {} is missing", label(table))),
            Some(actual) if actual.rows != table.rows => {
                lines.push(format!(
                    "table {}: the manifest says {} rows, there are {}",
                    label(table),
                    table.rows,
                    actual.rows
                ));
            }
            Some(actual) if table.content_hash.is_some() && actual.content_hash != table.content_hash => {
                lines.push(format!(
                    "table {}: {} rows as promised, but their content differs",
                    label(table),
                    table.rows
                ));
            }
            Some(_) => {}
        }
    }
    lines.extend(found.values().map(|table| format!("table {} is not in the manifest", label(table))));
    let names = expected.objects.keys().chain(actual.objects.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        let (expected, actual) = (expected.objects.get(name).unwrap_or(&0), actual.objects.get(name).unwrap_or(&0));
        if expected != actual {
            lines.push(format!("{name}: the manifest says {expected}, there are {actual}"));
        }
    }
    let names = expected.values.keys().chain(actual.values.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        let (expected, actual) = (expected.values.get(name), actual.values.get(name));
        if expected != actual {
            let show = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
            lines.push(format!("{name}: the manifest says {}, there is {}", show(expected), show(actual)));
        }
    }
    if lines.is_empty() && expected.schema_hash != actual.schema_hash {
        lines.push("the definitions of tables, indexes, triggers or views differ from the manifest".to_owned());
    }
    lines
}
