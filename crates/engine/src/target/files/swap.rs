//! Makes one side live, or the other: what `swap` and `swap_back` have in common.
//!
//! Each ends with the wanted side live and the record saying so, from whatever state an earlier call left behind.

use super::carry::{Carry, like};
use super::exchange::Exchange;
use super::raw_path::RawPath;
use super::record::{Move, Pending, Record, Shape, Side};
use super::site::mounts_below;
use crate::tree::filter::Filter;
use crate::tree::names::Names;
use crate::tree::remove::remove_tree;
use crate::tree::{FOLDER, open_below};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, mkdirat, openat, statat, syncfs, unlinkat};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use vault::Progress;

/// The steps of each target of this folder, in order; a crash after any of them is carried through or taken back.
pub const STEPS: &[&str] = &[
    "files.finish.synced",
    "files.finish.recorded",
    "files.swap.carried",
    "files.swap.recorded_intent",
    "files.swap.exchanged",
    "files.swap.completed",
    "files.swap.recorded",
    "files.swap_back.carried",
    "files.swap_back.recorded_intent",
    "files.swap_back.exchanged",
    "files.swap_back.completed",
    "files.swap_back.recorded",
    "files.discard.recorded_intent",
    "files.discard.removed",
];

/// Steps towards one side.
struct Steps {
    carried: &'static str,
    intent: &'static str,
    exchanged: &'static str,
    completed: &'static str,
    recorded: &'static str,
}

const FORWARD: Steps = Steps {
    carried: "files.swap.carried",
    intent: "files.swap.recorded_intent",
    exchanged: "files.swap.exchanged",
    completed: "files.swap.completed",
    recorded: "files.swap.recorded",
};

const BACKWARD: Steps = Steps {
    carried: "files.swap_back.carried",
    intent: "files.swap_back.recorded_intent",
    exchanged: "files.swap_back.exchanged",
    completed: "files.swap_back.completed",
    recorded: "files.swap_back.recorded",
};

/// What is needed to make a side live.
pub struct Swapper<'a> {
    /// Where the record is kept.
    pub file: &'a Path,
    /// What belongs to the component, by today's settings.
    pub filter: &'a Filter,
    /// As in the settings.
    pub one_file_system: bool,
    /// Hears the news.
    pub progress: &'a dyn Progress,
    /// Whether to try the one system call that exchanges; tests say no.
    pub atomic: bool,
}

