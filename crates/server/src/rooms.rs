//! [`Strongroom`] over the engine: what the service does to backups when it is not being tested.
//!
//! The configuration can be read anew while work is under way: each call takes the room as it is at that moment, and runs
//! that began under the old configuration end under it.

mod files;
mod plans;

use crate::work::{
    BackupRequest, Cleaned, CleanupPlan, Depth, DiskFigures, DrillRequest, Drilled, FilePage, FilesQuery, Finding,
    OpenArchive, OpenFile, RestorePlan, RestoreRequest, Strongroom, UndoRequest, Verified, VerifyRequest,
};
use engine::catalog::audit::AuditHead;
use engine::catalog::backups::BackupRecord;
use engine::catalog::restores::{RestoreRecord, RestoreState};
use engine::config::{Config, EncryptionPolicy};
use engine::doctor::CheckState;
use engine::id::Id;
use engine::locate;
use engine::repository::Pruned;
use engine::restore::{self, Destination};
use engine::room::{Actor, Room};
use engine::{Error, ErrorKind, Result, backup, cleanup, drill, examine, recover, recovery_kit, verify};
use files::ListingCache;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use vault::Progress;

/// Reads the configuration anew.
pub type Reload = Box<dyn Fn() -> Result<Config> + Send + Sync>;

/// An application's room, behind the service.
pub struct Rooms {
    current: RwLock<Arc<Room>>,
    reload: Reload,
    listings: ListingCache,
}

impl Rooms {
    /// The service's view of an open room.
    pub fn new(room: Room, reload: Reload) -> Self {
        Self { current: RwLock::new(Arc::new(room)), reload, listings: ListingCache::default() }
    }

    fn room(&self) -> Arc<Room> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// For plans: looking is not written down.
fn nobody() -> Actor {
    Actor { name: "nobody".to_owned(), origin: "service".to_owned() }
}

impl Strongroom for Rooms {
    fn recover(&self, progress: Arc<dyn Progress>) -> Result<Vec<String>> {
        recover::recover(&self.room(), &progress)
    }

