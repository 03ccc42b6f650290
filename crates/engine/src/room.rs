//! An application's strongroom: its configuration, its catalog, and the folder where its backups lie.
//!
//! Opening a room makes the folders, sweeps the litter of processes that died, and finishes or undoes what they were
//! doing: every command starts from a state that is wholly one thing or another.

use crate::catalog::Catalog;
use crate::catalog::audit::{AuditEvent, AuditOutcome, heads};
use crate::catalog::locks::{Holder, Locks, RECOVERY, RunLock};
use crate::clock::Clock;
use crate::component::Surroundings;
use crate::config::Config;
use crate::id::Id;
use crate::manifest::Tier;
use crate::scratch::{self, Scratch};
use crate::{Error, ErrorKind, Result, recover};
use jiff::Timestamp;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use vault::error::IoContext;
use vault::store::LocalStore;
use vault::{Key, Progress};

/// Who asks for something, and from where: for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// A user's name, or `scheduler`.
    pub name: String,
    /// `cli host`, an address, or `scheduler`.
    pub origin: String,
}

/// An open room.
pub struct Room {
    /// The configuration.
    pub config: Arc<Config>,
    /// The records.
    pub catalog: Arc<Catalog>,
    /// Where archives lie.
    pub store: Arc<LocalStore>,
    /// Who may do what at once, among all processes.
    pub locks: Locks,
    /// What the binary found in its environment.
    pub surroundings: Surroundings,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Room {
    /// Opens the room, and brings what a crash left half done to its end. Returns what was done about that, in words.
    pub fn open(
        config: Arc<Config>,
        surroundings: Surroundings,
        clock: Arc<dyn Clock>,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Self, Vec<String>)> {
        let room = Self::open_without_recovery(config, surroundings, clock)?;
        let news = recover::recover(&room, progress)?;
        Ok((room, news))
    }

    /// Opens the room and leaves everything as it is.
    pub fn open_without_recovery(
        config: Arc<Config>,
        surroundings: Surroundings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let store = LocalStore::create_root(&config.backup_dir)?;
        for folder in Tier::ALL.map(Tier::name).into_iter().chain(["temp"]) {
            make_folder(&config.backup_dir.join(folder))?;
        }
        make_folder(&config.state_dir)?;
        let catalog = Arc::new(Catalog::open(&config.state_dir.join("catalog.db"))?);
        let locks = Locks::in_folder(&config.state_dir)?;
        let room = Self { config, catalog, store: Arc::new(store), locks, surroundings, clock };
        heads::append(&room.config.state_dir, &room.catalog.audit_head()?, room.now())?;
        Ok(room)
    }

    /// The same room under another configuration, when the service reads it anew.
    pub fn with_config(&self, config: Arc<Config>) -> Result<Self> {
        Self::open_without_recovery(config, self.surroundings.clone(), self.clock.clone())
    }

    /// Now, to the millisecond.
    pub fn now(&self) -> Timestamp {
        crate::clock::to_milliseconds(self.clock.now())
    }

    /// A temporary folder for a run.
    pub fn scratch(&self, purpose: &str, id: &Id) -> Result<Scratch> {
        Scratch::create(&self.temporary_folder(), &format!("{purpose}-{id}"))
    }

    /// Where temporary folders lie.
    pub fn temporary_folder(&self) -> PathBuf {
        self.config.backup_dir.join("temp")
    }

    /// Size of the disk that backups lie on, and what is free of it for this user, in bytes.
    pub fn disk(&self) -> Result<(u64, u64)> {
        let folder = &self.config.backup_dir;
        let stat = rustix::fs::statvfs(folder).map_err(|cause| {
            Error::io(format!("asking for the size of the disk of {}", folder.display()), cause.into())
        })?;
        Ok((stat.f_blocks.saturating_mul(stat.f_frsize), stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    /// Where our own records lie.
    pub fn state_folder(&self) -> &std::path::Path {
        &self.config.state_dir
    }

    /// All keys that may open a backup, the current one first.
    pub fn keys(&self) -> Vec<Key> {
        self.config.encryption.keys().into_iter().cloned().collect()
    }

    /// For a run of a plan; refused while it runs already or a restore is under way.
    pub(crate) fn lock_plan(&self, plan: &str) -> Result<RunLock> {
        self.locks.plan(plan, &Holder::this(format!("backup of the plan {plan}"), self.now()))
    }

    /// For a restore, or whatever else must be alone.
    pub(crate) fn lock_everything(&self, what: &str) -> Result<RunLock> {
        self.locks.everything(&Holder::this(what, self.now()))
    }

    /// The same, or nothing when somebody is at work.
    pub(crate) fn try_lock_everything(&self) -> Result<Option<RunLock>> {
        match self.lock_everything(RECOVERY) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == ErrorKind::Locked => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes down what somebody did and what came of it.
    pub fn audit(
        &self,
        actor: &Actor,
        action: &str,
        subject: Option<&str>,
        outcome: Result<(), &Error>,
        details: serde_json::Value,
    ) -> Result<()> {
        let (outcome, details) = match outcome {
            Ok(()) => (AuditOutcome::Success, details),
            Err(error) => {
                let outcome = match error.kind() {
                    ErrorKind::Refused | ErrorKind::Forbidden | ErrorKind::Locked => AuditOutcome::Refused,
                    _ => AuditOutcome::Failure,
                };
                (outcome, with_error(details, error))
            }
        };
        let event = AuditEvent {
            at: self.now(),
            actor: actor.name.clone(),
            origin: actor.origin.clone(),
            action: action.to_owned(),
            subject: subject.map(str::to_owned),
            outcome,
            details,
        };
        self.catalog.audit(&event).map(drop)
    }

    /// Removes temporary files and folders of processes that died.
    pub(crate) fn sweep(&self) -> Result<u64> {
        Ok(scratch::sweep(&self.temporary_folder())? + self.store.sweep_temporary()?)
    }
}

fn with_error(mut details: serde_json::Value, error: &Error) -> serde_json::Value {
    if let Some(details) = details.as_object_mut() {
        details
            .insert("error".to_owned(), serde_json::json!({ "code": error.kind().code(), "message": error.message() }));
    }
    details
}

fn make_folder(folder: &std::path::Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .doing(|| format!("making the folder {}", folder.display()))
        .map_err(|error: Error| {
            error.with_hint("Give the user that runs strongroom the right to write the backup folder (BACKUP_DIR).")
        })
}
