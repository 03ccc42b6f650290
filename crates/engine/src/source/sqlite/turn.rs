//! One after the other: whoever of this process opens an application's database file takes a turn first.
//!
//! POSIX locks belong to a process, not to a file handle: closing any handle of a file gives up every lock that the process
//! has on it (fcntl(2)). SQLite guards its own handles against that, not against ours. Without turns, looking at a
//! database's header could take the lock from under a copy that another thread is making of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

/// With each, how many wait for it.
static TAKEN: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());
static FREED: Condvar = Condvar::new();

/// Ends when it is dropped. Not to be taken twice by one thread: it would wait for itself.
pub(crate) struct Turn(PathBuf);

/// Waits until no other thread has the database file open.
pub(crate) fn take(database: &Path) -> Turn {
    let name = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(waiting) = taken.get_mut(&name) {
        *waiting += 1;
        taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
    }
    taken.insert(name.clone(), 0);
    Turn(name)
}

impl Turn {
    /// Whether another thread waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&self.0).is_some_and(|&waiting| waiting > 0)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        FREED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    #[test]
    fn one_database_is_open_once_and_two_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
        std::fs::write(&one, "").unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let _elsewhere = take(&other);
        let inside = AtomicU32::new(0);
        thread::scope(|scope| {
            for path in [&one, &link, &one, &link] {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = take(path);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
