//! What the targets of trees, logs and configuration files have in common.

use super::super::{Context, Place, Target, TargetPlan};
use super::raw_path::RawPath;
use super::record::{Record, Shape, Side};
use super::site::{Site, may_write_in, mounts_below, nearest_existing};
use super::stage::Stage;
use super::swap::{Swapper, mounted_inside};
use crate::manifest::{ComponentManifest, Figures, RootFolder, State};
use crate::tree::filter::Filter;
use crate::tree::listing::{Kinds, measure, root_folder};
use crate::tree::metadata::{Withheld, apply, plain};
use crate::tree::remove::remove_tree;
use crate::tree::walk::{Options, Step, Walk};
use crate::tree::{FOLDER, open_below};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{FileType, Mode, OFlags, fremovexattr, fstat, mkdirat, openat, statvfs, syncfs};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::error::IoContext;
use vault::{Entry, EntryKind, EntryPath, Metadata};

/// What belongs to the component.
pub enum Belongs {
    /// What a filter takes of the folder.
    Tree {
        /// The filter.
        filter: Box<Filter>,
        /// As in the settings.
        one_file_system: bool,
        /// Further names of a file are hard links.
        hard_links: bool,
    },
    /// These files in the folder.
    Files(BTreeSet<EntryPath>),
}

/// What becomes of an entry before it is put into the tree: taken as it is, changed, or refused.
pub type Intake = fn(&Entry, &mut dyn Read, Put<'_>) -> Result<()>;

/// Puts an entry into the tree.
pub type Put<'a> = &'a mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>;

/// Puts a component of files back.
pub struct TreeTarget {
    name: String,
    path: PathBuf,
    belongs: Belongs,
    intake: Intake,
    place: Place,
    /// The component's own folder, as the manifest has it.
    root: Option<RootFolder>,
    building: Option<Building>,
    /// The folder that this value made, for [`Place::Folder`].
    made: Option<PathBuf>,
}

/// A tree being built.
struct Building {
    stage: Stage,
    site: Option<Site>,
    /// What the backup holds though today's patterns would leave it out; for [`Belongs::Files`], everything.
    held: BTreeSet<Vec<u8>>,
}

impl Target for TreeTarget {
    fn inspect(&mut self, context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        let mut plan = TargetPlan::default();
        if let Figures::Tree { bytes, root, .. } = &manifest.figures {
            self.root = *root;
            plan.needs_bytes = *bytes;
        }
        if manifest.state == State::Partial {
            let count = manifest.warnings.len();
            plan.warnings
                .push(format!("the backup of {} is partial: see its {count} warnings for what it lacks", self.name));
        }
        if rustix::process::geteuid().as_raw() != 0 {
            plan.warnings
                .push("only root can give files their owners back; those that differ will be yours".to_owned());
        }
        match &self.place {
            Place::Folder { path } => inspect_folder(path, &mut plan)?,
            Place::Live { restore_id, .. } => {
                let site = self.site(restore_id)?;
                self.inspect_live(context, &site, &mut plan)?;
            }
            Place::Database { .. } => {}
        }
        if let Some(free) = plan.free_bytes.filter(|&free| free < plan.needs_bytes) {
            let missing = plan.needs_bytes - free;
            plan.obstacles.push(format!(
                "{missing} bytes of space are missing there: free some, or restore elsewhere with `--to`"
            ));
        }
        Ok(plan)
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        (self.intake)(entry, content, &mut |entry, content| self.put(context, entry, content))
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
        self.building()?;
        let Some(Building { stage, site, held }) = self.building.take() else {
            return Err(Error::internal("nothing was being restored"));
        };
        let (root, withheld) = stage.finish()?;
        let doing = || format!("completing the restored component {}", self.name);
        let is_children = site.as_ref().is_some_and(|site| site.shape == Shape::Children);
        if !is_children && matches!(self.belongs, Belongs::Tree { .. }) {
            self.set_root(&root, site.as_ref()).doing(doing)?;
        }
        let figures = std::thread::scope(|scope| {
            let syncing = scope.spawn(|| syncfs(&root).map_err(io::Error::from));
            let figures = self.measure(context, &root, withheld);
            syncing.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked"))).and(figures)
        });
        let figures = figures.doing(doing)?;
        let record = match &site {
            Some(site) => Some(self.record(site, held, &root)?),
            None => None,
        };
        context.progress.step("files.finish.synced");
        if let Some(record) = record {
            record.save(&self.record_file()?)?;
            context.progress.step("files.finish.recorded");
        }
        Ok(figures)
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        let file = self.record_file()?;
        let Some(mut record) = Record::load(&file)? else {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the restore of component {} was never completed beside the live data", self.name),
                "Start the restore again; the live data was not touched.",
            ));
        };
        self.swapper(context, &file, |swapper| swapper.make_live(&mut record, Side::New))
    }

    fn swap_back(&mut self, context: &Context<'_>) -> Result<()> {
        let file = self.record_file()?;
        // Without a record nothing was ever exchanged.
        let Some(mut record) = Record::load(&file)? else { return Ok(()) };
        self.swapper(context, &file, |swapper| swapper.make_live(&mut record, Side::Old))
    }

    fn discard(&mut self, context: &Context<'_>) -> Result<()> {
        self.building = None;
        if let Place::Folder { .. } = &self.place {
            return match self.made.take() {
                Some(made) => remove_at(&made),
                None => Ok(()),
            };
        }
        let file = self.record_file()?;
        if let Some(mut record) = Record::load(&file)? {
            return self.swapper(context, &file, |swapper| swapper.discard(&mut record));
        }
        let Place::Live { restore_id, .. } = &self.place else { return Ok(()) };
        remove_at(&self.site(restore_id)?.beside())
    }
}

