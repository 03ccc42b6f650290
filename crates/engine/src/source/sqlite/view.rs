//! A database as it was at one instant, readable until the view is dropped: a private copy, or the application's own file as
//! long as it is locked and nobody waits for it.
//!
//! A private copy costs as much memory and disk as the database has, which few backups need: at night nobody writes. So a
//! locked file is read where it lies. A thread looks whether somebody wants to write it (or this process to open it), and
//! only then makes the copy, changes readers over to it, and gives up the lock.
//!
//! Invariant: what was read before [`View::confirm`] agreed are the bytes of that instant. The uncomfortable consequences:
//! whoever writes during a backup waits for one copy of the database, whenever that is, and not only at its beginning. And a
//! lock ends when anything in this process closes the file, a walk through its folder for instance: so the file's size and
//! time are looked at again when all is read.

use super::open::open_live;
use super::pages::{PageFile, ReadAt};
use super::turn::Turn;
use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, InterruptHandle};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it is looked whether somebody wants to write.
const LOOK: Duration = Duration::from_millis(5);

/// Between two times that guests are told.
const PAUSE: Duration = Duration::from_millis(1);

/// So much is copied between two looks at whether the copy is still wanted.
const PIECE_BYTES: u64 = 4 << 20;

/// The bytes on which SQLite's writers hold a lock, from the first thing that they change to their commit: `PENDING_BYTE` and
/// `RESERVED_BYTE` (<https://sqlite.org/lockingv3.html>, `os.h`).
const WRITERS_BYTES: (u64, u64) = (0x4000_0000, 2);

/// The view.
pub(crate) struct View {
    /// Where the database itself lies, if that is what is read.
    live: Option<PathBuf>,
    copy: PathBuf,
    size_bytes: u64,
    /// Of the locked file.
    found: Option<Fingerprint>,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

/// A locked file: nobody writes it until `connection` is closed. `raw` was opened before that and has to be closed after it:
/// closing gives up the lock. While `turn` is kept, nobody else of this process opens the file.
pub(super) struct Locked {
    pub(super) connection: Connection,
    pub(super) raw: File,
    pub(super) turn: Turn,
}

/// Size and time of change, which every write moves.
type Fingerprint = (u64, i64, i64);

fn fingerprint(file: &File) -> io::Result<Fingerprint> {
    file.metadata().map(|found| (found.len(), found.mtime(), found.mtime_nsec()))
}

/// What readers and the keeper of the lock share.
struct Shared {
    /// `None` once there is nothing to read any more.
    file: RwLock<Option<File>>,
    standing: Mutex<Standing>,
    changed: Condvar,
    /// Those who read the locked file through SQLite: the lock is kept until they have ended.
    guests: Mutex<Guests>,
}

struct Guests {
    count: usize,
    interrupts: Vec<InterruptHandle>,
}

/// One of them, until it is dropped.
struct Guest<'a>(&'a Shared);

impl<'a> Guest<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.guests().count += 1;
        Self(shared)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut guests = self.0.guests();
        guests.count -= 1;
        if guests.count == 0 {
            guests.interrupts.clear();
        }
    }
}

enum Standing {
    InPlace,
    /// Somebody asked for the copy, or is known to wait for the lock.
    Wanted,
    Copied,
    /// Why there will be no copy, for who asks first.
    Failed(Option<Error>),
    /// Nobody reads any more.
    Left,
}

impl View {
    /// Of a copy that is complete.
    pub(super) fn of_copy(copy: PathBuf) -> Result<Self> {
        let reading = |cause| Error::io(format_args!("reading {}", copy.display()), cause);
        let file = File::open(&copy).map_err(reading)?;
        let size_bytes = file.metadata().map_err(reading)?.len();
        let shared = Arc::new(Shared::new(file, Standing::Copied));
        Ok(Self { live: None, copy, size_bytes, found: None, shared, keeper: None })
    }

    /// Of `live`, a file that is locked; `copy`, which must not exist, is made when it is needed.
    pub(super) fn of_locked(live: PathBuf, locked: Locked, copy: PathBuf) -> Result<Self> {
        let Locked { connection, raw, turn } = locked;
        let failed = |cause| Error::io("keeping the lock of a database", cause);
        let found = fingerprint(&raw).map_err(failed)?;
        let shared = Arc::new(Shared::new(raw, Standing::InPlace));
        let (kept, path) = (Arc::clone(&shared), copy.clone());
        let keep = move || kept.keep(connection, turn, found, &path);
        let keeper = thread::Builder::new().name("sqlite lock".to_owned()).spawn(keep).map_err(failed)?;
        Ok(Self { live: Some(live), copy, size_bytes: found.0, found: Some(found), shared, keeper: Some(keeper) })
    }

