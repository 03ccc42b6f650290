//! A reader that lets the rows of a long table gather in its socket.
//!
//! The server sends eight kibibytes at a time. A reader that is faster would be put to sleep and woken for each of them, which
//! costs both sides more than passing the bytes on: of a restore, which reads everything back, more than half of all switches
//! between processes and a fifteenth of the time (`bench/RESULTS.md`).
//!
//! Invariant: nobody waits who has received little, so a database of many small tables is read as fast as ever.

use std::task::{Context, Poll};
use std::time::Duration;

/// How long a reader waits before it lets itself be woken.
#[derive(Default)]
pub struct Patience {
    received_bytes: usize,
    polled_in_vain: bool,
}

impl Patience {
    const FROM_BYTES: usize = 256 * 1024;
    /// Some hundred kibibytes come in this time, which a socket's buffer holds.
    const WAIT: Duration = Duration::from_micros(300);

    /// Something came.
    pub const fn received(&mut self, bytes: usize) {
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        self.polled_in_vain = false;
    }

    /// Passes on what polling said, after a while where that was twice that nothing is there. The thread sleeps, and the
    /// connection, which is on it, with it.
    pub fn wait<T>(&mut self, polled: Poll<T>, context: &Context<'_>) -> Poll<T> {
        if polled.is_pending() && self.received_bytes >= Self::FROM_BYTES {
            if self.polled_in_vain {
                std::thread::sleep(Self::WAIT);
            } else {
                // First the connection has its turn: it brings what the socket holds.
                self.polled_in_vain = true;
                context.waker().wake_by_ref();
            }
        }
        polled
    }
}
