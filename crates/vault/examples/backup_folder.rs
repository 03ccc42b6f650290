//! Backs up a folder's files into a new repository and restores them elsewhere: `backup_folder FOLDER REPOSITORY TARGET`.
//!
//! The repository opens with restic too: its password is the key that is printed. For all that file systems know (links,
//! owners, times, changes since yesterday) see `repository.rs` beside this.

use std::{env, error::Error, fs, io, path::Path, sync::Arc, time::UNIX_EPOCH};
use vault::repository::{Environment, Id, Options, Repository, WriterOptions};
use vault::{
    Entry, EntryKind, EntryPath, EntryReader, EntryWriter, Key, Selection, Silent, Timestamp, store::LocalStore,
};

fn main() -> Result<(), Box<dyn Error>> {
    let [folder, place, target] = env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "three folders")?;
    let (snapshot, key) = back_up_and_restore(&folder, &place, &target)?;
    io::Write::write_all(&mut io::stdout(), format!("{snapshot} {}\n", *key.expose_hex()).as_bytes())?;
    Ok(())
}

/// A test runs this too.
pub fn back_up_and_restore(folder: &str, place: &str, target: &str) -> Result<(Id, Key), Box<dyn Error>> {
    let seconds = UNIX_EPOCH.elapsed()?.as_secs().cast_signed();
    let now = Timestamp { seconds, nanoseconds: 0 };
    let key = Key::generate()?;
    let environment = Environment::new("my-host", "me", move || now);
    let repository =
        Repository::init(Arc::new(LocalStore::create_root(place)?), &key, environment, Options::default())?;

    let mut writer = repository.writer(WriterOptions::default(), Arc::new(Silent))?;
    for file in fs::read_dir(folder)? {
        let (path, name) = (file.as_ref().map(fs::DirEntry::path), file.as_ref().map(fs::DirEntry::file_name));
        let (Ok(path), Ok(name)) = (path, name) else { continue };
        if path.is_file() {
            let entry = Entry::generated(EntryPath::new(name.into_encoded_bytes())?.below("files"), None, now);
            writer.write(&entry, Some(&mut fs::File::open(&path)?))?;
        }
    }
    let snapshot = Id::parse(&Box::new(writer).commit(b"{}")?.location)?;

    repository.reader(snapshot)?.visit(&Selection::all(), &mut |entry: &Entry, content: &mut dyn io::Read| {
        let path = Path::new(target).join(entry.path.to_os_path());
        let result = match entry.kind {
            EntryKind::Directory => fs::create_dir_all(&path),
            _ => fs::File::create(&path).and_then(|mut file| io::copy(content, &mut file).map(|_| ())),
        };
        result.map_err(|cause| vault::Error::io(format!("restoring {}", path.display()), cause))
    })?;
    Ok((snapshot, key))
}