    pub(super) const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads all of it, from its start.
    pub(super) fn reader(&self) -> impl Read + Send + use<> {
        Reader { shared: Arc::clone(&self.shared), at: 0 }
    }

    /// Its pages; `None` where the header does not say what it must.
    pub(super) fn pages(&self) -> Option<PageFile> {
        PageFile::new(Arc::<Shared>::clone(&self.shared))
    }

    /// Reads the locked file through SQLite. `None` where it is not what is read, or is no more when `read` ends: it is
    /// interrupted then.
    pub(super) fn in_place<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        let live = self.live.as_ref()?;
        let _guest = Guest::new(&self.shared);
        // As long as the lock is kept SQLite closes no file that could end it.
        let found = match open_live(live, Duration::ZERO) {
            Ok(connection) => {
                self.shared.guests().interrupts.push(connection.get_interrupt_handle());
                self.shared.is_in_place().then(|| read(&connection))
            }
            Err(_) => None,
        };
        found.filter(|_| self.shared.is_in_place())
    }

    /// Lets the copy be made, for it will be needed.
    pub(super) fn want_copy(&self) {
        self.shared.want();
    }

    /// All has been read: whether that was the database at one instant.
    pub(super) fn confirm(&self) -> Result<()> {
        let (Some(live), Some(found)) = (&self.live, self.found) else { return Ok(()) };
        // While readers are here, the keeper changes nothing.
        let file = self.shared.file();
        match (&*self.shared.standing(), &*file) {
            (Standing::InPlace | Standing::Wanted, Some(raw)) if fingerprint(raw).is_ok_and(|now| now == found) => {
                Ok(())
            }
            (Standing::Copied, _) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Busy,
                format!("SQLite database {} was changed while it was read under its lock", live.display()),
                "Something in this process closed the file, which ends the lock: another backup of its folder? Start it again.",
            )),
        }
    }

    /// The file of the copy, once it is complete: the only one that may be opened.
    pub(super) fn copied(&self) -> Result<&Path> {
        self.want_copy();
        let waited = self
            .shared
            .changed
            .wait_while(self.shared.standing(), |standing| matches!(standing, Standing::InPlace | Standing::Wanted));
        match &mut *waited.unwrap_or_else(PoisonError::into_inner) {
            Standing::Copied => Ok(&self.copy),
            Standing::Failed(Some(error)) => Err(std::mem::replace(error, already_said())),
            _ => Err(already_said()),
        }
    }
}

fn already_said() -> Error {
    Error::internal("there is no copy of the database")
}

impl Drop for View {
    /// Gives up the lock, and the copy where there is one.
    fn drop(&mut self) {
        self.shared.end(Standing::Left);
        if let Some(keeper) = self.keeper.take() {
            // What became of it, its standing said.
            let _ = keeper.join();
        }
        if let Err(error) = super::capture::remove(&self.copy) {
            tracing::warn!(%error, "a copy was left for later");
        }
    }
}

