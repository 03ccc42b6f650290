//! An engine that works in memory: backups are a few bytes, and tests say how they come out.

use engine::catalog::Catalog;
use engine::catalog::audit::AuditHead;
use engine::catalog::backups::{BackupRecord, ComponentSummary};
use engine::catalog::jobs::Failure;
use engine::catalog::restores::{RestoreRecord, RestoreState};
use engine::clock::Clock;
use engine::config::Config;
use engine::id::Id;
use engine::manifest::{ComponentKind, State};
use engine::room::Actor;
use engine::{Error, ErrorKind, Result};
use server::Strongroom;
use server::work::*;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use vault::Progress;

/// How the next backups come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Succeed,
    Partial,
    Fail,
    Panic,
    Locked,
}

pub struct Fake {
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub config: Mutex<Arc<Config>>,
    pub next_config: Mutex<Option<Result<Config>>>,
    pub fate: Mutex<Fate>,
    /// While closed, running work waits.
    pub gate: Gate,
    /// What a crash left cannot be put in order.
    pub beyond_recovery: AtomicBool,
    pub running: AtomicUsize,
    pub overlapped: AtomicBool,
    pub content: Mutex<Vec<u8>>,
    pub disk: Mutex<Option<DiskFigures>>,
}

/// Holds work up until it is opened.
#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.changed.notify_all();
    }

    fn pass(&self, progress: &dyn Progress) -> Result<()> {
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            progress.check_cancelled()?;
            closed = self.changed.wait_timeout(closed, Duration::from_millis(20)).unwrap().0;
        }
        progress.check_cancelled()
    }
}

impl Fake {
    pub fn new(catalog: Arc<Catalog>, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self {
            catalog,
            clock,
            config: Mutex::new(Arc::new(config)),
            next_config: Mutex::new(None),
            fate: Mutex::new(Fate::Succeed),
            gate: Gate::default(),
            beyond_recovery: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            overlapped: AtomicBool::new(false),
            content: Mutex::new(b"the bytes of a backup".to_vec()),
            disk: Mutex::new(Some(DiskFigures { total_bytes: 1000, free_bytes: 500, used_percent: 50.0 })),
        }
    }

    /// What the next start of the service finds.
    pub fn successor(&self) -> Self {
        let config = Config::clone(&self.config.lock().unwrap());
        let next = Self::new(Arc::clone(&self.catalog), Arc::clone(&self.clock), config);
        *next.disk.lock().unwrap() = *self.disk.lock().unwrap();
        next
    }

    fn finish(&self, mut record: BackupRecord, state: State) -> Result<BackupRecord> {
        let content = self.content.lock().unwrap().clone();
        record = record.finished(state, self.clock.now());
        if matches!(state, State::Succeeded | State::Partial) {
            record.location = Some(format!("/backups/{}/backup-{}.tar.gz", record.tier.name(), record.id));
            record.bytes = Some(content.len() as u64);
            record.sha256 = Some(hex::encode(Sha256::digest(&content)));
            record.trust.stored = Some(self.clock.now());
            let warnings = if state == State::Partial { vec!["a file vanished".to_owned()] } else { Vec::new() };
            record.components = vec![ComponentSummary {
                name: "database".to_owned(),
                kind: ComponentKind::Sqlite,
                state,
                entries: 3,
                bytes: 100,
                warnings,
            }];
        }
        self.catalog.backup_finish(&record, None)?;
        Ok(record)
    }

    fn existing(&self, id: &Id) -> Result<BackupRecord> {
        let record = self.catalog.backup(id.as_str())?;
        if record.location.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "this backup holds nothing", "Choose another."));
        }
        Ok(record)
    }
}

fn restored(id: &Id, backup_id: &Id, state: RestoreState, now: jiff::Timestamp) -> RestoreRecord {
    RestoreRecord {
        id: id.clone(),
        backup_id: backup_id.clone(),
        pre_restore_id: None,
        components: vec!["database".to_owned()],
        state,
        started_at: now,
        journal: None,
        swapped_at: Some(now),
        finished_at: Some(now),
        undo_until: None,
        error: None,
    }
}

