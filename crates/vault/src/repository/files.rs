//! The repository's files in their store: sealed, named by their hash, checked against both on reading.

use super::crypto::MasterKey;
use super::format::{FileKind, malformed, unpacked};
use super::id::Id;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{ObjectInfo, Store};
use std::collections::HashSet;
use std::sync::Arc;

/// A store, the key to it and whether documents are compressed.
#[derive(Clone)]
pub struct Files {
    /// Where they lie.
    pub store: Arc<dyn Store>,
    /// What they are sealed with.
    pub key: MasterKey,
    /// Repository version 2.
    pub compress: bool,
}

impl Files {
    /// The ids and objects of all files of a kind. Files with other names than an id are not ours and are passed over.
    pub fn list(&self, kind: FileKind) -> Result<Vec<(Id, ObjectInfo)>> {
        list(self.store.as_ref(), kind)
    }

    /// The JSON of an index, lock or snapshot file.
    pub fn load(&self, kind: FileKind, id: Id, size_bytes_max: u64) -> Result<Vec<u8>> {
        self.load_sized(kind, id, size_bytes_max).map(|(json, _)| json)
    }

    /// The same, with the file's size.
    pub fn load_sized(&self, kind: FileKind, id: Id, size_bytes_max: u64) -> Result<(Vec<u8>, u64)> {
        let sealed = self.fetch(kind, id, size_bytes_max)?;
        let size_bytes = sealed.len() as u64;
        Ok((self.unseal(kind, id, sealed)?, size_bytes))
    }

    /// A file as it is stored, for [`unseal`](Self::unseal).
    pub fn fetch(&self, kind: FileKind, id: Id, size_bytes_max: u64) -> Result<Vec<u8>> {
        self.store.read_all(&kind.object_name(id), size_bytes_max)
    }

    /// The JSON in a file that was fetched.
    pub fn unseal(&self, kind: FileKind, id: Id, mut sealed: Vec<u8>) -> Result<Vec<u8>> {
        let name = kind.object_name(id);
        if Id::of(&sealed) != id {
            return Err(damaged_file(&name, "its content does not match its name"));
        }
        let plain = self.key.open(&mut sealed).ok_or_else(|| damaged_file(&name, "it was not sealed with this key"))?;
        unpacked::decode(plain, &name)
    }

    /// Seals and writes a document; returns its name and size.
    pub fn save(&self, kind: FileKind, json: &[u8]) -> Result<(Id, u64)> {
        let sealed = self.key.seal(&unpacked::encode(json, self.compress)?)?;
        let id = Id::of(&sealed);
        self.store.put(&kind.object_name(id), &sealed)?;
        Ok((id, sealed.len() as u64))
    }

    /// Makes sure that files that were written are there, before anything is built on them or removed in their favour: a store
    /// that acknowledges and forgets is noticed here. What a listing does not show (yet) is asked for.
    pub fn confirm(&self, kind: FileKind, ids: &[Id]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let listed: HashSet<Id> = self.list(kind)?.into_iter().map(|(id, _)| id).collect();
        for id in ids.iter().filter(|id| !listed.contains(id)) {
            let name = kind.object_name(*id);
            if self.store.stat(&name)?.is_none() {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("{} acknowledged {name}, but it is not there", self.store.describe()),
                    "Nothing was removed and no backup was recorded. Check the storage: it loses what it says it has kept.",
                ));
            }
        }
        Ok(())
    }

    /// Removes a file; one that is gone is no error.
    pub fn remove(&self, kind: FileKind, id: Id) -> Result<()> {
        self.store.remove(&kind.object_name(id))
    }
}

/// The ids and objects of all files of a kind, for who has no key yet.
pub fn list(store: &dyn Store, kind: FileKind) -> Result<Vec<(Id, ObjectInfo)>> {
    let ids = |info: ObjectInfo| {
        let id = Id::parse(info.name.rsplit('/').next()?).ok()?;
        (info.name == kind.object_name(id)).then_some((id, info))
    };
    let mut files: Vec<_> = store.list(kind.folder())?.into_iter().filter_map(ids).collect();
    files.sort_unstable_by_key(|(id, _)| *id);
    Ok(files)
}

/// An error for a file that is not what was written.
pub fn damaged_file(name: &str, why: &str) -> Error {
    let error = malformed(name, why);
    Error::new(ErrorKind::Damaged, format!("{name} is damaged: {why}"), error.hint())
}