impl Shared {
    const fn new(file: File, standing: Standing) -> Self {
        let guests = Mutex::new(Guests { count: 0, interrupts: Vec::new() });
        Self { file: RwLock::new(Some(file)), standing: Mutex::new(standing), changed: Condvar::new(), guests }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_place(&self) -> bool {
        matches!(*self.standing(), Standing::InPlace)
    }

    /// No guest comes any more; those who are there are told until they have left.
    fn dismiss_guests(&self) {
        loop {
            let guests = self.guests();
            if guests.count == 0 {
                return;
            }
            guests.interrupts.iter().for_each(InterruptHandle::interrupt);
            drop(guests);
            thread::sleep(PAUSE);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> RwLockReadGuard<'_, Option<File>> {
        self.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, standing: Standing) {
        *self.standing() = standing;
        self.changed.notify_all();
    }

    /// Keeps the lock as long as nobody waits for it, and somebody reads.
    fn keep(&self, connection: Connection, turn: Turn, found: Fingerprint, copy: &Path) {
        let copied = self.is_copy_wanted(&turn).then(|| self.make_copy(found, copy));
        self.dismiss_guests();
        let failed = |cause| Error::io(format_args!("copying a database to {}", copy.display()), cause);
        let (next, standing) = match copied {
            Some(Ok(file)) => (Some(file), Standing::Copied),
            Some(Err(cause)) => (None, Standing::Failed(Some(failed(cause)))),
            None => (None, Standing::Left),
        };
        let raw = self.change_over(next, standing);
        drop(connection);
        drop(raw);
        drop(turn);
    }

    /// What is read changes together with what is said of it. Nobody reads the locked file after this.
    fn change_over(&self, next: Option<File>, standing: Standing) -> Option<File> {
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let raw = std::mem::replace(&mut *file, next);
        let mut now = self.standing();
        if !matches!(*now, Standing::Left) {
            *now = standing;
            self.changed.notify_all();
        }
        raw
    }

    /// Waits until the copy is wanted; `false` when nobody reads any more.
    fn is_copy_wanted(&self, turn: &Turn) -> bool {
        loop {
            let still = |standing: &mut Standing| matches!(standing, Standing::InPlace);
            let waited = self.changed.wait_timeout_while(self.standing(), LOOK, still);
            match *waited.unwrap_or_else(PoisonError::into_inner).0 {
                Standing::InPlace => {}
                Standing::Left => return false,
                _ => return true,
            }
            if turn.is_awaited() || self.file().as_ref().is_none_or(is_awaited_by_a_writer) {
                self.want();
            }
        }
    }

    fn want(&self) {
        let mut standing = self.standing();
        if matches!(*standing, Standing::InPlace) {
            *standing = Standing::Wanted;
            self.changed.notify_all();
        }
    }

    /// Copies the file to `copy` and opens that.
    fn make_copy(&self, found: Fingerprint, copy: &Path) -> io::Result<File> {
        let mut target = File::create_new(copy)?;
        let file = self.file();
        let Some(raw) = &*file else { return Err(io::ErrorKind::NotFound.into()) };
        // On Linux this is copy_file_range(2): blocks are shared where the file system can, and copied by the kernel where
        // not. Two threads would be a third faster, and take half as much again: each waits for the target's lock.
        while io::copy(&mut raw.take(PIECE_BYTES), &mut target)? > 0 {
            if matches!(*self.standing(), Standing::Left) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        if fingerprint(raw)? != found {
            std::fs::remove_file(copy)?;
            return Err(io::Error::other("the database was changed although it was locked"));
        }
        File::open(copy)
    }
}

/// Whether another process writes the database or wants to. Where that cannot be told, somebody might.
fn is_awaited_by_a_writer(file: &File) -> bool {
    let lock = Flock {
        start: WRITERS_BYTES.0,
        length: WRITERS_BYTES.1,
        pid: None,
        typ: FlockType::ReadLock,
        offset_type: FlockOffsetType::Set,
    };
    fcntl_getlk(file, &lock).map_or(true, |found| found.is_some())
}

impl ReadAt for Shared {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match &*self.file() {
            Some(file) => file.read_at(bytes, offset),
            None => Err(io::Error::other("the copy of the database failed")),
        }
    }

    fn size_bytes(&self) -> io::Result<u64> {
        match &*self.file() {
            Some(file) => file.size_bytes(),
            None => Err(io::Error::other("the copy of the database failed")),
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.shared.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::capture::capture;
    use super::super::turn;
    use super::*;
    use std::process::{Child, Command};

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A database of some pages, where its copy would lie, and its bytes.
    fn database() -> (tempfile::TempDir, [PathBuf; 2], Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["live.db", "copy"].map(|name| folder.path().join(name));
        let fill =
            "CREATE TABLE t (a); WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                    INSERT INTO t SELECT printf('%0*d', i % 200, i) FROM n;";
        Connection::open(&paths[0]).unwrap().execute_batch(fill).unwrap();
        let bytes = std::fs::read(&paths[0]).unwrap();
        (folder, paths, bytes)
    }

    fn read(view: &View) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        view.reader().read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Another process, whose locks are not ours.
    fn write_elsewhere(live: &Path) -> Child {
        let change = "UPDATE t SET a = upper(hex(randomblob(30)));";
        Command::new("sqlite3").args(["-cmd", ".timeout 10000"]).arg(live).arg(change).spawn().unwrap()
    }

    #[test]
    fn nothing_is_copied_while_nobody_waits() {
        let (_folder, [live, copy], bytes) = database();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        thread::sleep(20 * LOOK);
        assert!(read(&view).unwrap() == bytes && !copy.exists());
        assert_eq!(view.size_bytes(), bytes.len() as u64);
        drop(view);
        assert!(write_elsewhere(&live).wait().unwrap().success() && !copy.exists());
    }

    #[test]
    fn a_writer_waits_for_the_copy_and_no_longer() {
        let (_folder, [live, copy], bytes) = database();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        let mut begun = vec![0; 5000];
        let mut reader = view.reader();
        reader.read_exact(&mut begun).unwrap();
        assert!(write_elsewhere(&live).wait().unwrap().success(), "the lock was kept");
        assert_ne!(std::fs::read(&live).unwrap(), bytes, "the writer wrote");
        reader.read_to_end(&mut begun).unwrap();
        view.confirm().unwrap();
        assert!(begun == bytes && read(&view).unwrap() == bytes && std::fs::read(&copy).unwrap() == bytes);
        assert_eq!(view.copied().unwrap(), copy);
        drop(view);
        assert!(!copy.exists());
    }

    #[test]
    fn whoever_of_this_process_opens_the_database_waits_no_longer_either() {
        let (_folder, [live, copy], bytes) = database();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        drop(turn::take(&live));
        Connection::open(&live).unwrap().execute_batch("DELETE FROM t").unwrap();
        assert!(read(&view).unwrap() == bytes);
    }

    #[test]
    fn what_only_sqlite_can_find_out_is_asked_in_place_and_where_that_ends_of_the_copy() {
        let (_folder, [live, copy], _) = database();
        let orphan = "PRAGMA foreign_keys=OFF; CREATE TABLE p (k PRIMARY KEY); CREATE TABLE c (k REFERENCES p);
                      INSERT INTO c VALUES (1); CREATE TABLE checked (a CHECK (a > 0)) STRICT";
        Connection::open(&live).unwrap().execute_batch(&orphan.replace("(a CHECK", "(a INT CHECK")).unwrap();
        let found = |is_awaited: bool| {
            let (view, prelude) = capture(&live, &copy, TIMEOUT).unwrap();
            is_awaited.then(|| view.want_copy());
            let key = crate::hash::HashKey::default();
            let measured = super::super::measure::measure_view(&view, &prelude, &live, key, &vault::Silent).unwrap();
            assert_eq!(measured.findings.warnings, ["table c: 1 rows refer to rows of p that do not exist"]);
            assert_eq!(copy.exists(), is_awaited);
            measured.figures
        };
        assert_eq!(found(false), found(true));
    }

    #[test]
    fn a_long_question_to_sqlite_does_not_keep_the_lock() {
        let (_folder, [live, copy], _) = database();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let for_ever =
                    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
                view.in_place(|connection| connection.query_row(for_ever, [], |_| Ok(())))
            });
            assert!(write_elsewhere(&live).wait().unwrap().success(), "the lock was kept");
            assert!(asked.join().unwrap().is_none() && view.in_place(|_| ()).is_none());
        });
    }

    /// As a writer would change it, if something in this process had closed the file and so given up the lock.
    #[test]
    fn a_file_that_changes_all_the_same_is_not_believed() {
        use std::os::unix::fs::FileExt as _;
        let (_folder, [live, copy], _) = database();
        let change = || File::options().write(true).open(&live).unwrap().write_all_at(b"changed", 5000).unwrap();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        view.confirm().unwrap();
        change();
        assert_eq!(view.confirm().unwrap_err().kind(), ErrorKind::Busy);
        assert!(view.copied().unwrap_err().message().contains("changed although it was locked"));
        assert!(view.confirm().is_err() && !copy.exists());
    }

    /// No room, no rights: the writer goes on, and what was read is not believed.
    #[test]
    fn a_copy_that_fails_gives_up_the_lock_and_the_view() {
        let (_folder, [live, copy], _) = database();
        let (view, _) = capture(&live, &copy, TIMEOUT).unwrap();
        std::fs::create_dir(&copy).unwrap();
        assert!(write_elsewhere(&live).wait().unwrap().success(), "the lock was kept");
        assert!(view.copied().unwrap_err().message().contains("copying a database to"));
        assert!(read(&view).is_err() && view.copied().is_err());
    }
}
