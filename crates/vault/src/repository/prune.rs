//! Removing what no snapshot uses, in two phases, beside running backups.
//!
//! *Mark*, under a shared lock: what is still used in packs that are mostly unused is copied to new packs, and the packs that
//! nothing needs any more are written down with the time. They stay in the index and may be used again. *Sweep*, after a
//! while, under an exclusive lock and so with nobody else there: snapshots are read anew; a marked pack that is needed after
//! all is kept; the others leave the index first and the store then.
//!
//! Invariant: at any moment every blob that a snapshot uses is in a pack that an index lists. Uncomfortable consequence: space
//! comes back only with the sweep, and between copying and sweeping the repository is larger than before.

use super::blobs;
use super::crypto::Nonces;
use super::format::FileKind;
use super::format::index_file::{self, PackContent};
use super::format::mark_file::{self, MarkFile};
use super::format::pack::PackedBlob;
use super::id::Id;
use super::index::{Index, Marks};
use super::open::Repository;
use super::walk::mark_used;
use super::write::packer::OpenPack;
use super::write::pipeline::split;
use crate::entry::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::progress::Progress;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What may stay unused, and how long marked packs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// How long a pack stays after it was marked. Zero marks and sweeps at once.
    pub wait: Duration,
    /// Unused bytes of a hundred used ones that are not worth copying the rest.
    pub max_unused_percent: u8,
}

impl Default for PruneOptions {
    /// A day; 5 % as restic.
    fn default() -> Self {
        Self { wait: Duration::from_hours(24), max_unused_percent: 5 }
    }
}

/// What pruning would do. Made without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// How it is to be done.
    pub options: PruneOptions,
    /// Snapshots whose content stays.
    pub snapshots: usize,
    /// Bytes of all packs.
    pub total_bytes: u64,
    /// Bytes that snapshots use.
    pub used_bytes: u64,
    /// Packs that nothing uses.
    pub unused_packs: Vec<Id>,
    /// Packs whose used part is copied.
    pub repacked_packs: Vec<Id>,
    /// Bytes to be copied.
    pub copied_bytes: u64,
    /// Bytes that come back in the end, with packs marked by earlier runs.
    pub freed_bytes: u64,
}

/// What pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOutcome {
    /// Packs marked by this run.
    pub marked_packs: usize,
    /// Bytes copied to new packs.
    pub copied_bytes: u64,
    /// Packs removed.
    pub removed_packs: usize,
    /// Bytes of them.
    pub removed_bytes: u64,
    /// Marked packs that a later snapshot needs, and that stay.
    pub kept_packs: usize,
    /// Why nothing was swept although something was due: somebody else works on the repository.
    pub postponed: Option<String>,
}

/// What is used, and where.
struct Usage {
    snapshots: usize,
    index: Index,
    /// Marks of used blobs, on their first copy.
    used: Marks,
    /// By the pack's number.
    packs: Vec<PackUsage>,
    /// All packs in the store.
    sizes: HashMap<Id, u64>,
    /// Packs that wait to be removed.
    marked: HashSet<Id>,
}

#[derive(Default, Clone)]
struct PackUsage {
    used: Vec<PackedBlob>,
    used_bytes: u64,
}

impl Repository {
    /// Computes what [`prune`](Self::prune) would do. Damage is an error: repair first.
    pub fn prune_plan(&self, options: &PruneOptions) -> Result<PrunePlan> {
        let lock = self.lock(false)?;
        let usage = self.usage()?;
        let plan = usage.plan(options);
        lock.release()?;
        Ok(plan)
    }

    /// Carries a plan out: marks what is still unused, and sweeps what has been marked for long enough.
    pub fn prune(&self, plan: &PrunePlan, progress: &dyn Progress) -> Result<PruneOutcome> {
        let mut outcome = PruneOutcome::default();
        self.mark(plan, &mut outcome, progress)?;
        match self.lock(true) {
            Ok(lock) => {
                self.sweep(plan.options.wait, &lock, &mut outcome, progress)?;
                lock.release()?;
            }
            Err(error) if error.kind() == ErrorKind::Locked => outcome.postponed = Some(error.message().to_owned()),
            Err(error) => return Err(error),
        }
        Ok(outcome)
    }

