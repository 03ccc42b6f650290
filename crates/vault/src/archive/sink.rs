//! Where an archive's bytes go: compressed, sealed where there is a key, into an object, and hashed at the end.

use super::{hash, hash_stored};
use crate::compress::{Compression, CompressionWriter};
use crate::envelope::EnvelopeWriter;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{ObjectInfo, ObjectWriter, Store};
use crate::transfer::{Committed, Structure};
use std::fs::File;
use std::io::{self, Write};

/// The way from content to a committed object.
pub(crate) struct ArchiveSink<'a> {
    store: &'a dyn Store,
    name: String,
    writer: CompressionWriter<Sealing>,
}

enum Sealing {
    Sealed(Box<EnvelopeWriter>),
    Plain(Box<dyn ObjectWriter>),
}

impl<'a> ArchiveSink<'a> {
    pub(crate) fn create(
        store: &'a dyn Store,
        name: &str,
        compression: Compression,
        key: Option<&Key>,
        threads: usize,
    ) -> Result<Self> {
        let object = store.create(name)?;
        let sealing = match key {
            Some(key) => Sealing::Sealed(Box::new(EnvelopeWriter::create(object, key)?)),
            None => Sealing::Plain(object),
        };
        let writer = CompressionWriter::new(sealing, compression, threads)?;
        Ok(Self { store, name: name.to_owned(), writer })
    }

    /// How what follows is put together.
    pub(crate) fn structure(&mut self, structure: Structure) -> Result<()> {
        self.writer.structure(structure)
    }

    /// The manifest begins here.
    pub(crate) fn mark(&mut self) -> Result<()> {
        self.writer.mark()
    }

    /// What follows is compressed and kept back in `spool` until its head is known.
    pub(crate) fn hold(&mut self, spool: File) -> Result<()> {
        self.writer.hold(spool)
    }

    /// Writes `head` and what was held back.
    pub(crate) fn release(&mut self, head: &[u8]) -> Result<()> {
        self.writer.release(head)
    }

    /// Forgets what was held back.
    pub(crate) fn discard(&mut self) -> Result<()> {
        self.writer.discard()
    }

    pub(crate) fn finish(self) -> Result<Committed> {
        let object = match self.writer.finish()? {
            Sealing::Sealed(envelope) => envelope.seal()?,
            Sealing::Plain(object) => object,
        };
        let (info, sha256) = finish_and_hash(object, self.store, &self.name)?;
        let ObjectInfo { name, size_bytes, .. } = info;
        Ok(Committed { location: name, stored_bytes: size_bytes, sha256: Some(sha256) })
    }
}

/// Makes the object visible and hashes what the store has of it: meanwhile where the store lets it be read, else after.
fn finish_and_hash(object: Box<dyn ObjectWriter>, store: &dyn Store, name: &str) -> Result<(ObjectInfo, [u8; 32])> {
    let Some(mut stored) = object.read_back()? else {
        let info = object.finish()?;
        return Ok((info, hash_stored(store, name)?));
    };
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(&mut *stored).map_err(|error| error.within(name)));
        let info = object.finish()?;
        let sha256 = hashing.join().unwrap_or_else(|_| Err(Error::internal("hashing the archive ended abruptly")))?;
        Ok((info, sha256))
    })
}

impl Write for ArchiveSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Sealed(envelope) => envelope.write(bytes),
            Self::Plain(object) => object.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Sealed(envelope) => envelope.flush(),
            Self::Plain(object) => object.flush(),
        }
    }
}
