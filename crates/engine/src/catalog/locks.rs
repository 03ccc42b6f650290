//! Locks between processes, held by the operating system: they end with their holder, however it ends.
//!
//! A run of a plan holds `all.lock` shared and `plan-NAME.lock` alone; a restore or anything else that must be alone holds
//! `all.lock` alone. Whoever reads a backup holds its `backup-ID.lock` shared; whoever removes it needs that lock alone.
//! The files are never deleted, except with their backup: deleting a lock file that somebody may be opening is a race.
//!
//! The uncomfortable consequence: on a network file system without working `flock`, two machines can hold one lock.

use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What whoever starts does first, for a moment: nobody is refused for that, but waits.
pub const RECOVERY: &str = "looking for what a crash left";
/// So often, and so long each time.
const WAITS_MAX: usize = 40;
const WAIT: Duration = Duration::from_millis(50);

/// Who holds a lock, for the message of whoever wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Since when.
    pub since: Timestamp,
    /// What it does: `backup 0123456789ab`.
    pub what: String,
}

impl Holder {
    /// This process.
    pub fn this(what: impl Into<String>, now: Timestamp) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { pid: std::process::id(), host, since: now, what: what.into() }
    }
}

/// A lock; dropping it releases it.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct RunLock {
    _files: Vec<File>,
}

/// The locks of one state folder.
#[derive(Debug, Clone)]
pub struct Locks {
    folder: PathBuf,
}

impl Locks {
    /// Locks in `state_dir/locks`, which is made if need be.
    pub fn in_folder(state_dir: &Path) -> Result<Self> {
        let folder = state_dir.join("locks");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|cause| Error::io(format!("making the folder {}", folder.display()), cause))?;
        Ok(Self { folder })
    }

    /// For a run of `plan`; [`Locked`](ErrorKind::Locked) while another one or a restore is under way.
    pub fn plan(&self, plan: &str, holder: &Holder) -> Result<RunLock> {
        let all = self.open("all.lock")?;
        if !self.or_soon(|| shared(&all))? {
            return Err(taken("a restore is under way", self.holder_in("all.lock")));
        }
        let name = format!("plan-{plan}.lock");
        let file = self.open(&name)?;
        if !alone(&file)? {
            return Err(taken(&format!("the plan {plan} is running already"), self.holder_in(&name)));
        }
        write_holder(&file, holder)?;
        Ok(RunLock { _files: vec![all, file] })
    }

    /// For a restore: no run of any plan is under way while this is held.
    pub fn everything(&self, holder: &Holder) -> Result<RunLock> {
        let all = self.open("all.lock")?;
        if self.or_soon(|| alone(&all))? {
            write_holder(&all, holder)?;
            return Ok(RunLock { _files: vec![all] });
        }
        let running = self.plans_running()?.into_iter().next();
        let (what, holder) = match running {
            Some((plan, holder)) => (format!("the plan {plan} is running"), holder),
            None => ("another restore is under way".to_owned(), self.holder_in("all.lock")),
        };
        Err(taken(&what, holder))
    }

    /// Tries again while somebody only looks for what a crash left.
    fn or_soon(&self, lock: impl Fn() -> Result<bool>) -> Result<bool> {
        for _ in 0..WAITS_MAX {
            let is_brief = |holder: Holder| holder.what == RECOVERY;
            if lock()? {
                return Ok(true);
            }
            if !self.holder_in("all.lock").is_some_and(is_brief) || !self.plans_running()?.is_empty() {
                return Ok(false);
            }
            std::thread::sleep(WAIT);
        }
        lock()
    }

    /// Plans that run now, each with its holder where it could be read.
    pub fn plans_running(&self) -> Result<Vec<(String, Option<Holder>)>> {
        let doing = |cause| Error::io(format!("looking into {}", self.folder.display()), cause);
        let mut running = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(doing)? {
            let name = entry.map_err(doing)?.file_name().to_string_lossy().into_owned();
            let Some(plan) = name.strip_prefix("plan-").and_then(|name| name.strip_suffix(".lock")) else { continue };
            if !shared(&self.open(&name)?)? {
                running.push((plan.to_owned(), self.holder_in(&name)));
            }
        }
        running.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(running)
    }

    /// For reading a backup: while it is held, the backup is not removed.
    pub fn reading(&self, id: &Id) -> Result<RunLock> {
        let file = self.open(&backup_lock(id))?;
        if !shared(&file)? {
            return Err(taken(&format!("the backup {id} is being removed"), None));
        }
        Ok(RunLock { _files: vec![file] })
    }

    /// For removing a backup; [`Locked`](ErrorKind::Locked) while somebody reads it.
    pub fn removing(&self, id: &Id) -> Result<RunLock> {
        let file = self.open(&backup_lock(id))?;
        if !alone(&file)? {
            return Err(taken(&format!("the backup {id} is being read"), None));
        }
        Ok(RunLock { _files: vec![file] })
    }

    /// Whether somebody reads the backup now.
    pub fn is_being_read(&self, id: &Id) -> Result<bool> {
        match File::open(self.folder.join(backup_lock(id))) {
            Ok(file) => Ok(!alone(&file)?),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(Error::io(format!("opening the lock of backup {id}"), cause)),
        }
    }

    /// Takes a removed backup's lock file away; its id never comes back.
    pub fn forget(&self, id: &Id) -> Result<()> {
        match fs::remove_file(self.folder.join(backup_lock(id))) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing the lock of backup {id}"), cause))
            }
            _ => Ok(()),
        }
    }

    fn open(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| Error::io(format!("opening the lock {}", path.display()), cause))
    }

    fn holder_in(&self, name: &str) -> Option<Holder> {
        let mut text = String::new();
        File::open(self.folder.join(name)).ok()?.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn taken(what: &str, holder: Option<Holder>) -> Error {
    let who = holder.map_or_else(String::new, |holder| {
        format!(" ({}, process {} on {}, since {})", holder.what, holder.pid, holder.host, holder.since)
    });
    let hint = "Wait until it is done, or stop it; a lock ends by itself with the process that holds it.";
    Error::new(ErrorKind::Locked, format!("{what}{who}"), hint)
}

fn backup_lock(id: &Id) -> String {
    format!("backup-{id}.lock")
}

fn alone(file: &File) -> Result<bool> {
    taken_or_not(file.try_lock())
}

fn shared(file: &File) -> Result<bool> {
    taken_or_not(file.try_lock_shared())
}

fn taken_or_not(result: std::result::Result<(), TryLockError>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(cause)) => Err(Error::io("locking", cause)
            .with_hint("The backup folder's file system may not support locks: put BACKUP_DIR on one that does.")),
    }
}

