//! Exchanges the live database with the one that lies beside it, and back.
//!
//! Two slots lie beside the live file: `restored` and `before`. An exchange first *secures* what is live in the slot of its
//! side, then makes the other slot's content live. Two ways:
//!
//! - *pages*: SQLite's backup API writes all pages into the live database in one transaction, while the application may
//!   have it open; its next read sees the new content. The write lock is taken first and held throughout, so no
//!   committed row can fall between securing and writing.
//! - *rename*: where SQLite cannot open one of the two (a corrupt live database is the usual reason for a restore) or
//!   there is no live file. Only when nobody has it open. The journals of the old database move away with it: replayed
//!   onto the new one they would destroy it.
//!
//! Invariant: a content that is made un-live lies complete in its slot before the live file changes. What a slot held
//! before is replaced only when that content is known to be live or secured; in doubt it is kept as `…-kept-N`.
//!
//! After a crash during *pages* SQLite's own journal decides which content is live. The schema cookie tells which: the
//! backup API raises it by one. Should the application have changed its schema between the crash and this look, the
//! definitions are compared. In that one case the answer is a judgement; nothing is lost by it, since both slots stay.

use super::holders::holders;
use super::state::{Move, Owner, Pending, Side, Slot, State, sync_folder_of};
use crate::source::sqlite::capture::{LOCK_ATTEMPT, busy, copy_pages, recover, remove, until_unlocked};
use crate::source::sqlite::open::{beside, create_scratch, explain, open_immutable, open_live, open_writable};
use crate::source::sqlite::schema;
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vault::Progress;

/// Every step that an exchange reports, in order. `secured` to `written` belong to the way by pages, the rest to both or
/// to the way by rename.
pub const STEPS: [&str; 6] = [SECURED, RECORDED, WRITTEN, MOVED_ASIDE, MOVED_IN, DONE];
const SECURED: &str = "sqlite.swap.secured";
const RECORDED: &str = "sqlite.swap.recorded";
const WRITTEN: &str = "sqlite.swap.written";
const MOVED_ASIDE: &str = "sqlite.swap.moved_aside";
const MOVED_IN: &str = "sqlite.swap.moved_in";
const DONE: &str = "sqlite.swap.done";

/// A database's own file last: while it is there, so are those that belong to it.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", ""];

/// Where everything lies, and how long locks are waited for.
pub(super) struct Exchange<'a> {
    pub(super) live: PathBuf,
    pub(super) restored: PathBuf,
    pub(super) before: PathBuf,
    pub(super) state_file: PathBuf,
    pub(super) timeout: Duration,
    pub(super) progress: &'a dyn Progress,
}

/// How the two sides can be exchanged.
enum Way {
    Pages,
    Rename,
}

