//! Where an archive's bytes go: compressed, sealed where there is a key, into an object, and hashed at the end.

use super::hash_stored;
use crate::compress::{Compression, CompressionWriter};
use crate::envelope::EnvelopeWriter;
use crate::error::Result;
use crate::key::Key;
use crate::store::{ObjectInfo, ObjectWriter, Store};
use crate::transfer::Committed;
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

    /// The manifest begins here.
    pub(crate) fn mark(&mut self) -> Result<()> {
        self.writer.mark()
    }

    pub(crate) fn finish(self) -> Result<Committed> {
        let info = match self.writer.finish()? {
            Sealing::Sealed(envelope) => envelope.finish()?,
            Sealing::Plain(object) => object.finish()?,
        };
        let ObjectInfo { name, size_bytes, .. } = info;
        let sha256 = Some(hash_stored(self.store, &self.name)?);
        Ok(Committed { location: name, stored_bytes: size_bytes, sha256 })
    }
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
