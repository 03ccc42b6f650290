//! Records of the catalog as the API shows them. Field names are those of the command line's `--json`.

use crate::answer::FailureDetail;
use engine::catalog::backups::{BackupRecord, ComponentSummary};
use engine::catalog::restores::RestoreRecord;
use engine::id::Id;
use engine::manifest::{ComponentKind, State, Tier};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a backup is made.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum TierName {
    /// The daily schedule.
    Daily,
    /// The weekly schedule.
    Weekly,
    /// The monthly schedule.
    Monthly,
    /// A person or program asked.
    Manual,
    /// Made before a restore.
    PreRestore,
}

/// How a backup came out.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum StateName {
    /// Under way.
    Running,
    /// Everything is in it.
    Succeeded,
    /// Something is missing.
    Partial,
    /// Nothing came of it.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// What a list of backups is ordered by.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub enum SortName {
    /// When the run started.
    StartedAt,
    /// The tier's name.
    Tier,
    /// The plan's name.
    Plan,
    /// The state's name.
    State,
    /// How far it is proven.
    Trust,
    /// Bytes in the store.
    Bytes,
    /// How long it took.
    DurationMs,
}

/// How a backup lies in its store.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum FormatName {
    /// One JSON document, gzip, envelope.
    Json,
    /// A tar archive.
    Tar,
    /// A snapshot in a repository.
    Repository,
}

/// What kind of thing a component is.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum KindName {
    /// A file tree.
    Files,
    /// Configuration files.
    Config,
    /// Log files.
    Logs,
    /// A SQLite database.
    Sqlite,
    /// A PostgreSQL database.
    Postgres,
    /// A MySQL or MariaDB database.
    Mysql,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// 12 hexadecimal digits.
    #[schema(value_type = String, example = "a1b2c3d4e5f6")]
    pub id: Id,
    /// File name of the archive; the id while there is none.
    #[schema(example = "backup-2025-01-01T02-00-00-000Z-a1b2c3d4e5f6.tar.gz.enc")]
    pub name: String,
    /// The plan that made it.
    #[schema(example = "default")]
    pub plan: String,
    /// Why it was made.
    #[schema(value_type = TierName)]
    pub tier: Tier,
    /// The same as `tier`, under the name that `create` takes it by.
    #[schema(value_type = TierName)]
    pub r#type: Tier,
    /// How it came out.
    #[schema(value_type = StateName)]
    pub state: State,
    /// The person's words.
    pub description: Option<String>,
    /// When the run started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Where it lies: path or address of the archive, `<repository>#<snapshot>` in a repository.
    pub location: Option<String>,
    /// Bytes that it takes in its store.
    pub bytes: Option<u64>,
    /// Bytes of content before compression.
    pub content_bytes: u64,
    /// SHA-256 of the archive.
    pub sha256: Option<String>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Fingerprint of the key that opens it; `null` when it is not encrypted.
    pub key_fingerprint: Option<String>,
    /// Never deleted by retention.
    pub pinned: bool,
    /// A missed run that was made up for.
    pub late: bool,
    /// It is much smaller than its predecessor.
    pub collapsed: Option<Collapse>,
    /// How far it is proven.
    pub trust: Trust,
    /// Its parts.
    pub components: Vec<Component>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<FailureDetail>,
}

/// The four steps of trust, each with its newest time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Written and flushed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stored: Option<Timestamp>,
    /// Read back from the store and hashed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub re_read: Option<Timestamp>,
    /// Decrypted, decompressed and parsed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opened: Option<Timestamp>,
    /// Restored by a drill that compared equal.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub restored: Option<Timestamp>,
    /// How long that restore took: the recovery time to expect.
    pub restore_duration_ms: Option<u64>,
}

/// It is much smaller than its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Collapse {
    /// In what, for people.
    pub reason: String,
    /// A person said that this is right; until then nothing older of its plan is removed.
    pub acknowledged: bool,
}

