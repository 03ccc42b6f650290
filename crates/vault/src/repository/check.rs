//! Verifying a repository, at three depths.

use super::id::Id;
use super::open::Repository;
use super::survey::{Finding, LostFile, Survey};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use std::str::FromStr;

/// How much is read. Snapshots, index and trees always are, and the packs' presence and sizes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// No contents.
    Index,
    /// A part of the packs, each whole.
    Subset {
        /// How much.
        subset: Subset,
        /// Chooses, where it is a matter of chance: another one each time goes round them all.
        seed: u64,
    },
    /// Every byte.
    Everything,
}

/// A part of the packs, written as for restic's `--read-data-subset`: `5%`, `2.5%`, `1/7`, `500M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    /// So many hundredths of a hundredth of the packs, by chance.
    Percent {
        /// 1 to 10,000.
        hundredths: u16,
    },
    /// The packs of one of several groups that together are all.
    Group {
        /// From 1 on.
        number: u8,
        /// How many groups.
        of: u8,
    },
    /// Packs of at least so many bytes together, by chance.
    Bytes(u64),
}

impl FromStr for Subset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                format!("{text:?} is no part of the data"),
                "Write a percentage (5%), a group (1/7, tomorrow 2/7) or a size (500M, 2G).",
            )
        })
    }
}

fn parse(text: &str) -> Option<Subset> {
    if let Some(percent) = text.strip_suffix('%') {
        let hundredths = (percent.parse::<f64>().ok()? * 100.0).round();
        return (1.0..=10_000.0).contains(&hundredths).then_some(Subset::Percent { hundredths: hundredths as u16 });
    }
    if let Some((number, of)) = text.split_once('/') {
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        return (1..=of).contains(&number).then_some(Subset::Group { number, of });
    }
    let unit = text.chars().last()?;
    let shift = match unit.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return None,
    };
    let bytes = text[..text.len() - unit.len_utf8()].parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (bytes > 0).then_some(Subset::Bytes(bytes))
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots that could be read.
    pub snapshots: usize,
    /// Those of them that can be restored whole, as far as was looked.
    pub whole: Vec<Id>,
    /// Packs in the store.
    pub packs: usize,
    /// Packs that were read and compared.
    pub packs_read: usize,
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
        let whole = survey.read_packs(&chosen, progress, |survey| survey.walk_ahead(progress))?;
        let lost = survey.lost_files(whole, progress)?;
        lock.release()?;
        let is_whole = |id: &Id| !lost.iter().any(|file| file.snapshot == *id);
        Ok(CheckReport {
            snapshots: survey.snapshots.len(),
            whole: survey.snapshots.iter().map(|(id, _)| *id).filter(is_whole).collect(),
            packs: survey.packs.len(),
            packs_read: chosen.len(),
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
        CheckDepth::Subset { subset: Subset::Group { number, of }, .. } => {
            // As restic groups them.
            packs.retain(|id| id.0[0] % of.max(1) == number.saturating_sub(1));
            packs
        }
        CheckDepth::Subset { subset, seed } => {
            let drawn = |id: &Id| *blake3::keyed_hash(blake3::hash(&seed.to_le_bytes()).as_bytes(), &id.0).as_bytes();
            packs.sort_by_cached_key(drawn);
            let count = match subset {
                Subset::Percent { hundredths } => (packs.len() * usize::from(hundredths)).div_ceil(10_000),
                Subset::Bytes(wanted) => {
                    let mut bytes = 0;
                    let wants = |id: &&Id| {
                        let is_enough = bytes >= wanted;
                        bytes += survey.packs[*id];
                        !is_enough
                    };
                    packs.iter().take_while(wants).count()
                }
                Subset::Group { .. } => packs.len(),
            };
            packs.truncate(count);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_percentage_a_group_or_a_size() {
        let good = [
            ("5%", Subset::Percent { hundredths: 500 }),
            ("2.5%", Subset::Percent { hundredths: 250 }),
            ("100%", Subset::Percent { hundredths: 10_000 }),
            ("1/7", Subset::Group { number: 1, of: 7 }),
            ("256K", Subset::Bytes(256 << 10)),
            ("2g", Subset::Bytes(2 << 30)),
        ];
        for (text, subset) in good {
            assert_eq!(text.parse::<Subset>().unwrap(), subset, "{text}");
        }
        for bad in [
            "",
            "5",
            "%",
            "0%",
            "101%",
            "NaN%",
            "inf%",
            "0/7",
            "8/7",
            "1/0",
            "1/256",
            "0M",
            "M",
            "-1M",
            "1\u{e9}",
            "99999999999T",
        ] {
            assert_eq!(bad.parse::<Subset>().unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }
}