impl Exchange<'_> {
    /// Makes the content of `side` live. Does nothing when it is.
    pub(super) fn make_live(&self, side: Side) -> Result<()> {
        let mut state = self.settle_pending()?;
        if state.live == side {
            return Ok(());
        }
        if state.owner.is_none() && !state.absent_before {
            state.owner = owner_of(&self.live)?;
            state.absent_before = state.owner.is_none();
        }
        match self.way(&state, side)? {
            Way::Pages => self.by_pages(&mut state, side),
            Way::Rename => self.by_rename(&mut state, side),
        }
    }

    /// Finishes or forgets what an interrupted exchange left.
    pub(super) fn settle_pending(&self) -> Result<State> {
        let mut state = State::load(&self.state_file)?;
        match state.pending.clone() {
            None => {}
            Some(Pending::Rename { to, moves }) => self.finish_rename(&mut state, to, &moves)?,
            Some(Pending::Pages { to, schema_cookie }) => {
                let (happened, certain) = self.patiently(|| self.pages_were_written(to, schema_cookie))?;
                if happened {
                    state.live = to;
                } else if !certain {
                    set_aside(self.slot(to.other().into()))?;
                }
                state.pending = None;
                state.save(&self.state_file)?;
            }
        }
        Ok(state)
    }

    fn slot(&self, slot: Slot) -> &Path {
        match slot {
            Slot::Live => &self.live,
            Slot::Restored => &self.restored,
            Slot::Before => &self.before,
        }
    }

    fn way(&self, state: &State, side: Side) -> Result<Way> {
        let incoming = self.slot(side.into());
        if !incoming.exists() {
            return if side == Side::Before && state.absent_before {
                Ok(Way::Rename)
            } else {
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "{} is gone: there is nothing to exchange {} with",
                        incoming.display(),
                        self.live.display()
                    ),
                    "Restore the backup anew.",
                ))
            };
        }
        // What cannot be opened as it lies goes as it came, journals included: opening it for writing might discard them.
        for path in [&self.live, incoming] {
            if !path.exists() || !opens(&open_immutable(path), path)? {
                return Ok(Way::Rename);
            }
        }
        recover_if_needed(incoming)?;
        let opens = self.patiently(|| opens(&open_writable(&self.live, LOCK_ATTEMPT), &self.live))?;
        Ok(if opens { Way::Pages } else { Way::Rename })
    }

    // ---- by pages ----

    fn by_pages(&self, state: &mut State, to: Side) -> Result<()> {
        let incoming = self.slot(to.into());
        let failed = |cause| explain(&self.live, cause);
        // Opened before and closed after the connection: closing a file gives up all locks that this process has on it.
        let raw = File::open(&self.live)
            .map_err(|cause| Error::io(format_args!("opening {}", self.live.display()), cause))?;
        let source = open_immutable(incoming)?;
        let mut target = open_writable(&self.live, LOCK_ATTEMPT)?;
        self.patiently(|| self.leave_wal_for_page_size(&target, &source))?;
        let backup = Backup::new(&source, &mut target).map_err(failed)?;
        // No page yet: this takes the write lock.
        self.wait(|| backup.step(0))?;
        let cookie = self.secure(&raw, state.live)?;
        self.progress.step(SECURED);
        state.pending = Some(Pending::Pages { to, schema_cookie: cookie });
        state.save(&self.state_file)?;
        self.progress.step(RECORDED);
        self.wait(|| backup.step(-1))?;
        self.progress.step(WRITTEN);
        drop(backup);
        drop(target);
        drop(raw);
        self.complete(state, to)
    }

    /// After the timeout nothing has changed.
    fn wait(&self, step: impl Fn() -> rusqlite::Result<StepResult>) -> Result<()> {
        match until_unlocked(self.timeout, step) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.busy()),
            Err(cause) => Err(explain(&self.live, cause)),
        }
    }

    /// Repeats what changes nothing until no lock is in its way.
    fn patiently<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match work() {
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < deadline => {}
                Err(error) if error.kind() == ErrorKind::Busy => return Err(self.busy()),
                other => return other,
            }
        }
    }

    fn busy(&self) -> Error {
        let who = holders(&self.live);
        let error = busy(&self.live, self.timeout)
            .with_hint("Stop the application or wait, then try again. Nothing was changed.");
        if who.is_empty() { error } else { error.within(format_args!("in use by {}", who.join(", "))) }
    }

    /// In WAL mode the page size is fixed: a database of another one has to leave that mode first, which it can only
    /// when nobody else has it open.
    fn leave_wal_for_page_size(&self, target: &Connection, source: &Connection) -> Result<()> {
        let failed = |cause| explain(&self.live, cause);
        let size = |connection: &Connection| connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
        let mode = |sql: &str| target.query_row(sql, [], |row| row.get::<_, String>(0));
        if mode("PRAGMA journal_mode").map_err(failed)? != "wal"
            || size(target).map_err(failed)? == size(source).map_err(failed)?
        {
            return Ok(());
        }
        match mode("PRAGMA journal_mode=DELETE") {
            Ok(mode) if mode == "delete" => Ok(()),
            Ok(_) => Err(self.busy()),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Copies what is live into its slot, durably, and answers the live schema cookie. The write lock is held.
    fn secure(&self, raw: &File, side: Side) -> Result<u32> {
        let slot = self.slot(side.into());
        let temporary = beside(slot, "-new");
        remove(&temporary)?;
        let mut header = [0; 44];
        let length = raw.read_at(&mut header, 0).map_err(|cause| self.io("reading", cause))?;
        let cookie = if length == header.len() && header[18] == 2 {
            self.secure_wal(&temporary)?
        } else {
            self.secure_raw(raw, &temporary)?;
            u32::from_be_bytes([header[40], header[41], header[42], header[43]])
        };
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(|cause| self.io("securing", cause))?;
        fs::rename(&temporary, slot).map_err(|cause| self.io("securing", cause))?;
        sync_folder_of(slot)?;
        Ok(cookie)
    }

    fn io(&self, doing: &str, cause: io::Error) -> Error {
        Error::io(format_args!("{doing} {}", self.live.display()), cause)
    }

    /// In WAL mode readers go on beside the lock: an online backup sees every committed row.
    fn secure_wal(&self, to: &Path) -> Result<u32> {
        let failed = |cause| explain(&self.live, cause);
        let reader = open_live(&self.live, self.timeout)?;
        let mut copy = create_private(to)?;
        if !copy_pages(&reader, &mut copy, self.timeout).map_err(failed)? {
            return Err(self.busy());
        }
        let number = |connection: &Connection, sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let pages = number(&reader, "PRAGMA page_count").map_err(failed)?;
        if number(&copy, "PRAGMA page_count").map_err(failed)? != pages {
            return Err(Error::internal("the copy of the live database lacks pages"));
        }
        // The cookie is a 32-bit field that SQLite shows with a sign.
        number(&reader, "PRAGMA schema_version").map(|cookie| cookie as u32).map_err(failed)
    }

    /// In rollback mode the lock keeps even us from reading through SQLite; but under it the file is the database.
    fn secure_raw(&self, raw: &File, to: &Path) -> Result<()> {
        create_empty(to)?;
        let mut copy = File::options().read(true).write(true).open(to).map_err(|cause| self.io("securing", cause))?;
        let mut at = 0;
        let mut piece = vec![0; 1 << 20];
        loop {
            let length = raw.read_at(&mut piece, at).map_err(|cause| self.io("reading", cause))?;
            if length == 0 {
                break;
            }
            io::Write::write_all(&mut copy, &piece[..length]).map_err(|cause| self.io("securing", cause))?;
            at += length as u64;
        }
        self.compare(raw, &copy, at)
    }

    fn compare(&self, raw: &File, copy: &File, length: u64) -> Result<()> {
        let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let mut at = 0;
        while at < length {
            let size = usize::try_from(length - at).unwrap_or(usize::MAX).min(left.len());
            let read =
                raw.read_exact_at(&mut left[..size], at).and_then(|()| copy.read_exact_at(&mut right[..size], at));
            read.map_err(|cause| self.io("comparing the copy of", cause))?;
            if left[..size] != right[..size] {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!(
                        "the copy of {} differs from it: the disk does not keep what is written",
                        self.live.display()
                    ),
                    "Check the disk. Nothing was changed.",
                ));
            }
            at += size as u64;
        }
        Ok(())
    }

    /// Whether an interrupted exchange by pages was committed, and whether that is certain.
    fn pages_were_written(&self, to: Side, cookie_before: u32) -> Result<(bool, bool)> {
        let live = match open_writable(&self.live, LOCK_ATTEMPT) {
            Ok(live) => live,
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::PermissionDenied) => return Err(error),
            Err(_) => return Ok((false, false)),
        };
        let cookie = match live.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)) {
            Ok(cookie) => cookie as u32,
            Err(cause) => {
                let error = explain(&self.live, cause);
                return if error.kind() == ErrorKind::Busy { Err(error) } else { Ok((false, false)) };
            }
        };
        if cookie == cookie_before {
            return Ok((false, true));
        }
        let now = schema::objects(&live, &self.live)?;
        let common = |side: Side| -> usize {
            let slot = self.slot(side.into());
            let objects =
                open_immutable(slot).and_then(|connection| schema::objects(&connection, slot)).unwrap_or_default();
            now.iter().filter(|object| objects.iter().any(|o| (&o.name, &o.sql) == (&object.name, &object.sql))).count()
        };
        let (new, old) = (common(to), common(to.other()));
        let unchanged = cookie == cookie_before.wrapping_add(1) && new == now.len();
        Ok((unchanged || new > old || (new == old && cookie != cookie_before.wrapping_add(1)), unchanged))
    }

    // ---- by rename ----

    fn by_rename(&self, state: &mut State, to: Side) -> Result<()> {
        let outgoing = Slot::from(state.live);
        let _lock = self.require_alone()?;
        if self.live.exists() {
            set_aside(self.slot(outgoing))?;
        }
        dress(state, self.slot(to.into()))?;
        let mut moves = self.moves(Slot::Live, outgoing)?;
        moves.extend(self.moves(to.into(), Slot::Live)?);
        state.pending = Some(Pending::Rename { to, moves: moves.clone() });
        state.save(&self.state_file)?;
        self.progress.step(RECORDED);
        self.finish_rename(state, to, &moves)
    }

    /// Nobody may have the live database open: neither by what the system shows nor by SQLite's locks.
    fn require_alone(&self) -> Result<Option<File>> {
        let who = holders(&self.live);
        if !who.is_empty() {
            return Err(self.busy());
        }
        let file = match File::options().read(true).write(true).open(&self.live) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.io("opening", cause)),
        };
        match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::AGAIN) => Err(self.busy()),
            Err(cause) => Err(self.io("locking", cause.into())),
        }
    }

    fn moves(&self, from: Slot, to: Slot) -> Result<Vec<Move>> {
        let mut moves = Vec::new();
        for suffix in SUFFIXES {
            match fs::symlink_metadata(beside(self.slot(from), suffix)) {
                Ok(metadata) => moves.push(Move { from, to, suffix: suffix.to_owned(), inode: metadata.ino() }),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(self.io("looking at", cause)),
            }
        }
        Ok(moves)
    }

    fn finish_rename(&self, state: &mut State, to: Side, moves: &[Move]) -> Result<()> {
        let (aside, inwards): (Vec<_>, Vec<_>) = moves.iter().partition(|step| step.from == Slot::Live);
        aside.into_iter().try_for_each(|step| self.carry_out(step))?;
        remove(&beside(&self.live, "-shm"))?;
        sync_folder_of(&self.live)?;
        self.progress.step(MOVED_ASIDE);
        inwards.into_iter().try_for_each(|step| self.carry_out(step))?;
        sync_folder_of(&self.live)?;
        self.progress.step(MOVED_IN);
        self.complete(state, to)
    }

    fn carry_out(&self, step: &Move) -> Result<()> {
        let (from, to) = (beside(self.slot(step.from), &step.suffix), beside(self.slot(step.to), &step.suffix));
        let is_it = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == step.inode);
        if is_it(&to) {
            return Ok(());
        }
        if !is_it(&from) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} was moved or replaced by somebody while a restore exchanged it", from.display()),
                "Look at the files beside the database; the restored one and the one before lie there.",
            ));
        }
        // After a crash the application may have made a new, empty one.
        set_aside_file(&to)?;
        fs::rename(&from, &to).map_err(|cause| Error::io(format_args!("renaming {}", from.display()), cause))
    }

    fn complete(&self, state: &mut State, to: Side) -> Result<()> {
        state.live = to;
        state.pending = None;
        state.save(&self.state_file)?;
        self.progress.step(DONE);
        Ok(())
    }
}