impl TreeTarget {
    /// A tree at `path`. A place for databases is an [`ErrorKind::Usage`].
    pub fn new(name: String, path: PathBuf, belongs: Belongs, intake: Intake, place: Place) -> Result<Self> {
        if matches!(place, Place::Database { .. }) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("component {name} is made of files and cannot be put into a database"),
                "Give it a folder.",
            ));
        }
        Ok(Self { name, path, belongs, intake, place, root: None, building: None, made: None })
    }

    fn put(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let held = match &self.belongs {
            Belongs::Tree { filter, .. } => {
                let is_folder = entry.kind == EntryKind::Directory;
                filter.leaves_out(entry.path.as_bytes(), is_folder).map(<[u8]>::to_vec)
            }
            Belongs::Files(_) if entry.kind == EntryKind::Directory => None,
            Belongs::Files(_) => Some(entry.path.as_bytes().to_vec()),
        };
        let building = self.building()?;
        building.held.extend(held);
        building.stage.add(entry, content, context.progress)
    }

    fn inspect_live(&self, context: &Context<'_>, site: &Site, plan: &mut TargetPlan) -> Result<()> {
        let live = site.live();
        plan.replaces = Some(live.display().to_string());
        plan.free_bytes = free_bytes(&site.base)?;
        if !may_write_in(nearest_existing(&site.base)) {
            plan.obstacles.push(format!(
                "no permission to write in {}: restore as its owner, or as root",
                nearest_existing(&site.base).display()
            ));
        }
        match &self.belongs {
            Belongs::Files(files) => {
                let sizes: Vec<u64> = files
                    .iter()
                    .filter_map(|file| live.join(file.to_os_path()).symlink_metadata().ok())
                    .map(|metadata| metadata.len())
                    .collect();
                plan.live = Some(counted(sizes.len() as u64, 0, 0, sizes.iter().sum()));
            }
            Belongs::Tree { filter, one_file_system, .. } => {
                plan.obstacles.extend(mounts_below(&live).iter().map(|mount| {
                    let error = mounted_inside(mount);
                    format!("{}: {}", error.message(), error.hint())
                }));
                plan.live = count(&live, filter, *one_file_system, context, &mut plan.warnings)?;
            }
        }
        Ok(())
    }

    fn measure(&self, context: &Context<'_>, root: &OwnedFd, withheld: Withheld) -> io::Result<Figures> {
        let kinds = match &self.belongs {
            Belongs::Tree { hard_links: true, .. } => Kinds::All,
            Belongs::Tree { .. } => Kinds::NoHardLinks,
            Belongs::Files(_) => Kinds::NoFolders,
        };
        let listing = measure(Arc::new(open_below(root, b"")?), context.hash_key, kinds)?;
        let mut figures = listing.figures(Some(root_folder(root)?));
        if let Figures::Tree { owners_hash, attributes_hash, .. } = &mut figures {
            for (count, hash, what) in [
                (withheld.owners, owners_hash, "their owners (only root can)"),
                (
                    withheld.attributes,
                    attributes_hash,
                    "all their extended attributes (the file system or permissions forbid it)",
                ),
            ] {
                if count > 0 {
                    *hash = None;
                    context.progress.warning(&format!("{}: {count} entries could not be given {what}", self.name));
                }
            }
        }
        Ok(figures)
    }

    /// The restored folder itself: as the manifest has it, else as the live one is, else the owner's alone.
    fn set_root(&self, root: &OwnedFd, site: Option<&Site>) -> io::Result<()> {
        let live = site.and_then(|site| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(site.live(), flags, Mode::empty()).ok()
        });
        let mut metadata = plain(&fstat(live.as_ref().unwrap_or(root))?);
        if let Some(live) = &live {
            let (full, _) = crate::tree::metadata::MetadataReader::new().read(live, c".", &fstat(live)?);
            metadata = full;
        }
        if let Some(RootFolder { mode, uid, gid }) = self.root {
            metadata = Metadata { mode, uid, gid, ..metadata };
        }
        apply(root.as_fd(), &metadata).map(|_| ())
    }

    fn record(&self, site: &Site, held: BTreeSet<Vec<u8>>, root: &OwnedFd) -> Result<Record> {
        let mut record = Record {
            base: RawPath::new(&site.base),
            beside: site.beside.clone(),
            between: site.between.clone(),
            shape: site.shape.clone(),
            side: Side::Old,
            beside_expected: true,
            held: Vec::new(),
            made_folders: Vec::new(),
            pending: None,
            discarded: false,
        };
        match &self.belongs {
            Belongs::Tree { .. } => record.held = held.into_iter().map(RawPath).collect(),
            Belongs::Files(listed) => {
                let paths: BTreeSet<_> = listed.iter().map(|path| path.as_bytes().to_vec()).chain(held).collect();
                record.made_folders = missing_folders(&site.base, &paths);
                make_folders(root, &paths)?;
                record.shape = Shape::Files { paths: paths.into_iter().map(RawPath).collect() };
            }
        }
        Ok(record)
    }

    fn swapper(&self, context: &Context<'_>, file: &Path, act: impl FnOnce(&Swapper<'_>) -> Result<()>) -> Result<()> {
        let everything = Filter::everything();
        let (filter, one_file_system) = match &self.belongs {
            Belongs::Tree { filter, one_file_system, .. } => (filter.as_ref(), *one_file_system),
            Belongs::Files(_) => (&everything, false),
        };
        act(&Swapper { file, filter, one_file_system, progress: context.progress, atomic: true })
            .map_err(|error| error.within(format!("component {}", self.name)))
    }

    fn site(&self, id: &crate::id::Id) -> Result<Site> {
        match self.belongs {
            Belongs::Tree { .. } => Site::of_folder(&self.path, id),
            Belongs::Files(_) => Ok(Site::of_files(&self.path, &self.name, id)),
        }
    }

    fn record_file(&self) -> Result<PathBuf> {
        match &self.place {
            Place::Live { state_folder, .. } => {
                Ok(state_folder.join(format!("{}.tree.json", self.name.replace('/', "_"))))
            }
            _ => Err(Error::new(
                ErrorKind::Usage,
                format!("component {} was restored elsewhere: there is nothing to exchange", self.name),
                "Only a restore to the live place can be swapped or undone.",
            )),
        }
    }

    fn building(&mut self) -> Result<&mut Building> {
        if self.building.is_none() {
            let (root, site) = self.begin()?;
            self.building = Some(Building { stage: Stage::new(root), site, held: BTreeSet::new() });
        }
        self.building.as_mut().ok_or_else(|| Error::internal("nothing is being restored"))
    }

    /// Makes the folder that is built in.
    fn begin(&mut self) -> Result<(Arc<OwnedFd>, Option<Site>)> {
        let (folder, site) = match &self.place {
            Place::Folder { path } => {
                if path.exists() && !is_empty(path)? {
                    return Err(not_empty(path));
                }
                (path.clone(), None)
            }
            Place::Live { restore_id, .. } => {
                self.refuse_second_start()?;
                let site = self.site(restore_id)?;
                remove_at(&site.beside())?;
                (site.beside(), Some(site))
            }
            Place::Database { .. } => return Err(Error::internal("files cannot be put into a database")),
        };
        if !folder.exists() {
            self.made = Some(folder.clone());
        }
        Ok((Arc::new(make_private(&folder)?), site))
    }

    /// A restore that was exchanged already must not be built a second time over what it replaced.
    fn refuse_second_start(&self) -> Result<()> {
        match Record::load(&self.record_file()?)? {
            Some(record) if record.side == Side::New || record.pending.is_some() => Err(Error::new(
                ErrorKind::Refused,
                format!("this restore of component {} is live already", self.name),
                "Undo it, or start a new one.",
            )),
            _ => Ok(()),
        }
    }
}

