//! Verifying a repository, at three depths.

use super::id::Id;
use super::open::Repository;
use super::survey::{Finding, LostFile, Survey};
use crate::error::Result;
use crate::progress::Progress;

/// How much is read. Snapshots, index and trees always are, and the packs' presence and sizes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// No contents.
    Index,
    /// So many of a hundred packs whole, chosen by `seed`: another one each time goes round them all.
    Subset {
        /// 1 to 100.
        percent: u8,
        /// Chooses.
        seed: u64,
    },
    /// Every byte.
    Everything,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots that could be read.
    pub snapshots: usize,
    /// Packs in the store.
    pub packs: usize,
    /// Copies of blobs in the index.
    pub blobs: u64,
    /// Bytes of packs that were read and compared.
    pub bytes_read: u64,
    /// Everything wrong, damage and litter.
    pub findings: Vec<Finding>,
    /// Files that cannot be restored whole, as far as was looked.
    pub lost: Vec<LostFile>,
}

impl CheckReport {
    /// Whether everything that was looked at is as it was written. Litter does not matter.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && !self.findings.iter().any(|finding| finding.is_damage)
    }
}

impl Repository {
    /// Verifies the repository under a shared lock. Damage is in the report; an error means that the store did not answer or
    /// that the work was cancelled.
    pub fn check(&self, depth: CheckDepth, progress: &dyn Progress) -> Result<CheckReport> {
        let lock = self.lock(false)?;
        let mut survey = Survey::begin(&self.files)?;
        let chosen = choose(&survey, depth);
        let bytes = chosen.iter().filter_map(|id| survey.packs.get(id)).sum();
        progress.phase("verifying the repository", Some(bytes));
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        survey.read_packs(&chosen, threads, progress)?;
        let lost = survey.lost_files()?;
        lock.release()?;
        Ok(CheckReport {
            snapshots: survey.snapshots.len(),
            packs: survey.packs.len(),
            blobs: survey.index.copies(),
            bytes_read: survey.bytes_read,
            findings: survey.findings,
            lost,
        })
    }
}

fn choose(survey: &Survey<'_>, depth: CheckDepth) -> Vec<Id> {
    let mut packs: Vec<Id> = survey.packs.keys().copied().filter(|id| survey.index.knows_pack(*id)).collect();
    packs.sort_unstable();
    match depth {
        CheckDepth::Index => Vec::new(),
        CheckDepth::Everything => packs,
        CheckDepth::Subset { percent, seed } => {
            let drawn = |id: &Id| *blake3::keyed_hash(blake3::hash(&seed.to_le_bytes()).as_bytes(), &id.0).as_bytes();
            packs.sort_by_cached_key(drawn);
            packs.truncate((packs.len() * usize::from(percent.min(100))).div_ceil(100));
            packs
        }
    }
}

impl Finding {
    /// The finding on one line.
    pub fn to_line(&self) -> String {
        format!("{}: {}", self.object, self.message)
    }
}