/// Whether SQLite can read the schema. Locked is neither yes nor no.
fn opens(connection: &Result<Connection>, path: &Path) -> Result<bool> {
    let error = match connection {
        Ok(connection) => match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
            Ok(()) => return Ok(true),
            Err(cause) => explain(path, cause),
        },
        Err(error) => Error::new(error.kind(), error.message(), error.hint()),
    };
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::Database => Ok(false),
        _ => Err(error),
    }
}

/// A database that was moved here together with its journal or WAL is made complete in itself.
fn recover_if_needed(path: &Path) -> Result<()> {
    let has_journal = ["-wal", "-journal"].iter().any(|suffix| beside(path, suffix).exists());
    if has_journal { recover(path, Duration::ZERO) } else { Ok(()) }
}

fn create_private(path: &Path) -> Result<Connection> {
    create_empty(path)?;
    create_scratch(path)
}

/// Application data lies in it: nobody else may read it.
pub(super) fn create_empty(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let created = File::options().write(true).create_new(true).mode(0o600).open(path);
    created.map(drop).map_err(|cause| Error::io(format_args!("creating {}", path.display()), cause))
}

/// Gives the incoming file the mode and owner that the live one had.
fn dress(state: &State, incoming: &Path) -> Result<()> {
    let Some(owner) = state.owner.filter(|_| incoming.exists()) else { return Ok(()) };
    let dress = || -> io::Result<()> {
        let metadata = fs::metadata(incoming)?;
        if (metadata.uid(), metadata.gid()) != (owner.uid, owner.gid) {
            std::os::unix::fs::chown(incoming, Some(owner.uid), Some(owner.gid))?;
        }
        fs::set_permissions(incoming, fs::Permissions::from_mode(owner.mode))?;
        File::open(incoming)?.sync_all()
    };
    dress().map_err(|cause| Error::io(format_args!("giving {} its owner and mode", incoming.display()), cause))
}

fn owner_of(live: &Path) -> Result<Option<Owner>> {
    match fs::metadata(live) {
        Ok(found) => Ok(Some(Owner { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io(format_args!("looking at {}", live.display()), cause)),
    }
}

/// Renames what lies in a slot out of the way, for good measure until `discard`.
fn set_aside(slot: &Path) -> Result<()> {
    SUFFIXES.iter().try_for_each(|suffix| set_aside_file(&beside(slot, suffix)))
}

fn set_aside_file(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let free = (1..=u16::MAX).map(|n| beside(path, &format!(".strongroom-kept-{n}"))).find(|kept| !kept.exists());
    let kept = free.ok_or_else(|| Error::internal("no free name"))?;
    fs::rename(path, &kept).map_err(|cause| Error::io(format_args!("renaming {}", path.display()), cause))
}

/// Whether the file begins like a SQLite database, or is an empty one.
pub(super) fn looks_like_sqlite(head: &[u8]) -> bool {
    head.is_empty() || head.starts_with(b"SQLite format 3\0")
}

/// Reads up to `length` bytes.
pub(super) fn read_head(content: &mut dyn io::Read, length: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    content.take(length).read_to_end(&mut head)?;
    Ok(head)
}
