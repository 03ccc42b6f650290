//! The one way through which the service does anything to backups.
//!
//! The engine implements [`Strongroom`]; tests of the service bring one that works in memory. Every method blocks and is
//! called on a blocking pool. Ids are given out by the service before the work starts: a job and the backup or restore
//! that it makes share one id. The engine writes down what became of the work, in its records and in the audit log; the
//! service audits who asked, who was refused, and everything else.

use crate::view::Backup;
use engine::Result;
use engine::catalog::audit::AuditHead;
use engine::catalog::backups::BackupRecord;
use engine::catalog::restores::RestoreRecord;
use engine::config::Config;
use engine::id::Id;
use engine::manifest::{Format, Tier};
use engine::room::Actor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::sync::Arc;
use utoipa::ToSchema;
use vault::Progress;

/// What the service needs done.
pub trait Strongroom: Send + Sync {
    /// Finishes or undoes what a crash left half done; called once, before any job runs. Lines for people.
    fn recover(&self, progress: Arc<dyn Progress>) -> Result<Vec<String>>;

    /// Makes a backup and returns its record. A partial backup is not an error; its state says so.
    fn run_backup(&self, request: BackupRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<BackupRecord>;

    /// What a restore would do. Touches nothing.
    fn restore_plan(&self, request: &RestoreRequest) -> Result<RestorePlan>;

    /// Restores. The confirmation was checked by the caller.
    fn restore(&self, request: RestoreRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<RestoreRecord>;

    /// Undoes a restore.
    fn undo(&self, request: UndoRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<RestoreRecord>;

    /// Reads one backup, or all, back.
    fn verify(&self, request: VerifyRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Vec<Verified>>;

    /// Restores a backup into a scratch place and compares.
    fn drill(&self, request: DrillRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Drilled>;

    /// What a cleanup would remove, and why everything else stays.
    fn cleanup_plan(&self) -> Result<CleanupPlan>;

    /// Removes what retention lets go, and litter.
    fn cleanup(&self, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Cleaned>;

    /// Deletes a backup; refuses pinned ones and those that are being read.
    fn delete(&self, id: &Id, actor: &Actor) -> Result<()>;

    /// What lies directly in a folder of a backup, or everywhere below it whose name contains `search`.
    fn files(&self, id: &Id, query: &FilesQuery) -> Result<FilePage>;

    /// One regular file out of a backup, decrypted, authenticated before its first byte is handed out.
    fn open_file(&self, id: &Id, path: &str) -> Result<OpenFile>;

    /// The whole backup as one file, as it lies in its store.
    fn open_archive(&self, id: &Id) -> Result<OpenArchive>;

    /// The disk on which backups lie; `None` where the store is not a disk.
    fn disk(&self) -> Result<Option<DiskFigures>>;

    /// Heads of the audit log that were recorded outside the catalog.
    fn audit_heads(&self) -> Result<Vec<AuditHead>>;

    /// What `strongroom doctor` finds.
    fn doctor(&self) -> Result<Vec<Finding>>;

    /// What opens the backups on a new machine: text to print and keep.
    fn recovery_kit(&self) -> Result<String>;

    /// The configuration as it is now.
    fn config(&self) -> Arc<Config>;

    /// Reads the configuration again. A bad one is an error and the old one stays.
    fn reload(&self) -> Result<()>;
}

/// A backup that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupRequest {
    /// Id of the job and of the backup.
    pub id: Id,
    /// Which plan.
    pub plan: String,
    /// Why.
    pub tier: Tier,
    /// The person's words.
    pub description: Option<String>,
    /// Only these components; all of the plan's when absent.
    pub components: Option<Vec<String>>,
    /// Another format than the plan's.
    pub format: Option<Format>,
    /// A missed run that is caught up.
    pub late: bool,
}

/// A restore that is wanted, or planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRequest {
    /// Id of the job and of the restore.
    pub id: Id,
    /// From which backup.
    pub backup_id: Id,
    /// Only these components; all when absent.
    pub components: Option<Vec<String>>,
    /// Only these tables of the one component, a database; all when empty.
    #[serde(default)]
    pub tables: Vec<String>,
    /// By component: another folder or database address to restore into; the live place when absent.
    pub targets: BTreeMap<String, String>,
}

/// An undo that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoRequest {
    /// Id of the job and of the restore that undoing is.
    pub id: Id,
    /// The restore to undo; the newest one when absent.
    pub restore_id: Option<Id>,
}

/// How deep a verification goes; each step contains those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// It lies where it should, in its size.
    Stored,
    /// Every byte is read back and hashed.
    Read,
    /// Decrypted, decompressed, parsed, compared with the manifest.
    #[default]
    Open,
}

/// A verification that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyRequest {
    /// Id of the job.
    pub id: Id,
    /// Which backup; all when absent.
    pub backup_id: Option<Id>,
    /// How deep.
    pub depth: Depth,
}

/// A drill that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillRequest {
    /// Id of the job.
    pub id: Id,
    /// Which backup; the newest succeeded one when absent.
    pub backup_id: Option<Id>,
}

