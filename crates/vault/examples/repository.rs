//! A small tool on the repository engine: what `strongroom` does with a plan around it, here by hand and for measuring.
//!
//! `repository init|backup|restore|list|check|prune|forget|keep REPOSITORY [FOLDER|FILE|SNAPSHOT…|COUNT]`, the key in `REPOSITORY_KEY`.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vault::repository::{
    CheckDepth, Environment, Id, Options, PruneOptions, Repository, RepositoryWriter, Secret, WriterOptions,
};
use vault::store::LocalStore;
use vault::{
    Entry, EntryKind, EntryPath, EntryReader, EntryWriter, Hinted, Key, Metadata, Outcome, Selection, Silent,
    Structure, Timestamp,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, place, rest @ ..] = arguments.as_slice() else {
        return Err("repository COMMAND REPOSITORY [ARGUMENT…]".into());
    };
    let key = Key::from_hex(&std::env::var("REPOSITORY_KEY")?, "REPOSITORY_KEY")?;
    let store = Arc::new(LocalStore::create_root(place)?);
    let environment = Environment::new("example", "example", now);
    if command == "init" {
        Repository::init(store, &key, environment, Options::default())?;
        return Ok(());
    }
    let repository = Repository::open(store, Secret::Keys(&[key]), environment, Options::default())?;
    let mut out = std::io::stdout().lock();
    match (command.as_str(), rest) {
        ("backup", [folder]) => writeln!(out, "{}", backup(&repository, Path::new(folder))?)?,
        ("restore", [snapshot, folder]) => restore(&repository, Id::parse(snapshot)?, Path::new(folder))?,
        ("list", []) => {
            for snapshot in repository.snapshots()? {
                writeln!(out, "{} {} {:?}", snapshot.id, snapshot.time.seconds, snapshot.paths)?;
            }
        }
        ("forget", ids) => {
            repository.forget(&ids.iter().map(|id| Id::parse(id)).collect::<vault::Result<Vec<_>>>()?)?;
        }
        ("check", []) => {
            let report = repository.check(CheckDepth::Everything, &Silent)?;
            for finding in &report.findings {
                writeln!(out, "{}", finding.to_line())?;
            }
            writeln!(out, "{} blobs in {} packs, sound: {}", report.blobs, report.packs, report.is_sound())?;
        }
        ("prune", []) => prune(&repository, &mut out)?,
        ("keep", [count]) => {
            let snapshots = repository.snapshots()?;
            let old = snapshots.iter().rev().skip(count.parse()?).map(|snapshot| snapshot.id).collect::<Vec<_>>();
            repository.forget(&old)?;
            prune(&repository, &mut out)?;
        }
        _ => return Err(format!("{command} is unknown or has other arguments").into()),
    }
    Ok(())
}

fn prune(repository: &Repository, out: &mut impl Write) -> Result<()> {
    let plan = repository.prune_plan(&PruneOptions { wait: Duration::ZERO, ..PruneOptions::default() })?;
    Ok(writeln!(out, "{:?}", repository.prune(&plan, &Silent)?)?)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() }
}

fn backup(repository: &Repository, folder: &Path) -> Result<String> {
    let parent = repository.snapshots()?.last().map(|snapshot| snapshot.id);
    let mut writer = repository.writer(WriterOptions { parent, ..WriterOptions::default() }, Arc::new(Silent))?;
    let name = folder.file_name().ok_or("the folder has no name")?.as_bytes();
    walk(&mut writer, folder, name.to_vec())?;
    let committed = Box::new(writer).commit(b"{}")?;
    Ok(format!("{} {}", committed.location, committed.stored_bytes))
}

fn walk(writer: &mut RepositoryWriter, file: &Path, path: Vec<u8>) -> Result<()> {
    let about = file.symlink_metadata()?;
    let kind = if about.is_dir() {
        EntryKind::Directory
    } else if about.is_symlink() {
        EntryKind::Symlink { target: std::fs::read_link(file)?.as_os_str().as_bytes().to_vec() }
    } else {
        EntryKind::File { size_bytes: Some(about.len()) }
    };
    let metadata = Metadata {
        mode: about.mode() & 0o7777,
        uid: about.uid(),
        gid: about.gid(),
        modified: Timestamp { seconds: about.mtime(), nanoseconds: about.mtime_nsec() as u32 },
        changed: Timestamp { seconds: about.ctime(), nanoseconds: about.ctime_nsec() as u32 },
        device: about.dev(),
        inode: about.ino(),
        links: about.nlink(),
        ..Metadata::default()
    };
    let entry = Entry { path: EntryPath::new(path.clone())?, kind, metadata };
    let mut content = Lazy(file);
    let is_database = file.extension() == Some(OsStr::new("db"));
    let structure = if is_database { Structure::Pages { page_size_bytes: 4096 } } else { Structure::Unknown };
    let mut hinted = Hinted { content: &mut content, structure };
    if let Outcome::Unreadable(error) = writer.write(&entry, Some(&mut hinted))? {
        return Err(error.into());
    }
    if about.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(file)?.collect::<std::io::Result<Vec<_>>>()?;
        names.sort_unstable_by_key(std::fs::DirEntry::file_name);
        for name in names {
            let below = [&path, &b"/"[..], name.file_name().as_bytes()].concat();
            walk(writer, &name.path(), below)?;
        }
    }
    Ok(())
}

/// Opens a file only when the writer wants it.
struct Lazy<'a>(&'a Path);

impl vault::Content for Lazy<'_> {
    fn open(&mut self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(std::fs::File::open(self.0)?))
    }
}

fn restore(repository: &Repository, snapshot: Id, folder: &Path) -> Result<()> {
    let mut reader = repository.reader(snapshot)?;
    let mut folders = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let mut put = |entry: &Entry, content: &mut dyn Read| {
        let path = folder.join(entry.path.to_os_path());
        let fail = |cause| vault::Error::io(format!("restoring {}", path.display()), cause);
        match &entry.kind {
            EntryKind::Directory => {
                std::fs::create_dir_all(&path).map_err(fail)?;
                folders.push((path, entry.metadata.mode));
            }
            EntryKind::File { .. } => {
                let mut file = std::fs::File::create(&path).map_err(fail)?;
                loop {
                    let read = content.read(&mut buffer).map_err(|cause| vault::error::from_io("reading", cause))?;
                    if read == 0 {
                        break;
                    }
                    file.write_all(&buffer[..read]).map_err(fail)?;
                }
                file.set_permissions(std::fs::Permissions::from_mode(entry.metadata.mode)).map_err(fail)?;
                let modified = UNIX_EPOCH
                    + Duration::new(
                        entry.metadata.modified.seconds.cast_unsigned(),
                        entry.metadata.modified.nanoseconds,
                    );
                file.set_modified(modified).map_err(fail)?;
            }
            EntryKind::Symlink { target } => {
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).map_err(fail)?;
            }
            EntryKind::HardLink { target } => {
                std::fs::hard_link(folder.join(target.to_os_path()), &path).map_err(fail)?;
            }
            EntryKind::Fifo | EntryKind::Device { .. } => {}
        }
        Ok(())
    };
    reader.visit(&Selection::all(), &mut put)?;
    for (path, mode) in folders.into_iter().rev() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