fn inspect_folder(path: &Path, plan: &mut TargetPlan) -> Result<()> {
    plan.free_bytes = free_bytes(path)?;
    if path.exists() && !is_empty(path)? {
        plan.obstacles.push(format!("{} is not empty: name a new folder", path.display()));
    }
    let existing = nearest_existing(path);
    if !may_write_in(existing) {
        plan.obstacles.push(format!("no permission to write in {}", existing.display()));
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Result<Option<u64>> {
    let existing = nearest_existing(path);
    let space = statvfs(existing)
        .map_err(|error| Error::io(format!("asking for the free space of {}", existing.display()), error.into()))?;
    Ok(Some(space.f_bavail.saturating_mul(space.f_frsize)))
}

/// What is live now, in counts.
fn count(
    live: &Path,
    filter: &Filter,
    one_file_system: bool,
    context: &Context<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Figures>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match rustix::fs::open(live, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => other.map_err(io::Error::from).doing(|| format!("opening {}", live.display()))?,
    };
    let options = Options { filter, one_file_system, tell_left_out: false };
    let mut walk = Walk::new(Arc::new(root), options).doing(|| format!("reading {}", live.display()))?;
    let (mut files, mut folders, mut links, mut bytes) = (0, 0, 0, 0_u64);
    let mut kept = 0_u64;
    while let Some(step) = walk.step() {
        context.progress.check_cancelled()?;
        match step {
            Step::Entry(found) => match found.kind {
                FileType::Directory => folders += u64::from(!found.only_on_the_way),
                FileType::Symlink => links += 1,
                FileType::RegularFile => {
                    files += 1;
                    bytes += found.stat.st_size as u64;
                }
                _ => {}
            },
            Step::LeftOut(_) => kept += 1,
        }
    }
    if kept > 0 {
        warnings.push(format!("{kept} entries there are not part of any backup (.env files, sockets, …): they stay"));
    }
    let mut figures = counted(files, folders, links, bytes);
    if let Figures::Tree { root, .. } = &mut figures {
        *root = None;
    }
    Ok(Some(figures))
}

fn counted(files: u64, directories: u64, symlinks: u64, bytes: u64) -> Figures {
    Figures::Tree {
        files,
        directories,
        symlinks,
        others: 0,
        bytes,
        listing_hash: String::new(),
        owners_hash: None,
        attributes_hash: None,
        root: None,
    }
}

fn is_empty(path: &Path) -> Result<bool> {
    let doing = || format!("looking into {}", path.display());
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty(path)),
        Err(error) => Err(error).doing(doing),
    }
}

