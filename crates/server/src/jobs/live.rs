//! How far running work is: numbers in memory, cheap to write from many threads.

use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use utoipa::ToSchema;
use vault::Progress;

/// Warnings that are kept for those who watch; all of them are in the result.
const WARNINGS_MAX: usize = 100;

/// Hears the news of one job.
#[derive(Default)]
pub struct Live {
    phase: Mutex<Phase>,
    bytes: AtomicU64,
    entries: AtomicU64,
    warnings: Mutex<Vec<String>>,
    cancelled: AtomicBool,
}

#[derive(Default, Clone)]
struct Phase {
    name: String,
    bytes_expected: Option<u64>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressView {
    /// What it does now.
    #[schema(example = "backing up uploads")]
    pub phase: String,
    /// Bytes done in this phase.
    pub bytes: u64,
    /// Bytes there are to do in this phase, where that is known.
    pub bytes_expected: Option<u64>,
    /// Of the phase, where that is known: 0 to 100.
    pub percent: Option<f64>,
    /// Entries done in this phase.
    pub entries: u64,
    /// What went wrong without stopping it.
    pub warnings: Vec<String>,
    /// It was asked to stop and will at its next safe point.
    pub cancelling: bool,
}

impl Live {
    /// Asks it to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn view(&self) -> ProgressView {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = self.bytes.load(Ordering::Relaxed);
        let percent = phase
            .bytes_expected
            // An expectation that was wrong says nothing about what is left.
            .filter(|expected| *expected > 0 && *expected >= bytes)
            .map(|expected| (bytes as f64 / expected as f64 * 1000.0).round() / 10.0);
        ProgressView {
            phase: phase.name,
            bytes,
            bytes_expected: phase.bytes_expected,
            percent,
            entries: self.entries.load(Ordering::Relaxed),
            warnings: self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            cancelling: self.is_cancelled(),
        }
    }
}

impl Progress for Live {
    fn phase(&self, name: &str, bytes_expected: Option<u64>) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = Phase { name: name.to_owned(), bytes_expected };
        self.bytes.store(0, Ordering::Relaxed);
        self.entries.store(0, Ordering::Relaxed);
    }

    fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn entries(&self, entries: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }

    fn warning(&self, message: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS_MAX {
            warnings.push(message.to_owned());
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
