//! The key files: several passwords may open one repository.

use super::Environment;
use super::crypto::MasterKey;
use super::files::{Files, list};
use super::format::FileKind;
use super::format::key_file::{KeyFile, Maker, SIZE_BYTES_MAX};
use super::id::Id;
use super::open::no_repository;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::store::Store;

/// restic stops after as many; so an attacker who may write cannot keep us busy with scrypt for ever.
const KEY_FILES_MAX: usize = 20;

/// Finds the key file that one of the passwords opens, and says which password it was.
pub fn open(store: &dyn Store, passwords: &[&[u8]]) -> Result<(MasterKey, usize)> {
    let files = list(store, FileKind::Key)?;
    if files.is_empty() {
        return Err(no_repository(store));
    }
    let mut last = None;
    for (id, _) in files.into_iter().take(KEY_FILES_MAX) {
        for (number, password) in passwords.iter().enumerate() {
            match open_one(store, id, password) {
                Ok(Some(key)) => return Ok((key, number)),
                Ok(None) => {}
                // Another key file may be fine.
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::new(
            ErrorKind::WrongKey,
            format!("no key given here opens the repository in {}", store.describe()),
            "Name the key it was made with, as BACKUP_ENCRYPTION_KEY or among the previous keys.",
        )
    }))
}

fn open_one(store: &dyn Store, id: Id, password: &[u8]) -> Result<Option<MasterKey>> {
    let name = FileKind::Key.object_name(id);
    let json = store.read_all(&name, SIZE_BYTES_MAX)?;
    KeyFile::decode(&json).and_then(|file| file.open(password)).map_err(|error| error.within(name))
}

/// Adds a key file.
pub fn add(files: &Files, environment: &Environment, password: &[u8]) -> Result<Id> {
    let maker = Maker { hostname: &environment.hostname, username: &environment.username, time: (environment.now)() };
    let json = KeyFile::seal(&files.key, password, &maker)?;
    let id = Id::of(&json);
    files.store.put(&FileKind::Key.object_name(id), &json)?;
    Ok(id)
}

/// Adds a key file for `key`, unless there is one. Whether it was added.
pub fn ensure(files: &Files, environment: &Environment, key: &Key) -> Result<bool> {
    let password = key.expose_hex();
    match open(files.store.as_ref(), &[password.as_bytes()]) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::WrongKey => add(files, environment, password.as_bytes()).map(|_| true),
        Err(error) => Err(error),
    }
}

/// Removes every key file that `key` opens, if one of `remaining` opens another.
pub fn remove(files: &Files, key: &Key, remaining: &[Key]) -> Result<()> {
    let store = files.store.as_ref();
    let (mut doomed, mut opens) = (Vec::new(), false);
    for (id, _) in list(store, FileKind::Key)? {
        let fits = |key: &Key| open_one(store, id, key.expose_hex().as_bytes()).map(|found| found.is_some());
        if fits(key)? {
            doomed.push(id);
        } else {
            for other in remaining {
                opens = opens || fits(other)?;
            }
        }
    }
    if !opens {
        return Err(Error::new(
            ErrorKind::Refused,
            "the key was not removed: no other key given here opens the repository",
            "Add the new key first.",
        ));
    }
    for id in doomed {
        files.remove(FileKind::Key, id)?;
    }
    Ok(())
}