fn not_empty(path: &Path) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("{} is not an empty folder", path.display()),
        "Name a folder that does not exist yet; nothing was changed.",
    )
}

/// Makes a folder that is its owner's alone and inherits no access-control lists, or takes an empty one.
fn make_private(folder: &Path) -> Result<OwnedFd> {
    let doing = || format!("making {}", folder.display());
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Err(not_empty(folder)) };
    std::fs::create_dir_all(parent).doing(doing)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty()).map_err(io::Error::from).doing(doing)?;
    match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(io::Error::from(error)).doing(doing),
    }
    let made = openat(&parent, name, FOLDER, Mode::empty()).map_err(io::Error::from).doing(doing)?;
    for inherited in [c"system.posix_acl_default", c"system.posix_acl_access"] {
        // Most folders have none, and many file systems know none.
        let _: rustix::io::Result<()> = fremovexattr(&made, inherited);
    }
    rustix::fs::fchmod(&made, Mode::RWXU).map_err(io::Error::from).doing(doing)?;
    Ok(made)
}

fn remove_at(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match rustix::fs::open(parent, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        other => other.map_err(io::Error::from).doing(|| format!("opening {}", parent.display()))?,
    };
    let name = RawPath::new(name).to_c();
    remove_tree(&Arc::new(parent), &name).doing(|| format!("removing {}", path.display()))
}

/// Folders above the files that do not exist, topmost first.
fn missing_folders(base: &Path, paths: &BTreeSet<Vec<u8>>) -> Vec<RawPath> {
    folders_of(paths).into_iter().map(RawPath).filter(|folder| !base.join(folder.as_path()).exists()).collect()
}

/// Makes the folders above the files, so that each has a place to be moved to.
fn make_folders(root: &OwnedFd, paths: &BTreeSet<Vec<u8>>) -> Result<()> {
    for folder in folders_of(paths) {
        match mkdirat(root, RawPath(folder).to_c(), Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::io("making a folder beside the configuration", error.into())),
        }
    }
    Ok(())
}

fn folders_of(paths: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let above = |path: &Vec<u8>| {
        let path = path.clone();
        let ends: Vec<_> = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at).collect();
        ends.into_iter().map(move |end| path[..end].to_vec())
    };
    paths.iter().flat_map(above).collect()
}