impl Swapper<'_> {
    /// Makes `side` live.
    pub fn make_live(&self, record: &mut Record, side: Side) -> Result<()> {
        if record.discarded {
            if record.side == side {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the restore of {} can no longer be undone", record.base.as_path().display()),
                "What it replaced was removed when its time to undo had expired; restore the pre-restore backup instead.",
            ));
        }
        let base = open_base(record)?;
        self.settle(record, &base, side)?;
        if record.side == side {
            return Ok(());
        }
        let steps = if side == Side::New { &FORWARD } else { &BACKWARD };
        check_mounts(record)?;
        self.carry_over(record, &base, true)?;
        self.progress.step(steps.carried);
        let pending = self.plan(record, &base, side)?;
        record.pending = Some(pending);
        record.save(self.file)?;
        self.progress.step(steps.intent);
        self.carry_through(record, &base)
    }

    /// Carries through, or takes back, what an earlier call was about to do.
    pub fn settle(&self, record: &mut Record, base: &Arc<OwnedFd>, side: Side) -> Result<()> {
        let Some(pending) = &record.pending else { return Ok(()) };
        if pending.to == side {
            return self.carry_through(record, base);
        }
        let steps = if side == Side::New { &FORWARD } else { &BACKWARD };
        self.exchange(record, base, steps).backward(pending)?;
        if side == Side::Old {
            remove_made_folders(record, base);
        }
        record.pending = None;
        record.save(self.file)?;
        self.progress.step(steps.recorded);
        Ok(())
    }

    fn carry_through(&self, record: &mut Record, base: &Arc<OwnedFd>) -> Result<()> {
        let Some(pending) = record.pending.clone() else { return Ok(()) };
        let steps = if pending.to == Side::New { &FORWARD } else { &BACKWARD };
        if pending.to == Side::New {
            make_folders(record, base)?;
        }
        self.exchange(record, base, steps).forward(&pending)?;
        self.carry_over(record, base, false)?;
        self.progress.step(steps.completed);
        if pending.to == Side::Old {
            remove_made_folders(record, base);
        }
        record.beside_expected = exists(record, base)?;
        record.side = pending.to;
        record.pending = None;
        record.save(self.file)?;
        self.progress.step(steps.recorded);
        Ok(())
    }

    fn exchange<'e>(&'e self, record: &'e Record, base: &'e OwnedFd, steps: &'e Steps) -> ExchangeOf<'e> {
        ExchangeOf { swapper: self, record, base, steps }
    }

    /// Before the exchange: from live to beside, exactly. After it: what was left behind, from beside to live.
    fn carry_over(&self, record: &Record, base: &Arc<OwnedFd>, before: bool) -> Result<()> {
        let live = match &record.shape {
            Shape::Whole { name } => name.clone(),
            Shape::Children => RawPath(Vec::new()),
            Shape::Files { .. } => return Ok(()),
        };
        let mut filter = self.filter.clone();
        filter.hold(record.held.iter().map(|path| path.0.clone()));
        let carry = Carry {
            filter: &filter,
            one_file_system: self.one_file_system,
            top_stays: record.shape == Shape::Children,
            exactly: before,
            progress: self.progress,
        };
        let (from, to) = if before { (&live, &record.beside) } else { (&record.beside, &live) };
        let Some(from) = open_folder(base, from)? else { return Ok(()) };
        let to_folder = match open_folder(base, to)? {
            Some(folder) => folder,
            None if carry.is_needed(&from)? => {
                let failed = |cause| Error::io(format!("making {}", to.as_path().display()), cause);
                mkdirat(base, to.to_c(), Mode::RWXU).map_err(|error| failed(error.into()))?;
                let folder = Arc::new(open_below(base, &to.0).map_err(failed)?);
                like(&from, &folder).map_err(failed)?;
                folder
            }
            None => return Ok(()),
        };
        carry.run(&from, &to_folder)?;
        syncfs(&to_folder).map_err(|error| Error::io("syncing the live folder's file system", error.into()))
    }

    fn plan(&self, record: &Record, base: &Arc<OwnedFd>, side: Side) -> Result<Pending> {
        if record.beside_expected && !exists(record, base)? {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} is gone", record.base.as_path().join(record.beside.as_path()).display()),
                "Somebody removed what lay beside the live data; nothing was changed. Restore again.",
            ));
        }
        let exchange = Exchange { base, between: &record.between, atomic: self.atomic, on_step: &|| {} };
        let mut moves: Vec<Move> = Vec::new();
        for (live, beside) in self.names(record, base)? {
            moves.extend(exchange.plan(live, beside)?);
        }
        Ok(Pending { to: side, moves })
    }

    /// What is exchanged with what.
    fn names(&self, record: &Record, base: &Arc<OwnedFd>) -> Result<Vec<(RawPath, RawPath)>> {
        match &record.shape {
            Shape::Whole { name } => Ok(vec![(name.clone(), record.beside.clone())]),
            Shape::Files { paths } => {
                Ok(paths.iter().map(|path| (path.clone(), record.beside.join(&path.0))).collect())
            }
            Shape::Children => self.children(record, base),
        }
    }

    fn children(&self, record: &Record, base: &Arc<OwnedFd>) -> Result<Vec<(RawPath, RawPath)>> {
        let mut filter = self.filter.clone();
        filter.hold(record.held.iter().map(|path| path.0.clone()));
        let mut all = std::collections::BTreeSet::new();
        for folder in [RawPath(Vec::new()), record.beside.clone()] {
            let Some(handle) = open_folder(base, &folder)? else { continue };
            let names = Names::read(&handle).map_err(|cause| Error::io("reading the live folder", cause))?;
            for (name, _) in names.iter() {
                let Ok(stat) = statat(&handle, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                let kind = FileType::from_raw_mode(stat.st_mode);
                let special = matches!(kind, FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice);
                if !special && filter.leaves_out(name.to_bytes(), kind == FileType::Directory).is_none() {
                    all.insert(name.to_bytes().to_vec());
                }
            }
        }
        Ok(all.into_iter().map(|name| (RawPath(name.clone()), record.beside.join(&name))).collect())
    }

    /// Removes what lies beside, for good.
    pub fn discard(&self, record: &mut Record) -> Result<()> {
        let base = open_base(record)?;
        if let Some(pending) = &record.pending {
            let side = pending.to;
            self.settle(record, &base, side)?;
        }
        if !record.discarded {
            record.discarded = true;
            record.save(self.file)?;
        }
        self.progress.step("files.discard.recorded_intent");
        for path in [&record.beside, &record.between] {
            remove_tree(&base, &path.to_c())
                .map_err(|cause| Error::io(format!("removing {}", path.as_path().display()), cause))?;
        }
        self.progress.step("files.discard.removed");
        Ok(())
    }
}