    fn usage(&self) -> Result<Usage> {
        // Snapshots before the index: what they need is in an index written before them.
        let snapshots = self.snapshots()?;
        let index = self.load_index(true)?;
        let mut used = index.marks();
        for snapshot in &snapshots {
            mark_used(&self.files, &index, &mut used, snapshot.tree)
                .map_err(|error| error.within(format!("snapshot {}", snapshot.id)))?;
        }
        let sizes = self.files.list(FileKind::Pack)?.into_iter().map(|(id, info)| (id, info.size_bytes)).collect();
        let marked = self.marks()?.into_iter().flat_map(|(_, mark)| mark.packs).collect();
        let packs = choose_copies(&index, &used, &sizes, &marked)?;
        Ok(Usage { snapshots: snapshots.len(), index, used, packs, sizes, marked })
    }

    fn mark(&self, plan: &PrunePlan, outcome: &mut PruneOutcome, progress: &dyn Progress) -> Result<()> {
        let lock = self.lock(false)?;
        let usage = self.usage()?;
        let planned: HashSet<Id> = plan.unused_packs.iter().chain(&plan.repacked_packs).copied().collect();
        let mut marked: Vec<Id> = planned.into_iter().filter(|id| usage.sizes.contains_key(id)).collect();
        marked.sort_unstable();
        if !marked.is_empty() {
            self.copy_used(&usage, &marked, outcome, progress)?;
            lock.ensure_held()?;
            let file = MarkFile { time: (self.environment.now)(), packs: marked };
            outcome.marked_packs = file.packs.len();
            self.files.save(FileKind::Mark, &file.encode()?)?;
            progress.step("packs marked");
        }
        lock.release()
    }

    /// Copies the used blobs of doomed packs into new ones, sealed as they are, after comparing each with its name.
    fn copy_used(
        &self,
        usage: &Usage,
        doomed: &[Id],
        outcome: &mut PruneOutcome,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut written: Vec<PackContent> = Vec::new();
        // Trees and data never share a pack.
        let mut open = [OpenPack::default(), OpenPack::default()];
        let mut copier = Copier::new(self)?;
        for id in doomed {
            let Some(number) = usage.index.number_of(*id) else { continue };
            for blob in &usage.packs[number as usize].used {
                progress.check_cancelled()?;
                let sealed = copier.read(*id, blob)?;
                outcome.copied_bytes += u64::from(blob.length);
                let open = &mut open[blob.kind as usize];
                if open.len() + sealed.len() > self.options.pack_size_bytes {
                    written.extend(copier.store(open)?);
                }
                open.add_sealed(blob, &sealed);
            }
        }
        for open in &mut open {
            written.extend(copier.store(open)?);
        }
        for packs in split(&written) {
            self.files.save(FileKind::Index, &index_file::encode(packs)?)?;
            progress.step("index stored");
        }
        Ok(())
    }

    fn sweep(
        &self,
        wait: Duration,
        lock: &super::lock::Lock,
        outcome: &mut PruneOutcome,
        progress: &dyn Progress,
    ) -> Result<()> {
        let (mark_files, marked) = self.due_marks(wait)?;
        if mark_files.is_empty() {
            return Ok(());
        }
        let usage = self.usage()?;
        let mut doomed: HashSet<Id> = marked.iter().copied().filter(|id| usage.sizes.contains_key(id)).collect();
        usage.rescue(&mut doomed);
        outcome.kept_packs = marked.iter().filter(|id| usage.sizes.contains_key(id) && !doomed.contains(id)).count();
        lock.ensure_held()?;
        self.rewrite_index(&doomed, progress)?;
        lock.ensure_held()?;
        for id in doomed {
            self.files.remove(FileKind::Pack, id)?;
            progress.step("pack removed");
            outcome.removed_packs += 1;
            outcome.removed_bytes += usage.sizes.get(&id).copied().unwrap_or(0);
        }
        for id in mark_files {
            self.files.remove(FileKind::Mark, id)?;
        }
        Ok(())
    }

