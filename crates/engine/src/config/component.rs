//! What the configuration says about components.

use crate::manifest::{ComponentKind, Export};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A named component and how its source and target find it. Paths are absolute by the time a source sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentConfig {
    /// Its name: `database`, `uploads`, or the user's own.
    pub name: String,
    /// What it is, with its settings.
    #[serde(flatten)]
    pub settings: ComponentSettings,
}

/// Settings by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ComponentSettings {
    /// A file tree.
    Files(FilesSettings),
    /// The application's configuration files.
    Config(ConfigFilesSettings),
    /// Log files.
    Logs(LogsSettings),
    /// A SQLite database.
    Sqlite(SqliteSettings),
    /// A PostgreSQL database.
    Postgres(ServerDatabaseSettings),
    /// A MySQL or MariaDB database.
    Mysql(ServerDatabaseSettings),
}

/// A file tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// The folder.
    pub path: PathBuf,
    /// Only what matches one of these gitignore patterns; empty means everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Nothing that matches one of these gitignore patterns.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Stay on the folder's own file system.
    #[serde(default)]
    pub one_file_system: bool,
}

/// The application's configuration files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFilesSettings {
    /// The application's folder.
    pub path: PathBuf,
    /// Files relative to it; those that do not exist are left out. `.env` and `.env.*` (but `.env.example`) are refused.
    #[serde(default = "default_config_files")]
    pub files: Vec<String>,
}

/// `package.json`, `package-lock.json`, `prisma/schema.prisma`, `.env.example`.
pub fn default_config_files() -> Vec<String> {
    ["package.json", "package-lock.json", "prisma/schema.prisma", ".env.example"].map(str::to_owned).to_vec()
}

/// Log files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsSettings {
    /// The folder.
    pub path: PathBuf,
    /// gitignore patterns of what counts as a log.
    #[serde(default = "default_log_patterns")]
    pub include: Vec<String>,
}

/// `*.log` and what rotation makes of it.
pub fn default_log_patterns() -> Vec<String> {
    ["*.log", "*.log.*"].map(str::to_owned).to_vec()
}

/// A SQLite database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSettings {
    /// The database file.
    pub path: PathBuf,
    /// How it is exported in archives that hold several components; `json` archives always take JSON.
    #[serde(default)]
    pub export: Option<Export>,
    /// How long a restore waits for a writer, in milliseconds; 10,000 when absent.
    #[serde(default)]
    pub busy_timeout_ms: Option<u64>,
}

/// A database on a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerDatabaseSettings {
    /// The address, with the password in it or none. Never logged.
    pub url: String,
    /// How it is exported.
    #[serde(default)]
    pub export: Option<Export>,
    /// Parallel connections; 2 when absent.
    #[serde(default)]
    pub connections: Option<u32>,
    /// Tables above this many bytes get no content hash; unlimited when absent.
    #[serde(default)]
    pub content_hash_bytes_max: Option<u64>,
    /// Where drills put their scratch database; the same server when absent.
    #[serde(default)]
    pub drill_url: Option<String>,
    /// Folder of the server's client programs (`pg_dump`, `mariadb-dump`), when they are not on the PATH.
    #[serde(default)]
    pub tools_folder: Option<PathBuf>,
}

impl ComponentSettings {
    /// What it is.
    pub const fn kind(&self) -> ComponentKind {
        match self {
            Self::Files(_) => ComponentKind::Files,
            Self::Config(_) => ComponentKind::Config,
            Self::Logs(_) => ComponentKind::Logs,
            Self::Sqlite(_) => ComponentKind::Sqlite,
            Self::Postgres(_) => ComponentKind::Postgres,
            Self::Mysql(_) => ComponentKind::Mysql,
        }
    }
}

impl ComponentKind {
    /// Databases are captured before files are read.
    pub const fn is_database(self) -> bool {
        matches!(self, Self::Sqlite | Self::Postgres | Self::Mysql)
    }
}