/// An [`Exchange`] that reports the right steps.
struct ExchangeOf<'a> {
    swapper: &'a Swapper<'a>,
    record: &'a Record,
    base: &'a OwnedFd,
    steps: &'a Steps,
}

impl ExchangeOf<'_> {
    fn with<T>(&self, act: impl FnOnce(&Exchange<'_>) -> T) -> T {
        act(&Exchange {
            base: self.base,
            between: &self.record.between,
            atomic: self.swapper.atomic,
            on_step: &|| self.swapper.progress.step(self.steps.exchanged),
        })
    }

    fn forward(&self, pending: &Pending) -> Result<()> {
        self.with(|exchange| exchange.forward(pending))
    }

    fn backward(&self, pending: &Pending) -> Result<()> {
        self.with(|exchange| exchange.backward(pending))
    }
}

/// The error for a folder that something else is mounted in.
pub fn mounted_inside(mount: &Path) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("another file system is mounted at {}, inside the folder that would be replaced", mount.display()),
        "Unmount it for the time of the restore, or restore elsewhere with `--to` and copy what you need.",
    )
}

fn check_mounts(record: &Record) -> Result<()> {
    let live = match &record.shape {
        Shape::Whole { name } => record.base.as_path().join(name.as_path()),
        Shape::Children => record.base.as_path().to_owned(),
        Shape::Files { .. } => return Ok(()),
    };
    match mounts_below(&live).first() {
        None => Ok(()),
        Some(mount) => Err(mounted_inside(mount)),
    }
}

fn open_base(record: &Record) -> Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(record.base.as_path(), flags, Mode::empty())
        .map(Arc::new)
        .map_err(|error| Error::io(format!("opening {}", record.base.as_path().display()), error.into()))
}

fn open_folder(base: &OwnedFd, path: &RawPath) -> Result<Option<Arc<OwnedFd>>> {
    match openat(base, path.to_c(), FOLDER, Mode::empty()) {
        Ok(folder) => Ok(Some(Arc::new(folder))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::io(format!("opening {}", path.as_path().display()), error.into())),
    }
}

/// Whether something lies beside.
fn exists(record: &Record, base: &OwnedFd) -> Result<bool> {
    match statat(base, record.beside.to_c(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(Error::io(format!("looking at {}", record.beside.as_path().display()), error.into())),
    }
}

fn make_folders(record: &Record, base: &OwnedFd) -> Result<()> {
    for folder in &record.made_folders {
        match mkdirat(base, folder.to_c(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::io(format!("making {}", folder.as_path().display()), error.into())),
        }
    }
    Ok(())
}

/// Folders that were made for single files go again if nothing else is in them.
fn remove_made_folders(record: &Record, base: &OwnedFd) {
    for folder in record.made_folders.iter().rev() {
        let _: Result<(), io::Error> = unlinkat(base, folder.to_c(), AtFlags::REMOVEDIR).map_err(Into::into);
    }
}