impl Strongroom for Fake {
    fn recover(&self, _: Arc<dyn Progress>) -> Result<Vec<String>> {
        if self.beyond_recovery.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::PermissionDenied, "the journal cannot be read", "Look who owns it."));
        }
        for record in self.catalog.backups_running()? {
            self.finish(record, State::Failed)?;
        }
        Ok(Vec::new())
    }

    fn run_backup(&self, request: BackupRequest, _: &Actor, progress: Arc<dyn Progress>) -> Result<BackupRecord> {
        let fate = *self.fate.lock().unwrap();
        if fate == Fate::Locked {
            return Err(Error::new(ErrorKind::Locked, "another run has the lock", "Wait for it."));
        }
        if self.running.fetch_add(1, Ordering::SeqCst) > 0 {
            self.overlapped.store(true, Ordering::SeqCst);
        }
        let mut record = BackupRecord::running(request.id, request.plan, request.tier, self.clock.now());
        record.description = request.description;
        record.late = request.late;
        self.catalog.backup_start(&record)?;
        progress.phase("backing up database", Some(200));
        progress.bytes(100);
        progress.entries(3);
        let passed = self.gate.pass(progress.as_ref());
        self.running.fetch_sub(1, Ordering::SeqCst);
        if let Err(error) = passed {
            self.finish(record, State::Cancelled)?;
            return Err(error);
        }
        match fate {
            Fate::Partial => self.finish(record, State::Partial),
            Fate::Panic => panic!("the engine panics"),
            Fate::Fail => {
                let error = Error::new(ErrorKind::NoSpace, "the disk is full", "Make room.");
                record.error = Some(Failure::from(&error));
                self.finish(record, State::Failed)?;
                Err(error)
            }
            _ => self.finish(record, State::Succeeded),
        }
    }

    fn restore_plan(&self, request: &RestoreRequest) -> Result<RestorePlan> {
        let record = self.existing(&request.backup_id)?;
        Ok(RestorePlan {
            backup: record.into(),
            components: Vec::new(),
            space_needed_bytes: 1,
            space_free_bytes: Some(2),
            warnings: Vec::new(),
            obstacles: Vec::new(),
        })
    }

    fn restore(&self, request: RestoreRequest, _: &Actor, progress: Arc<dyn Progress>) -> Result<RestoreRecord> {
        self.gate.pass(progress.as_ref())?;
        let record = restored(&request.id, &request.backup_id, RestoreState::Swapped, self.clock.now());
        self.catalog.restore_save(&record)?;
        Ok(record)
    }

    fn undo(&self, request: UndoRequest, _: &Actor, _: Arc<dyn Progress>) -> Result<RestoreRecord> {
        let wanted = request.restore_id.map_or_else(|| "latest".to_owned(), |id| id.to_string());
        let mut record = self.catalog.restore(&wanted)?;
        record.state = RestoreState::Undone;
        self.catalog.restore_save(&record)?;
        Ok(record)
    }

    fn verify(&self, request: VerifyRequest, _: &Actor, progress: Arc<dyn Progress>) -> Result<Vec<Verified>> {
        self.gate.pass(progress.as_ref())?;
        let good = *self.fate.lock().unwrap() == Fate::Succeed;
        let problems = if good { Vec::new() } else { vec!["its SHA-256 differs".to_owned()] };
        let backup_id = match request.backup_id {
            Some(id) => id,
            None => self.catalog.backup("latest")?.id,
        };
        Ok(vec![Verified { backup_id, depth: request.depth, good, problems }])
    }

    fn drill(&self, request: DrillRequest, _: &Actor, progress: Arc<dyn Progress>) -> Result<Drilled> {
        self.gate.pass(progress.as_ref())?;
        let backup_id = match request.backup_id {
            Some(id) => id,
            None => self.catalog.backup("latest")?.id,
        };
        Ok(Drilled { backup_id, good: true, duration_ms: 5, differences: Vec::new() })
    }

    fn cleanup_plan(&self) -> Result<CleanupPlan> {
        Ok(CleanupPlan { backups: Vec::new(), freed_bytes: 0, repository: None, blocked: None })
    }

    fn cleanup(&self, _: &Actor, progress: Arc<dyn Progress>) -> Result<Cleaned> {
        self.gate.pass(progress.as_ref())?;
        Ok(Cleaned { deleted: Vec::new(), kept: 1, freed_bytes: 0, problems: Vec::new(), notes: Vec::new() })
    }

    fn delete(&self, id: &Id, _: &Actor) -> Result<()> {
        let record = self.catalog.backup(id.as_str())?;
        if record.pinned {
            return Err(Error::new(ErrorKind::Refused, "this backup is pinned", "Unpin it first."));
        }
        self.catalog.backup_forget(id)
    }

    fn files(&self, id: &Id, query: &FilesQuery) -> Result<FilePage> {
        self.existing(id)?;
        let file = FileEntry {
            path: "uploads/a.txt".to_owned(),
            name: "a.txt".to_owned(),
            kind: "file".to_owned(),
            size_bytes: Some(5),
            mode: "0644".to_owned(),
            modified_at: None,
            target: None,
        };
        let wanted = query.path.is_empty() || file.path.starts_with(&query.path);
        Ok(FilePage { files: wanted.then_some(file).into_iter().collect(), total: u64::from(wanted) })
    }

    fn open_file(&self, id: &Id, path: &str) -> Result<OpenFile> {
        self.existing(id)?;
        if path != "uploads/a.txt" {
            return Err(Error::new(ErrorKind::NotFound, format!("{path} is not in the backup"), "Look at its files."));
        }
        let reader = Box::new(Cursor::new(b"hello".to_vec()));
        Ok(OpenFile { name: "a.txt".to_owned(), size_bytes: Some(5), reader })
    }

    fn open_archive(&self, id: &Id) -> Result<OpenArchive> {
        let record = self.existing(id)?;
        Ok(OpenArchive {
            file_name: format!("backup-{id}.tar.gz"),
            size_bytes: record.bytes.unwrap_or(0),
            sha256: record.sha256,
            modified_at: record.started_at,
            reader: Box::new(Cursor::new(self.content.lock().unwrap().clone())),
        })
    }

    fn disk(&self) -> Result<Option<DiskFigures>> {
        Ok(*self.disk.lock().unwrap())
    }

    fn audit_heads(&self) -> Result<Vec<AuditHead>> {
        Ok(Vec::new())
    }

    fn doctor(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    fn recovery_kit(&self) -> Result<String> {
        Ok("the recovery kit".to_owned())
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap())
    }

    fn reload(&self) -> Result<()> {
        if let Some(config) = self.next_config.lock().unwrap().take() {
            *self.config.lock().unwrap() = Arc::new(config?);
        }
        Ok(())
    }
}
