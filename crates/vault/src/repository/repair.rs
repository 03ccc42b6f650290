//! Making a damaged repository sound again, losing only what is lost already.
//!
//! Everything is read. The index is made anew from the packs' own headers; what is intact in a damaged pack is copied to a
//! new one; what is not is dropped, so that the next backup that meets the same content stores it again. Snapshots keep
//! their trees: a lost file stays named, and is whole again once its blobs are. [`check`](Repository::check) beforehand tells
//! what will be found.
//!
//! Order: new packs, new index files, then the old index files go, then the damaged packs. Interrupted anywhere, it can be
//! run again.

use super::format::FileKind;
use super::format::index_file::{self, PackContent};
use super::format::pack::{BlobKind, PackedBlob};
use super::id::Id;
use super::open::Repository;
use super::prune::Copier;
use super::survey::{Finding, LostFile, Survey, Whole, bearable};
use super::write::adopt;
use super::write::packer::OpenPack;
use super::write::pipeline::split;
use crate::error::Result;
use crate::progress::Progress;
use std::collections::HashSet;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// What was wrong before.
    pub findings: Vec<Finding>,
    /// Blobs copied out of damaged packs.
    pub saved_blobs: usize,
    /// Damaged packs that were removed.
    pub removed_packs: Vec<Id>,
    /// Snapshot files that nobody can read and that were removed.
    pub removed_snapshots: Vec<Id>,
    /// Files that cannot be restored whole, now for certain.
    pub lost: Vec<LostFile>,
}

impl Repository {
    /// Repairs the repository, under an exclusive lock.
    pub fn repair(&self, progress: &dyn Progress) -> Result<RepairReport> {
        let lock = self.lock(true)?;
        let mut survey = Survey::begin(&self.files)?;
        let mut packs: Vec<Id> = survey.packs.keys().copied().collect();
        packs.sort_unstable();
        survey.read_packs(&packs, progress, |_| ())?;
        let mut report = RepairReport::default();
        if !survey.findings.is_empty() {
            lock.ensure_held()?;
            self.rebuild(&survey, &packs, &lock, &mut report, progress)?;
            report.lost = Survey::begin(&self.files)?.lost_files(Whole::default(), progress)?;
        }
        report.findings = survey.findings;
        lock.release()?;
        Ok(report)
    }

    fn rebuild(
        &self,
        survey: &Survey<'_>,
        packs: &[Id],
        lock: &super::lock::Lock,
        report: &mut RepairReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let listed = survey.blobs_by_pack();
        let mut contents: Vec<PackContent> = Vec::new();
        let mut rescue = Rescue::new(self)?;
        for &id in packs {
            progress.check_cancelled()?;
            let header = adopt::read_header(&self.files, id, survey.packs[&id])?;
            match header {
                Some(blobs) if !survey.damaged_packs.contains(&id) => contents.push((id, blobs)),
                header => {
                    let by_index = survey.index.number_of(id).map(|number| listed[number as usize].clone());
                    rescue.take(id, header.into_iter().chain(by_index).flatten(), survey)?;
                    report.removed_packs.push(id);
                }
            }
        }
        report.saved_blobs = rescue.saved.len();
        contents.extend(rescue.finish()?);
        self.files.confirm(FileKind::Pack, &contents.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
        let mut written = Vec::new();
        for packs in split(&contents) {
            written.push(self.files.save(FileKind::Index, &index_file::encode(packs)?)?.0);
            progress.step("index stored");
        }
        self.files.confirm(FileKind::Index, &written)?;
        lock.ensure_held()?;
        for &id in &survey.index_files {
            self.files.remove(FileKind::Index, id)?;
            progress.step("index removed");
        }
        for &id in &report.removed_packs {
            self.files.remove(FileKind::Pack, id)?;
        }
        for &id in &survey.damaged_snapshots {
            self.files.remove(FileKind::Snapshot, id)?;
            report.removed_snapshots.push(id);
        }
        Ok(())
    }
}

/// Copies what is intact.
struct Rescue<'a> {
    copier: Copier<'a>,
    /// Trees and data never share a pack.
    open: [OpenPack; 2],
    written: Vec<PackContent>,
    saved: HashSet<(BlobKind, Id)>,
    pack_size_bytes: usize,
}

impl<'a> Rescue<'a> {
    fn new(repository: &'a Repository) -> Result<Self> {
        Ok(Self {
            copier: Copier::new(repository)?,
            open: [OpenPack::default(), OpenPack::default()],
            written: Vec::new(),
            saved: HashSet::new(),
            pack_size_bytes: repository.options.pack_size_bytes,
        })
    }

    /// Copies the intact ones of a damaged pack's blobs, unless there is an intact copy elsewhere.
    fn take(&mut self, pack: Id, blobs: impl Iterator<Item = PackedBlob>, survey: &Survey<'_>) -> Result<()> {
        for blob in blobs {
            let elsewhere = survey.index.find(blob.id, blob.kind).any(|copy| {
                let other = survey.index.pack_id(copy.pack);
                !survey.damaged_packs.contains(&other) && survey.packs.contains_key(&other)
            });
            if elsewhere || self.saved.contains(&(blob.kind, blob.id)) {
                continue;
            }
            let Ok(sealed) = bearable(self.copier.read(pack, &blob))? else { continue };
            let open = &mut self.open[blob.kind as usize];
            if open.len() + sealed.len() > self.pack_size_bytes {
                self.written.extend(self.copier.store(open)?);
            }
            open.add_sealed(&blob, &sealed);
            self.saved.insert((blob.kind, blob.id));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<PackContent>> {
        for open in &mut self.open {
            self.written.extend(self.copier.store(open)?);
        }
        Ok(self.written)
    }
}
