//! Looks at the entries of a folder before the walk comes to them, on a thread of its own: over files that did not
//! change, `lstat` is half of what there is to do.
//!
//! Invariant: what is handed out is at most [`AGE_MAX`] old. The uncomfortable consequence: an entry may have changed
//! between the look and the walk's coming, so who reads a file's content goes by what the opened file says.

use super::names::Names;
use rustix::fs::{AtFlags, Stat, statat};
use std::collections::VecDeque;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Entries that are looked at in one go. Folders of uploads hold a few dozen: the walk takes the first of them itself.
const BLOCK_ENTRIES: usize = 16;
/// Blocks of one folder that are looked at before the walk comes to them.
const BLOCKS_AHEAD: usize = 2;
/// Blocks that wait for the thread; more are not asked of it, the walk looks itself.
const WAITING_MAX: usize = 4;
/// What was seen longer ago than this is looked at again.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What `lstat` says of an entry.
fn look(folder: impl AsFd, name: &CStr) -> io::Result<Stat> {
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A thread that looks ahead; it starts with the first folder that is large enough to share.
#[derive(Default)]
pub struct Ahead {
    thread: Option<(SyncSender<Request>, JoinHandle<()>)>,
}

struct Request {
    folder: Arc<OwnedFd>,
    names: Arc<Names>,
    block: Arc<Block>,
}

/// Some entries of a folder, side by side.
struct Block {
    first: usize,
    /// The thread, or the walk, has taken it upon itself.
    taken: AtomicBool,
    seen: OnceLock<(Instant, Vec<io::Result<Stat>>)>,
}

/// The blocks of one folder that were asked for.
#[derive(Default)]
pub struct Asked {
    blocks: VecDeque<Arc<Block>>,
    /// The first entry that nobody was asked for.
    next: usize,
}

impl Ahead {
    /// What `lstat` says of the entry at `index`, seen already or seen now. Entries are to be asked for in order.
    pub fn look(
        &mut self,
        folder: &Arc<OwnedFd>,
        names: &Arc<Names>,
        asked: &mut Asked,
        index: usize,
    ) -> io::Result<Stat> {
        if asked.next <= index + BLOCKS_AHEAD * BLOCK_ENTRIES {
            self.ask(folder, names, asked, index);
        }
        asked.forget_before(index);
        match asked.seen(index) {
            Some(stat) => Ok(stat),
            None => look(folder, names.get(index).map_or(c"", |(name, _)| name)),
        }
    }

    /// Has the blocks after the one with `index` looked at.
    fn ask(&mut self, folder: &Arc<OwnedFd>, names: &Arc<Names>, asked: &mut Asked, index: usize) {
        asked.next = asked.next.max((index / BLOCK_ENTRIES + 1) * BLOCK_ENTRIES);
        while asked.next < names.len() && asked.next <= index + BLOCKS_AHEAD * BLOCK_ENTRIES {
            let block = Arc::new(Block { first: asked.next, taken: AtomicBool::new(false), seen: OnceLock::new() });
            let request = Request { folder: Arc::clone(folder), names: Arc::clone(names), block: Arc::clone(&block) };
            if self.thread.is_none() {
                self.thread = start();
            }
            match &self.thread {
                Some((requests, _)) if requests.try_send(request).is_ok() => asked.blocks.push_back(block),
                _ => return,
            }
            asked.next += BLOCK_ENTRIES;
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some((requests, thread)) = self.thread.take() {
            drop(requests);
            // It cannot have panicked, and if it had, the walk has looked itself.
            let _ = thread.join();
        }
    }
}

impl Asked {
    fn forget_before(&mut self, index: usize) {
        while self.blocks.front().is_some_and(|block| block.first + BLOCK_ENTRIES <= index) {
            self.blocks.pop_front();
        }
    }

    /// `None` when the walk is to look itself: nobody has yet, or it was too long ago, or it went wrong.
    fn seen(&mut self, index: usize) -> Option<Stat> {
        let block = self.blocks.front().filter(|block| block.first <= index)?;
        if block.seen.get().is_none() && !block.taken.swap(true, Ordering::Relaxed) {
            self.blocks.pop_front();
            return None;
        }
        let (when, stats) = block.seen.wait();
        if when.elapsed() > AGE_MAX {
            return None;
        }
        stats.get(index - block.first)?.as_ref().ok().copied()
    }
}

fn start() -> Option<(SyncSender<Request>, JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    // Without the thread the walk is slower, and that is all.
    let thread = thread::Builder::new().name("looking ahead".to_owned()).spawn(move || run(&receiver)).ok()?;
    Some((sender, thread))
}

fn run(requests: &Receiver<Request>) {
    for Request { folder, names, block } in requests {
        if block.taken.swap(true, Ordering::Relaxed) {
            continue;
        }
        let when = Instant::now();
        let entries = names.iter().skip(block.first).take(BLOCK_ENTRIES);
        let seen = entries.map(|(name, _)| look(&folder, name)).collect();
        // Nobody else sets it: the block was taken here.
        let _ = block.seen.set((when, seen));
    }
}
