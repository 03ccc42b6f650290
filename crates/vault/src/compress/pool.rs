//! Buffers that are used again: at gigabytes a second, getting fresh memory from the system costs as much as the copying.

use crossbeam_channel::{Receiver, Sender, bounded};

/// A few buffers that nobody uses at the moment. Clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    give: Sender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

impl Pool {
    /// Keeps up to `buffers_max`.
    pub(super) fn new(buffers_max: usize) -> Self {
        let (give, take) = bounded(buffers_max);
        Self { give, take }
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.take.try_recv().unwrap_or_default()
    }

    /// Takes a buffer back, or frees it when there are enough.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        // Full: it is dropped with the error.
        let _ = self.give.try_send(buffer);
    }
}
