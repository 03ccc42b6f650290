//! Reading all index files.
//!
//! They are read one after the other by the caller, who also takes what is in them, in the order of their names: which pack
//! gets which number, and what a store is asked for, is the same every time. Threads decrypt and parse them meanwhile, which is
//! most of the work. As many files as threads and one more are in memory.

use super::files::Files;
use super::format::FileKind;
use super::format::index_file::{self, PackContent};
use super::id::Id;
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;

/// So few bytes are parsed before a thread has started.
const ALONE_BYTES_MAX: u64 = 128 * 1024;

/// What is in an index file, or why it cannot be read.
type Content = Result<Vec<PackContent>>;

struct Job {
    id: Id,
    sealed: Vec<u8>,
    answer: Sender<Content>,
}

/// Reads every index file that there is and gives its content, or why it cannot be read, to `take`, until that fails.
pub fn read_each(files: &Files, mut take: impl FnMut(Id, Content) -> Result<()>) -> Result<()> {
    let listed = files.list(FileKind::Index)?;
    if listed.iter().map(|(_, info)| info.size_bytes).sum::<u64>() <= ALONE_BYTES_MAX {
        return listed
            .into_iter()
            .try_for_each(|(id, _)| take(id, fetch(files, id).and_then(|sealed| parse(files, id, sealed))));
    }
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(listed.len());
    std::thread::scope(|scope| {
        let (jobs, queue) = bounded::<Job>(threads + 1);
        for _ in 0..threads {
            let queue = queue.clone();
            scope.spawn(move || {
                for Job { id, sealed, answer } in queue {
                    // Nobody waits for it any more if `take` has failed.
                    let _ = answer.send(parse(files, id, sealed));
                }
            });
        }
        let mut pending = VecDeque::new();
        for (id, _) in listed {
            pending.push_back((id, begin(files, id, &jobs)?));
            if pending.len() > threads {
                next(&mut pending, &mut take)?;
            }
        }
        while !pending.is_empty() {
            next(&mut pending, &mut take)?;
        }
        Ok(())
    })
}

fn begin(files: &Files, id: Id, jobs: &Sender<Job>) -> Result<Receiver<Content>> {
    let (answer, receiver) = bounded(1);
    let gone = || Error::internal("the threads that parse index files are gone");
    match fetch(files, id) {
        Ok(sealed) => jobs.send(Job { id, sealed, answer }).map_err(|_| gone())?,
        Err(error) => answer.send(Err(error)).map_err(|_| gone())?,
    }
    Ok(receiver)
}

fn next(
    pending: &mut VecDeque<(Id, Receiver<Content>)>,
    take: &mut impl FnMut(Id, Content) -> Result<()>,
) -> Result<()> {
    pending.pop_front().map_or(Ok(()), |(id, answer)| {
        let content =
            answer.recv().unwrap_or_else(|_| Err(Error::internal("a thread that parses index files panicked")));
        take(id, content)
    })
}

fn fetch(files: &Files, id: Id) -> Result<Vec<u8>> {
    files.fetch(FileKind::Index, id, index_file::SIZE_BYTES_MAX)
}

fn parse(files: &Files, id: Id, sealed: Vec<u8>) -> Content {
    index_file::decode(&files.unseal(FileKind::Index, id, sealed)?)
}