/// One part of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Component {
    /// Its name.
    #[schema(example = "database")]
    pub name: String,
    /// What it is.
    #[schema(value_type = KindName)]
    pub kind: ComponentKind,
    /// How it came out.
    #[schema(value_type = StateName)]
    pub state: State,
    /// Entries in the backup.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// What is missing or changed meanwhile.
    pub warnings: Vec<String>,
}

impl From<ComponentSummary> for Component {
    fn from(component: ComponentSummary) -> Self {
        Self {
            name: component.name,
            kind: component.kind,
            state: component.state,
            entries: component.entries,
            bytes: component.bytes,
            warnings: component.warnings,
        }
    }
}

impl From<engine::catalog::backups::Trust> for Trust {
    fn from(trust: engine::catalog::backups::Trust) -> Self {
        Self {
            stored: trust.stored,
            re_read: trust.re_read,
            opened: trust.opened,
            restored: trust.restored,
            restore_duration_ms: trust.restore_duration_ms,
        }
    }
}

impl From<BackupRecord> for Backup {
    fn from(record: BackupRecord) -> Self {
        let file_name = |location: &String| location.rsplit('/').next().unwrap_or(location).to_owned();
        let warnings = record
            .components
            .iter()
            .flat_map(|component| component.warnings.iter().map(|warning| format!("{}: {warning}", component.name)));
        Self {
            name: record.location.as_ref().map_or_else(|| record.id.to_string(), file_name),
            warnings: warnings.collect(),
            content_bytes: record.components.iter().map(|component| component.bytes).sum(),
            encrypted: record.key_fingerprint.is_some(),
            id: record.id,
            plan: record.plan,
            tier: record.tier,
            r#type: record.tier,
            state: record.state,
            description: record.description,
            started_at: record.started_at,
            finished_at: record.finished_at,
            duration_ms: record.duration_ms,
            location: record.location,
            bytes: record.bytes,
            sha256: record.sha256,
            key_fingerprint: record.key_fingerprint,
            pinned: record.pinned,
            late: record.late,
            collapsed: record
                .collapsed
                .map(|collapse| Collapse { reason: collapse.reason, acknowledged: collapse.acknowledged }),
            trust: record.trust.into(),
            components: record.components.into_iter().map(Into::into).collect(),
            error: record.error.map(Into::into),
        }
    }
}

/// A page of backups.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackupPage {
    /// In the order that was asked for.
    pub backups: Vec<Backup>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; `null` on the last one.
    pub next: Option<String>,
}

/// How far a restore has come.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum RestoreStateName {
    /// Under way.
    Prepared,
    /// The restored components are live, the old ones lie beside.
    Swapped,
    /// The old components are live again.
    Undone,
    /// It stays as it is: what lay beside is gone.
    Expired,
    /// Nothing was restored.
    Failed,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// 12 hexadecimal digits.
    #[schema(value_type = String, example = "a1b2c3d4e5f6")]
    pub id: Id,
    /// The backup that was restored.
    #[schema(value_type = String)]
    pub backup_id: Id,
    /// The backup of the components as they were before.
    #[schema(value_type = Option<String>)]
    pub pre_restore_id: Option<Id>,
    /// Names of the components.
    pub components: Vec<String>,
    /// How far it has come.
    #[schema(value_type = RestoreStateName)]
    pub state: engine::catalog::restores::RestoreState,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When the restored components became live.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub swapped_at: Option<Timestamp>,
    /// When it was over, or was last undone or redone.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Until when it can be undone.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub undo_until: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<FailureDetail>,
}

impl From<RestoreRecord> for Restore {
    fn from(record: RestoreRecord) -> Self {
        Self {
            id: record.id,
            backup_id: record.backup_id,
            pre_restore_id: record.pre_restore_id,
            components: record.components,
            state: record.state,
            started_at: record.started_at,
            swapped_at: record.swapped_at,
            finished_at: record.finished_at,
            undo_until: record.undo_until,
            error: record.error.map(Into::into),
        }
    }
}

/// A page of restores.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RestorePage {
    /// Newest first.
    pub restores: Vec<Restore>,
    /// How many there are in all.
    pub total: u64,
}
