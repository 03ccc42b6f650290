//! Exchanges live names with those beside them so that a crash at any instant can be carried through or taken back.
//!
//! The order: the record says what is about to be moved; the moves; the folders are synced; the record says on which side
//! we are. A whole folder is one `renameat2(RENAME_EXCHANGE)`: at no instant is there no folder or half a folder. Several
//! names are exchanged one after the other; a crash between two leaves a mixture, which the next call of `swap` carries
//! through and the next call of `swap_back` takes back. Where the file system cannot exchange, each exchange is three
//! renames through a name in between, with the same guarantee.

use super::raw_path::RawPath;
use super::record::{Move, Pending};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fsync, openat, renameat, renameat_with, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

/// Carries moves out below an open folder.
pub struct Exchange<'a> {
    /// What the moves' paths are relative to.
    pub base: &'a OwnedFd,
    /// The name in between.
    pub between: &'a RawPath,
    /// Whether to try the one system call that exchanges; tests say no.
    pub atomic: bool,
    /// Called after each change on disk.
    pub on_step: &'a dyn Fn(),
}

impl Exchange<'_> {
    /// The inode under a name; `None` when the name is free.
    #[allow(clippy::unnecessary_cast, reason = "the width of this number differs by architecture")]
    pub fn inode(&self, path: &RawPath) -> Result<Option<u64>> {
        match statat(self.base, path.to_c(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino as u64)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Error::io(format!("looking at {}", path.as_path().display()), error.into())),
        }
    }

    /// A move as things are now; `None` when both names are free.
    pub fn plan(&self, live: RawPath, beside: RawPath) -> Result<Option<Move>> {
        let (live_inode, beside_inode) = (self.inode(&live)?, self.inode(&beside)?);
        let any = live_inode.is_some() || beside_inode.is_some();
        Ok(any.then_some(Move { live, beside, live_inode, beside_inode }))
    }

    /// Makes the moves that were not made yet.
    pub fn forward(&self, pending: &Pending) -> Result<()> {
        for step in &pending.moves {
            self.forward_one(step)?;
        }
        self.sync(pending)
    }

    /// Takes back the moves that were made.
    pub fn backward(&self, pending: &Pending) -> Result<()> {
        for step in pending.moves.iter().rev() {
            self.backward_one(step)?;
        }
        self.sync(pending)
    }

    fn forward_one(&self, step: &Move) -> Result<()> {
        if step.beside_inode.is_some() {
            // Only as long as the new lies beside has it not been moved; what the application did to the live name
            // meanwhile does not matter.
            if self.inode(&step.beside)? == step.beside_inode {
                self.bring_in(step)?;
            }
        } else if step.live_inode.is_some() && self.inode(&step.live)? == step.live_inode {
            self.rename(&step.live, &step.beside)?;
        }
        if step.is_two_way() && self.inode(&step.beside)?.is_none() && self.inode(self.between)?.is_some() {
            self.rename(self.between, &step.beside)?;
        }
        Ok(())
    }

    /// New beside goes live; what is live, if anything, goes beside.
    fn bring_in(&self, step: &Move) -> Result<()> {
        if self.inode(&step.live)?.is_none() {
            return self.rename(&step.beside, &step.live);
        }
        if self.atomic && self.exchange(&step.live, &step.beside)? {
            return Ok(());
        }
        self.rename(&step.live, self.between)?;
        self.rename(&step.beside, &step.live)?;
        self.rename(self.between, &step.beside)
    }

    fn backward_one(&self, step: &Move) -> Result<()> {
        let beside = self.inode(&step.beside)?;
        if step.beside_inode.is_some() {
            if beside != step.beside_inode {
                self.take_out(step, beside.is_some())?;
            }
        } else if step.live_inode.is_some() && beside == step.live_inode && self.inode(&step.live)?.is_none() {
            self.rename(&step.beside, &step.live)?;
        }
        if step.is_two_way() && self.inode(&step.live)?.is_none() && self.inode(self.between)?.is_some() {
            self.rename(self.between, &step.live)?;
        }
        Ok(())
    }

    /// New that is live goes beside; what lies there, if anything, goes live.
    fn take_out(&self, step: &Move, something_beside: bool) -> Result<()> {
        if self.inode(&step.live)?.is_none() {
            return if something_beside { self.rename(&step.beside, &step.live) } else { Ok(()) };
        }
        if something_beside {
            if self.atomic && self.exchange(&step.live, &step.beside)? {
                return Ok(());
            }
            self.rename(&step.beside, self.between)?;
            self.rename(&step.live, &step.beside)?;
            return self.rename(self.between, &step.live);
        }
        self.rename(&step.live, &step.beside)
    }

    /// Exchanges two names at once; says no where the file system cannot.
    fn exchange(&self, live: &RawPath, beside: &RawPath) -> Result<bool> {
        match renameat_with(self.base, live.to_c(), self.base, beside.to_c(), RenameFlags::EXCHANGE) {
            Ok(()) => {
                (self.on_step)();
                Ok(true)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(cannot_move(live, error)),
        }
    }

    /// Moves to a free name.
    fn rename(&self, from: &RawPath, to: &RawPath) -> Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(self.base, from.to_c(), self.base, to.to_c(), flags) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if self.inode(to)?.is_some() {
                    return Err(cannot_move(to, Errno::EXIST));
                }
                renameat(self.base, from.to_c(), self.base, to.to_c()).map_err(|error| cannot_move(from, error))?;
            }
            Err(error) => return Err(cannot_move(from, error)),
        }
        (self.on_step)();
        Ok(())
    }

    fn sync(&self, pending: &Pending) -> Result<()> {
        let folders: BTreeSet<RawPath> =
            pending.moves.iter().flat_map(|step| [step.live.parent(), step.beside.parent()]).collect();
        for folder in folders {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match openat(self.base, folder.to_c(), flags, Mode::empty()).and_then(fsync) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    return Err(Error::io(format!("syncing {}", folder.as_path().display()), error.into()));
                }
            }
        }
        Ok(())
    }
}