    /// All marks. One that cannot be read marks nothing since ever: what it marked is found again by the next plan.
    fn marks(&self) -> Result<Vec<(Id, MarkFile)>> {
        let mut marks = Vec::new();
        for (id, _) in self.files.list(FileKind::Mark)? {
            let loaded = self.files.load(FileKind::Mark, id, mark_file::SIZE_BYTES_MAX);
            match loaded.and_then(|json| MarkFile::decode(&json)) {
                Ok(mark) => marks.push((id, mark)),
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    marks.push((id, MarkFile { time: Timestamp::default(), packs: Vec::new() }));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(marks)
    }

    fn due_marks(&self, wait: Duration) -> Result<(Vec<Id>, HashSet<Id>)> {
        let (mut files, mut packs) = (Vec::new(), HashSet::new());
        let now = (self.environment.now)().seconds;
        for (id, mark) in self.marks()? {
            if now - mark.time.seconds >= wait.as_secs().cast_signed() {
                files.push(id);
                packs.extend(mark.packs);
            }
        }
        Ok((files, packs))
    }

    /// Writes index files without the doomed packs in place of those that list them.
    fn rewrite_index(&self, doomed: &HashSet<Id>, progress: &dyn Progress) -> Result<()> {
        let (mut replaced, mut kept) = (Vec::new(), Vec::new());
        for (id, _) in self.files.list(FileKind::Index)? {
            let packs = index_file::decode(&self.files.load(FileKind::Index, id, index_file::SIZE_BYTES_MAX)?)?;
            if packs.iter().any(|(pack, _)| doomed.contains(pack)) {
                replaced.push(id);
                kept.extend(packs.into_iter().filter(|(pack, _)| !doomed.contains(pack)));
            }
        }
        let mut written = Vec::new();
        for packs in split(&kept) {
            written.push(self.files.save(FileKind::Index, &index_file::encode(packs)?)?.0);
            progress.step("index stored");
        }
        self.files.confirm(FileKind::Index, &written)?;
        for id in replaced {
            self.files.remove(FileKind::Index, id)?;
            progress.step("index removed");
        }
        Ok(())
    }
}

/// Reads sealed blobs and writes packs of them.
pub(super) struct Copier<'a> {
    repository: &'a Repository,
    expander: blobs::Expander,
    nonces: Nonces,
    plain: Vec<u8>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(repository: &'a Repository) -> Result<Self> {
        Ok(Self { repository, expander: blobs::Expander::new()?, nonces: Nonces::default(), plain: Vec::new() })
    }

    /// The sealed bytes of a blob, after opening it: what is damaged is not copied.
    pub(super) fn read(&mut self, pack: Id, blob: &PackedBlob) -> Result<Vec<u8>> {
        let files = &self.repository.files;
        let name = FileKind::Pack.object_name(pack);
        let sealed = files.store.read_range(&name, u64::from(blob.offset), blob.length as usize)?;
        self.plain.clear();
        blobs::open_into(&files.key, &mut self.expander, blob, &mut sealed.clone(), &mut self.plain)
            .map_err(|why| blobs::damaged_blob(blob.id, blob.kind, &name, why))?;
        Ok(sealed)
    }

    /// Writes a pack, if there is anything for it.
    pub(super) fn store(&mut self, open: &mut OpenPack) -> Result<Option<PackContent>> {
        let Some(full) = open.take() else { return Ok(None) };
        let files = &self.repository.files;
        let (bytes, blobs) = full.seal(&files.key, &mut self.nonces)?;
        let id = Id::of(&bytes);
        files.store.put(&FileKind::Pack.object_name(id), &bytes)?;
        Ok(Some((id, blobs)))
    }
}

/// Decides for every used blob which copy is the one that counts: the only one, or that in the pack with the most other used
/// bytes, and rather one that is not marked: what an earlier run copied is not copied again. A blob whose packs are all gone
/// is damage.
fn choose_copies(
    index: &Index,
    used: &Marks,
    sizes: &HashMap<Id, u64>,
    marked: &HashSet<Id>,
) -> Result<Vec<PackUsage>> {
    let mut packs = vec![PackUsage::default(); index.packs().len()];
    let mut several = Vec::new();
    let add = |packs: &mut Vec<PackUsage>, copy: super::index::Location| {
        let pack = &mut packs[copy.pack as usize];
        pack.used.push(copy.blob);
        pack.used_bytes += u64::from(copy.blob.length);
    };
    for copies in index.marked(used) {
        let mut id = None;
        let there: Vec<_> = copies
            .inspect(|copy| id = Some((copy.blob.id, copy.blob.kind)))
            .filter(|copy| sizes.contains_key(&index.pack_id(copy.pack)))
            .collect();
        match (there.as_slice(), id) {
            ([], Some((id, kind))) => return Err(blobs::missing_blob(id, kind)),
            ([], None) => {}
            ([only], _) => add(&mut packs, *only),
            _ => several.push(there),
        }
    }
    for copies in several {
        let worth = |copy: &super::index::Location| {
            (!marked.contains(&index.pack_id(copy.pack)), packs[copy.pack as usize].used_bytes, copy.pack)
        };
        if let Some(best) = copies.into_iter().max_by_key(worth) {
            add(&mut packs, best);
        }
    }
    packs.iter_mut().for_each(|pack| pack.used.sort_unstable_by_key(|blob| blob.offset));
    Ok(packs)
}

impl Usage {
    fn plan(&self, options: &PruneOptions) -> PrunePlan {
        let used_bytes: u64 = self.packs.iter().map(|pack| pack.used_bytes).sum();
        let (mut unused_packs, mut waiting_bytes) = (Vec::new(), 0);
        let mut partly = Vec::new();
        for (&id, &size) in &self.sizes {
            let used = self.index.number_of(id).map_or(0, |number| self.packs[number as usize].used_bytes);
            if used == 0 && self.marked.contains(&id) {
                waiting_bytes += size;
            } else if used == 0 {
                unused_packs.push(id);
            } else {
                partly.push((size - used.min(size), used, id));
            }
        }
        unused_packs.sort_unstable();
        // Where most comes back for the least copying first.
        partly.sort_unstable_by_key(|&(unused, used, id)| (std::cmp::Reverse(unused * 1000 / (used + unused)), id));
        let header_bytes = |id: Id| -> u64 {
            let blobs = self.index.number_of(id).map_or(0, |number| self.packs[number as usize].used.len()) as u64;
            blobs * 41 + 36
        };
        let mut wasted: u64 = partly.iter().map(|&(unused, _, id)| unused.saturating_sub(header_bytes(id))).sum();
        let allowed = used_bytes * u64::from(options.max_unused_percent) / 100;
        let mut repacked_packs = Vec::new();
        let (mut copied_bytes, mut repacked_bytes) = (0, 0);
        for (unused, used, id) in partly {
            let waste = unused.saturating_sub(header_bytes(id));
            if wasted <= allowed || waste == 0 {
                break;
            }
            wasted -= waste;
            copied_bytes += used;
            repacked_bytes += unused + used;
            repacked_packs.push(id);
        }
        let total_bytes = self.sizes.values().sum();
        let unused_bytes: u64 = unused_packs.iter().filter_map(|id| self.sizes.get(id)).sum();
        PrunePlan {
            options: *options,
            snapshots: self.snapshots,
            total_bytes,
            used_bytes,
            unused_packs,
            repacked_packs,
            copied_bytes,
            freed_bytes: waiting_bytes + unused_bytes + repacked_bytes - copied_bytes,
        }
    }

    /// Takes out of `doomed` whatever a snapshot needs: every used blob keeps a copy in a pack that stays.
    fn rescue(&self, doomed: &mut HashSet<Id>) {
        for copies in self.index.marked(&self.used) {
            let packs: Vec<Id> =
                copies.map(|copy| self.index.pack_id(copy.pack)).filter(|pack| self.sizes.contains_key(pack)).collect();
            if packs.iter().all(|pack| doomed.contains(pack))
                && let Some(first) = packs.first()
            {
                doomed.remove(first);
            }
        }
    }
}
