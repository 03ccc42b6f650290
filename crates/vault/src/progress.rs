//! How long work reports what it does, and learns that it should stop.
//!
//! Libraries never print: they call a `Progress`. The command line draws a bar, the server keeps numbers for its
//! clients, tests stop the process at a named step.

use crate::error::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// Receives news of long work. All methods are called from several threads; they must be cheap.
pub trait Progress: Send + Sync {
    /// A new phase begins (`"backing up uploads"`), with the bytes expected in it, if known.
    fn phase(&self, _name: &str, _bytes_expected: Option<u64>) {}

    /// So many source bytes more are done.
    fn bytes(&self, _bytes: u64) {}

    /// So many entries more are done.
    fn entries(&self, _entries: u64) {}

    /// Something went wrong that does not stop the work; it is also part of the result.
    fn warning(&self, _message: &str) {}

    /// The work has reached a named point between two states on disk. Tests kill the process here: a step must be
    /// reported right after the change that its name describes.
    fn step(&self, _name: &'static str) {}

    /// Whether the work should stop at the next safe point.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Fails with [`ErrorKind::Cancelled`] when the work should stop.
    fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped as asked", "Nothing half-done was left behind."));
        }
        Ok(())
    }
}

/// Hears everything, says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// Passes everything on and keeps the warnings, for a result that they are part of.
pub struct Noting {
    to: Arc<dyn Progress>,
    warnings: Mutex<Vec<String>>,
}

impl Noting {
    /// More are passed on, but not kept.
    const WARNINGS_MAX: usize = 100;

    /// In front of another.
    pub fn new(to: Arc<dyn Progress>) -> Self {
        Self { to, warnings: Mutex::default() }
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Progress for Noting {
    fn phase(&self, name: &str, bytes_expected: Option<u64>) {
        self.to.phase(name, bytes_expected);
    }

    fn bytes(&self, bytes: u64) {
        self.to.bytes(bytes);
    }

    fn entries(&self, entries: u64) {
        self.to.entries(entries);
    }

    fn warning(&self, message: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < Self::WARNINGS_MAX {
            warnings.push(message.to_owned());
        }
        drop(warnings);
        self.to.warning(message);
    }

    fn step(&self, name: &'static str) {
        self.to.step(name);
    }

    fn is_cancelled(&self) -> bool {
        self.to.is_cancelled()
    }
}