fn cannot_move(path: &RawPath, error: Errno) -> Error {
    let path = path.as_path().display();
    match error {
        Errno::XDEV | Errno::BUSY => Error::new(
            ErrorKind::Refused,
            format!("{path} cannot be exchanged: it is a mount point, or comes from a container's image"),
            "Unmount it or put the folder on a volume of its own; or restore elsewhere with `--to` and copy.",
        )
        .because(std::io::Error::from(error)),
        _ => Error::io(format!("moving {path}"), error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Side;
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    /// Names in the live folder with their content, and whether anything lies in between.
    fn seen(folder: &Path) -> (Vec<Option<String>>, bool) {
        let text = |name: &&str| std::fs::read_to_string(folder.join(name)).ok();
        (["both", "only new", "only old"].iter().map(text).collect(), folder.join("between").exists())
    }

    fn prepare(folder: &Path) {
        std::fs::create_dir(folder.join("beside")).unwrap();
        for (path, text) in [("both", "old"), ("only old", "old"), ("beside/both", "new"), ("beside/only new", "new")] {
            std::fs::write(folder.join(path), text).unwrap();
        }
    }

    fn run(folder: &Path, atomic: bool, stop_at: usize, forward: bool, pending: &Pending) -> bool {
        let base = rustix::fs::open(folder, OFlags::RDONLY, Mode::empty()).unwrap();
        let count = Cell::new(0);
        let on_step = || {
            count.set(count.get() + 1);
            assert!(count.get() != stop_at, "stopped by the test");
        };
        let between = RawPath(b"between".to_vec());
        let exchange = Exchange { base: &base, between: &between, atomic, on_step: &on_step };
        let act = || if forward { exchange.forward(pending).unwrap() } else { exchange.backward(pending).unwrap() };
        catch_unwind(AssertUnwindSafe(act)).is_ok()
    }

    fn plan(folder: &Path) -> Pending {
        let base = rustix::fs::open(folder, OFlags::RDONLY, Mode::empty()).unwrap();
        let between = RawPath(b"between".to_vec());
        let exchange = Exchange { base: &base, between: &between, atomic: true, on_step: &|| {} };
        let path = |text: &str| RawPath(text.as_bytes().to_vec());
        let moves = ["both", "only new", "only old"]
            .map(|name| exchange.plan(path(name), path(&format!("beside/{name}"))).unwrap().unwrap());
        Pending { to: Side::New, moves: moves.to_vec() }
    }

    #[test]
    fn a_crash_between_any_two_renames_is_carried_through_or_taken_back() {
        let text = |text: &str| Some(text.to_owned());
        let old = (vec![text("old"), None, text("old")], false);
        let new = (vec![text("new"), text("new"), None], false);
        for (atomic, first, second) in [true, false].into_iter().flat_map(|atomic| {
            [(atomic, true, true), (atomic, true, false), (atomic, false, true), (atomic, false, false)]
        }) {
            for stop_at in 1.. {
                let folder = tempfile::tempdir().unwrap();
                prepare(folder.path());
                let pending = plan(folder.path());
                if !first {
                    assert!(run(folder.path(), atomic, 0, true, &pending));
                }
                let ended = run(folder.path(), atomic, stop_at, first, &pending);
                assert!(run(folder.path(), atomic, 0, second, &pending));
                assert_eq!(&seen(folder.path()), if second { &new } else { &old }, "{atomic} {first} {stop_at}");
                // And wholly the other way.
                assert!(run(folder.path(), atomic, 0, !second, &pending));
                assert_eq!(&seen(folder.path()), if second { &old } else { &new }, "{atomic} {first} {stop_at}");
                if ended {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_the_application_put_there_meanwhile_is_kept_beside() {
        for atomic in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path());
            let pending = plan(folder.path());
            std::fs::write(folder.path().join("replaced"), "newer").unwrap();
            std::fs::rename(folder.path().join("replaced"), folder.path().join("both")).unwrap();
            std::fs::write(folder.path().join("only new"), "made meanwhile").unwrap();
            assert!(run(folder.path(), atomic, 0, true, &pending));
            let beside = |name| std::fs::read_to_string(folder.path().join("beside").join(name)).unwrap();
            assert_eq!((beside("both"), beside("only new")), ("newer".to_owned(), "made meanwhile".to_owned()));
        }
    }
}