    fn run_backup(&self, request: BackupRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<BackupRecord> {
        let request = backup::Request {
            id: Some(request.id),
            plan: request.plan,
            tier: request.tier,
            description: request.description,
            components: request.components.unwrap_or_default(),
            format: request.format,
            late: request.late,
            force_reread: false,
            actor: actor.clone(),
        };
        backup::run(&self.room(), &request, &progress)
    }

    fn restore_plan(&self, request: &RestoreRequest) -> Result<RestorePlan> {
        let room = self.room();
        let silent: Arc<dyn Progress> = Arc::new(vault::Silent);
        let plan = restore::plan(&room, &engine_request(request, &nobody())?, &silent)?;
        plans::restore_plan(&room, &plan)
    }

    fn restore(&self, request: RestoreRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<RestoreRecord> {
        let room = self.room();
        let request = engine_request(&request, actor)?;
        if request.destination == Destination::Live {
            return restore::run(&room, &request, &progress);
        }
        let started_at = room.now();
        let manifest = restore::elsewhere(&room, &request, &progress)?;
        Ok(RestoreRecord {
            id: request.id.map_or_else(Id::generate, Ok)?,
            backup_id: manifest.id,
            pre_restore_id: None,
            components: manifest.components.into_iter().map(|component| component.name).collect(),
            // Nothing live was replaced: there is nothing to undo.
            state: RestoreState::Expired,
            started_at,
            swapped_at: None,
            finished_at: Some(room.now()),
            journal: None,
            undo_until: None,
            error: None,
        })
    }

    fn undo(&self, request: UndoRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<RestoreRecord> {
        let wanted = request.restore_id.map_or_else(|| "latest".to_owned(), |id| id.to_string());
        restore::undo(&self.room(), &wanted, false, actor, &progress)
    }

    fn verify(&self, request: VerifyRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Vec<Verified>> {
        let room = self.room();
        let depth = match request.depth {
            Depth::Stored => verify::Depth::Stored,
            Depth::Read => verify::Depth::Read,
            Depth::Open => verify::Depth::Open,
        };
        let found = match &request.backup_id {
            Some(id) => vec![verify::one(&room, id.as_str(), depth, actor, &progress)?],
            None => verify::all(&room, depth, actor, &progress)?,
        };
        let verified = |found: verify::Verified| {
            Ok(Verified {
                backup_id: Id::parse(&found.id)?,
                depth: request.depth,
                good: found.ok,
                problems: found.error.into_iter().map(|error| error.message).collect(),
            })
        };
        found.into_iter().map(verified).collect()
    }

    fn drill(&self, request: DrillRequest, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Drilled> {
        let room = self.room();
        let wanted = request.backup_id.map_or_else(|| "latest".to_owned(), |id| id.to_string());
        let backup_id = room.catalog.backup(&wanted)?.id;
        match drill::run(&room, backup_id.as_str(), actor, &progress) {
            Ok(drilled) => {
                Ok(Drilled { backup_id, good: true, duration_ms: drilled.restore_duration_ms, differences: Vec::new() })
            }
            // A difference is what a drill looks for; everything else kept it from looking.
            Err(error) if error.kind() == ErrorKind::Mismatch => {
                Ok(Drilled { backup_id, good: false, duration_ms: 0, differences: vec![error.message().to_owned()] })
            }
            Err(error) => Err(error),
        }
    }

    fn cleanup_plan(&self) -> Result<CleanupPlan> {
        let room = self.room();
        plans::cleanup_plan(&room, &cleanup::plan(&room)?)
    }

    fn cleanup(&self, actor: &Actor, progress: Arc<dyn Progress>) -> Result<Cleaned> {
        let cleaned = cleanup::run(&self.room(), actor, &progress)?;
        Ok(Cleaned {
            deleted: cleaned.plan.remove.into_iter().map(|removed| removed.id).collect(),
            kept: cleaned.plan.keep.len() as u64,
            freed_bytes: cleaned.freed_bytes,
            problems: Vec::new(),
            notes: cleaned.repository.iter().flat_map(Pruned::to_lines).collect(),
        })
    }

    fn delete(&self, id: &Id, actor: &Actor) -> Result<()> {
        let silent: Arc<dyn Progress> = Arc::new(vault::Silent);
        cleanup::delete(&self.room(), id.as_str(), false, actor, &silent).map(drop)
    }

    fn files(&self, id: &Id, query: &FilesQuery) -> Result<FilePage> {
        self.listings.page(&self.room(), id, query)
    }

    fn open_file(&self, id: &Id, path: &str) -> Result<OpenFile> {
        files::open_file(self.room(), id, path)
    }

    fn open_archive(&self, id: &Id) -> Result<OpenArchive> {
        files::open_archive(&self.room(), id)
    }

    fn disk(&self) -> Result<Option<DiskFigures>> {
        let (total_bytes, free_bytes) = self.room().disk()?;
        let used = total_bytes.saturating_sub(free_bytes) as f64;
        let used_percent = if total_bytes == 0 { 0.0 } else { used * 100.0 / total_bytes as f64 };
        Ok(Some(DiskFigures { total_bytes, free_bytes, used_percent }))
    }

    fn audit_heads(&self) -> Result<Vec<AuditHead>> {
        verify::audit_heads(&self.room())
    }

    fn doctor(&self) -> Result<Vec<Finding>> {
        let room = self.room();
        let checks = examine::examine(&room.config, Some(&room.catalog), &room.surroundings, room.now());
        let finding = |check: engine::doctor::Check| Finding {
            level: match check.state {
                CheckState::Ok => "ok",
                CheckState::Warn => "warning",
                CheckState::Fail => "problem",
            }
            .to_owned(),
            check: check.name,
            message: check.message,
            remedy: check.remedy,
        };
        Ok(checks.into_iter().map(finding).collect())
    }

    fn recovery_kit(&self) -> Result<String> {
        let room = self.room();
        let config = &room.config;
        let EncryptionPolicy::Key { key, previous } = &config.encryption else {
            return Err(Error::new(
                ErrorKind::NoKey,
                "there is no key to recover with: backups are not encrypted",
                "`strongroom init` makes a key.",
            ));
        };
        Ok(recovery_kit::render(key, previous, &config.folder, &config.backup_dir, room.now()))
    }

    fn config(&self) -> Arc<Config> {
        self.room().config.clone()
    }

    fn reload(&self) -> Result<()> {
        let config = Arc::new((self.reload)()?);
        let room = Arc::new(self.room().with_config(config)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = room;
        Ok(())
    }
}

fn engine_request(request: &RestoreRequest, actor: &Actor) -> Result<restore::Request> {
    let mut components = request.components.clone().unwrap_or_default();
    let mut destinations: Vec<&String> = request.targets.values().collect();
    destinations.sort();
    destinations.dedup();
    let destination = match destinations[..] {
        [] => Destination::Live,
        [to] if to.contains("://") => Destination::Database(to.clone()),
        [to] => Destination::Folder(PathBuf::from(to)),
        _ => {
            return Err(Error::new(
                ErrorKind::Usage,
                "one restore has one destination, but several are named",
                "Restore the components one after the other.",
            ));
        }
    };
    if destination != Destination::Live {
        if let Some(left) = components.iter().find(|name| !request.targets.contains_key(*name)) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("component {left} has no destination, but others have"),
                "Restore either everything in its place, or everything that you name into the one destination.",
            ));
        }
        components = request.targets.keys().cloned().collect();
    }
    Ok(restore::Request {
        id: Some(request.id.clone()),
        backup: request.backup_id.to_string(),
        components,
        tables: request.tables.clone(),
        destination,
        disconnect_clients: false,
        actor: actor.clone(),
    })
}

/// A backup that the catalog knows.
fn find(room: &Room, id: &Id) -> Result<locate::Backup> {
    locate::cataloged(room, room.catalog.backup(id.as_str())?)
}