fn write_holder(mut file: &File, holder: &Holder) -> Result<()> {
    let mut write = || -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        serde_json::to_writer(&mut file, holder)?;
        file.flush()
    };
    write().map_err(|cause| Error::io("writing down who holds a lock", cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks() -> (tempfile::TempDir, Locks, Holder) {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        (folder, locks, Holder::this("backup 0123456789ab", Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn a_plan_runs_once_at_a_time_and_others_beside_it() {
        let (_folder, locks, holder) = locks();
        let first = locks.plan("default", &holder).unwrap();
        let error = locks.plan("default", &holder).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.message().contains("backup 0123456789ab"), "{error}");
        assert!(error.message().contains(&std::process::id().to_string()), "{error}");
        let second = locks.plan("other", &holder).unwrap();
        assert_eq!(locks.plans_running().unwrap().len(), 2);
        drop((first, second));
        assert!(locks.plans_running().unwrap().is_empty());
        let _again = locks.plan("default", &holder).unwrap();
    }

    #[test]
    fn a_restore_is_alone() {
        let (_folder, locks, holder) = locks();
        let plan = locks.plan("default", &holder).unwrap();
        let error = locks.everything(&holder).unwrap_err();
        assert!(error.message().contains("the plan default is running (backup 0123456789ab"), "{error}");
        drop(plan);
        let restore = locks.everything(&Holder::this("restore", Timestamp::UNIX_EPOCH)).unwrap();
        assert!(locks.plan("default", &holder).unwrap_err().message().starts_with("a restore is under way (restore"));
        assert!(locks.everything(&holder).unwrap_err().message().starts_with("another restore is under way (restore"));
        drop(restore);
        let _plan = locks.plan("default", &holder).unwrap();
    }

    #[test]
    fn who_only_looks_for_what_a_crash_left_is_waited_for() {
        type Wanted = fn(&Locks, &Holder) -> Result<RunLock>;
        let (_folder, locks, holder) = locks();
        let everything: Wanted = |locks, holder| locks.everything(holder);
        let plan: Wanted = |locks, holder| locks.plan("p", holder);
        for wanted in [everything, plan] {
            let looking = locks.everything(&Holder::this(RECOVERY, Timestamp::UNIX_EPOCH)).unwrap();
            let waiting = std::thread::scope(|scope| {
                let waiting = scope.spawn(|| wanted(&locks, &holder));
                std::thread::sleep(2 * WAIT);
                assert!(!waiting.is_finished());
                drop(looking);
                waiting.join().unwrap()
            });
            drop(waiting.unwrap());
        }
        let plan = locks.plan("p", &holder).unwrap();
        assert_eq!(locks.everything(&holder).unwrap_err().kind(), ErrorKind::Locked, "whatever stands in the file");
        drop(plan);
    }

    #[test]
    fn a_backup_that_is_read_is_not_removed() {
        let (_folder, locks, _) = locks();
        let id = Id::generate().unwrap();
        assert!(!locks.is_being_read(&id).unwrap());
        let (one, two) = (locks.reading(&id).unwrap(), locks.reading(&id).unwrap());
        assert!(locks.is_being_read(&id).unwrap());
        assert_eq!(locks.removing(&id).unwrap_err().kind(), ErrorKind::Locked);
        drop((one, two));
        let removing = locks.removing(&id).unwrap();
        assert_eq!(locks.reading(&id).unwrap_err().kind(), ErrorKind::Locked);
        drop(removing);
        locks.forget(&id).unwrap();
        locks.forget(&id).unwrap();
    }
}
