//! Reading a snapshot back.
//!
//! A planner walks the trees and cuts the work into batches of a few mebibytes of content; workers fetch a batch's blobs,
//! neighbours in a pack at once, and open them; the caller's thread hands the batches to the visitor in the order of the
//! trees. As many batches as threads and two more are on their way: memory is bounded whatever is restored.
//!
//! Invariant: every byte that reaches the visitor was authenticated and hashes to what the tree says. A damaged blob is an
//! error of the content it belongs to; a visitor that bears it goes on with the next entry.

mod fetch;
mod plan;

use super::blobs::{self, Expander};
use super::files::Files;
use super::format::pack::BlobKind;
use super::format::tree::NodeKind;
use super::id::Id;
use super::index::Index;
use super::lock::Lock;
use super::open::{Repository, Snapshot};
use super::walk::load_tree;
use super::write::MANIFEST_NAME;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::{EntryReader, EntryVisitor, Selection};
use crossbeam_channel::{Receiver, bounded};
use fetch::{Filled, fetch_batch};
use plan::{Batch, Event, Planner};
use std::io::{self, Read};
use std::sync::Arc;

/// Reads one snapshot.
pub struct RepositoryReader {
    files: Files,
    index: Arc<Index>,
    snapshot: Snapshot,
    threads: usize,
    /// Held, not used: nothing is pruned while we read.
    _lock: Option<Lock>,
}

impl Repository {
    /// Reads a snapshot, under a shared lock.
    pub fn reader(&self, snapshot: Id) -> Result<RepositoryReader> {
        let lock = self.lock(false)?;
        self.reader_with(snapshot, Some(lock))
    }

    /// Reads a snapshot of a repository that cannot be written to, so without a lock: nobody may prune it meanwhile.
    pub fn reader_without_lock(&self, snapshot: Id) -> Result<RepositoryReader> {
        self.reader_with(snapshot, None)
    }

    fn reader_with(&self, snapshot: Id, lock: Option<Lock>) -> Result<RepositoryReader> {
        // The snapshot first: what it needs is in an index that was written before it.
        let snapshot = self.snapshot(snapshot)?;
        Ok(RepositoryReader {
            files: self.files.clone(),
            index: Arc::new(self.load_index(false)?),
            snapshot,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            _lock: lock,
        })
    }
}

impl RepositoryReader {
    /// Worker threads beside the planner's; at least 1.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Visits all entries without reading any content, for who has just checked every blob of the repository. A file's size
    /// is what its blobs come to.
    pub fn list(&self, visitor: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
        let mut result = Ok(());
        let mut visit = |event| match event {
            Event::Entry(entry) => visitor(&entry),
            Event::Failed(error) => Err(error),
            Event::Blob(_) | Event::End => Ok(()),
        };
        let submit = |batch: Batch| {
            result = batch.events.into_iter().try_for_each(&mut visit);
            result.is_ok()
        };
        Planner::new(&self.files, &self.index, &Selection::all(), submit).run(&self.snapshot);
        result
    }
}

/// Hands the batches' entries to the visitor.
fn hand_over(
    batches: &Receiver<Receiver<Filled>>,
    selection: &Selection,
    visitor: &mut dyn EntryVisitor,
) -> Result<()> {
    let mut stream = Stream { batches, current: Filled::default(), blob: None, in_file: false };
    while let Some(event) = stream.next()? {
        match event {
            Event::Entry(entry) => {
                debug_assert!(selection.matches(&entry.path));
                stream.in_file = matches!(entry.kind, EntryKind::File { .. });
                visitor.entry(&entry, &mut stream)?;
                stream.skip_rest()?;
            }
            Event::Failed(error) => return Err(error),
            Event::Blob(_) | Event::End => return Err(Error::internal("content came outside a file")),
        }
    }
    Ok(())
}

impl EntryReader for RepositoryReader {
    fn manifest(&mut self) -> Result<Vec<u8>> {
        let root = load_tree(&self.files, &self.index, self.snapshot.tree)?;
        let Some(node) = root.iter().find(|node| node.name == MANIFEST_NAME.as_bytes() && node.kind == NodeKind::File)
        else {
            return Err(Error::new(
                ErrorKind::NotABackup,
                format!("snapshot {} has no manifest", self.snapshot.id),
                "It was not made by Strongroom; its files can be restored all the same.",
            ));
        };
        let mut manifest = Vec::new();
        for id in &node.content {
            manifest.extend(blobs::load(&self.files, &self.index, *id, BlobKind::Data)?);
        }
        Ok(manifest)
    }

    fn visit(&mut self, selection: &Selection, visitor: &mut dyn EntryVisitor) -> Result<()> {
        let this = &*self;
        let (work_in, work) = bounded::<(Batch, crossbeam_channel::Sender<Filled>)>(this.threads);
        let (order_in, order) = bounded(this.threads + 1);
        let expanders = (0..this.threads).map(|_| Expander::new()).collect::<Result<Vec<_>>>()?;
        std::thread::scope(|scope| {
            for mut expander in expanders {
                let work = work.clone();
                scope.spawn(move || {
                    for (batch, reply) in work {
                        // Nobody waits for it when the visitor has given up.
                        let _ = reply.send(fetch_batch(&this.files, &this.index, &mut expander, batch));
                    }
                });
            }
            drop(work);
            scope.spawn(move || {
                let mut planner = Planner::new(&this.files, &this.index, selection, |batch| {
                    let (reply, filled) = bounded(1);
                    order_in.send(filled).is_ok() && work_in.send((batch, reply)).is_ok()
                });
                planner.run(&this.snapshot);
            });
            let result = hand_over(&order, selection, visitor);
            // Ends planner and workers if the visitor gave up.
            drop(order);
            result
        })
    }
}

/// The events of all batches, one after the other, and the current file's content.
struct Stream<'a> {
    batches: &'a Receiver<Receiver<Filled>>,
    current: Filled,
    /// What is left of the current blob, in the current batch's buffer.
    blob: Option<std::ops::Range<usize>>,
    in_file: bool,
}

impl Stream<'_> {
    fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.current.events.next() {
                return Ok(Some(event));
            }
            let Ok(batch) = self.batches.recv() else { return Ok(None) };
            self.current = batch.recv().map_err(|_| Error::internal("a worker of the restore died"))?;
        }
    }

    /// Passes over what the visitor did not read of a file.
    fn skip_rest(&mut self) -> Result<()> {
        while self.in_file {
            // What is damaged there does not matter to who does not read it.
            let _ = self.next_blob()?;
        }
        self.blob = None;
        Ok(())
    }

    /// Moves on to the file's next blob; false at its end. The inner error is the blob's.
    fn next_blob(&mut self) -> Result<Result<bool>> {
        match self.next()? {
            Some(Event::Blob(slot)) => match self.current.take_blob(slot) {
                Ok(range) => {
                    self.blob = Some(range);
                    Ok(Ok(true))
                }
                Err(error) => Ok(Err(error)),
            },
            Some(Event::Failed(error)) => Ok(Err(error)),
            Some(Event::End) => {
                self.in_file = false;
                self.blob = None;
                Ok(Ok(false))
            }
            Some(Event::Entry(_)) | None => Err(Error::internal("a file has no end")),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(range) = &mut self.blob {
                let length = range.len().min(out.len());
                if length > 0 || out.is_empty() {
                    out[..length].copy_from_slice(&self.current.bytes[range.start..range.start + length]);
                    range.start += length;
                    return Ok(length);
                }
            }
            if !self.in_file || !self.next_blob()?? {
                return Ok(0);
            }
        }
    }
}