/// What is wanted from a backup's tree.
#[derive(Debug, Clone, Default)]
pub struct FilesQuery {
    /// Folder; the top when empty.
    pub path: String,
    /// Everything below whose name contains this, case ignored.
    pub search: Option<String>,
    /// So many at most.
    pub limit: u32,
    /// Without the first so many.
    pub offset: u32,
}

/// Part of a backup's tree.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FilePage {
    /// Folders first, then by name.
    pub files: Vec<FileEntry>,
    /// How many there are in all.
    pub total: u64,
}

/// An entry of a backup's tree.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Full path; bytes that are not UTF-8 stand as `%XX`, `%` as `%25`.
    #[schema(example = "uploads/2026/invoice.pdf")]
    pub path: String,
    /// Last part, for people.
    pub name: String,
    /// `directory`, `file`, `hardlink`, `symlink`, `fifo` or `device`.
    pub kind: String,
    /// Bytes of content.
    pub size_bytes: Option<u64>,
    /// Permission bits.
    #[schema(example = "0644")]
    pub mode: String,
    /// Time of last modification.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified_at: Option<Timestamp>,
    /// Where a link points.
    pub target: Option<String>,
}

/// A file out of a backup.
pub struct OpenFile {
    /// Its last part.
    pub name: String,
    /// Bytes, where known.
    pub size_bytes: Option<u64>,
    /// The content.
    pub reader: Box<dyn Read + Send>,
}

/// Reads anywhere.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// A backup as one file.
pub struct OpenArchive {
    /// Name to save it under.
    pub file_name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// SHA-256 over the file, hexadecimal.
    pub sha256: Option<String>,
    /// When it was made.
    pub modified_at: Timestamp,
    /// The bytes. While it is open, the backup cannot be deleted.
    pub reader: Box<dyn ReadSeek>,
}

/// What a restore would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePlan {
    /// From this backup.
    pub backup: Backup,
    /// Part by part.
    pub components: Vec<RestorePlanComponent>,
    /// Free bytes needed while it runs.
    pub space_needed_bytes: u64,
    /// Free bytes there are.
    pub space_free_bytes: Option<u64>,
    /// What a person should know before.
    pub warnings: Vec<String>,
    /// Why it would be refused; empty when it can run.
    pub obstacles: Vec<String>,
}

/// What a restore would do to one component.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePlanComponent {
    /// Its name.
    pub name: String,
    /// `files`, `config`, `logs`, `sqlite`, `postgres` or `mysql`.
    pub kind: String,
    /// What will be replaced.
    #[schema(example = "/srv/app/prisma/dev.db")]
    pub target: String,
    /// Rows or files there are now; absent when the target does not exist.
    pub entries_now: Option<u64>,
    /// Rows or files in the backup.
    pub entries_then: u64,
    /// Bytes there are now.
    pub bytes_now: Option<u64>,
    /// Bytes in the backup.
    pub bytes_then: u64,
    /// Clients connected to the database.
    pub clients: Option<u64>,
    /// Table by table, or whatever else a person should see.
    pub details: Vec<String>,
}

/// What a verification found about one backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Which backup.
    #[schema(value_type = String)]
    pub backup_id: Id,
    /// How deep.
    pub depth: Depth,
    /// Everything is as it was written.
    pub good: bool,
    /// What is not.
    pub problems: Vec<String>,
}

/// What a drill found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drilled {
    /// Which backup.
    #[schema(value_type = String)]
    pub backup_id: Id,
    /// The restored data equals the manifest.
    pub good: bool,
    /// How long restoring took: what a real restore would take.
    pub duration_ms: u64,
    /// In what it differs.
    pub differences: Vec<String>,
}

/// What a cleanup would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupPlan {
    /// Every backup with its fate, newest first.
    pub backups: Vec<CleanupLine>,
    /// Bytes that would be freed at once.
    pub freed_bytes: u64,
    /// What a repository holds that no backup uses, and what becomes of it, in words.
    pub repository: Option<String>,
    /// Why less is removed than the policy says, where that is so.
    pub blocked: Option<String>,
}

/// The fate of one backup.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupLine {
    /// Which one.
    #[schema(value_type = String)]
    pub id: Id,
    /// Its plan.
    pub plan: String,
    /// Its tier.
    #[serde(rename = "type")]
    pub tier: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Bytes in its store.
    pub size_bytes: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reason: String,
}

/// What a cleanup did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// Ids of the backups that are gone.
    #[schema(value_type = Vec<String>)]
    pub deleted: Vec<Id>,
    /// How many stay.
    pub kept: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// What could not be removed, and why.
    pub problems: Vec<String>,
    /// What became of the repository, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A disk.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskFigures {
    /// Its size.
    pub total_bytes: u64,
    /// What is free for this user.
    pub free_bytes: u64,
    /// What is in use, in percent.
    pub used_percent: f64,
}

/// Something that `doctor` looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Finding {
    /// `ok`, `warning` or `problem`.
    pub level: String,
    /// What was looked at.
    pub check: String,
    /// What was found.
    pub message: String,
    /// What to do about it; empty when all is well.
    pub remedy: String,
}
