//! The bytes of an opened archive, decrypted and authenticated, for as many passes as are wanted.

use crate::compress::{CompressionFormat, DecompressionReader, ExpansionLimit, SharedObject};
use crate::error::Result;
use crate::store::ObjectReader;
use std::sync::{Arc, Mutex, PoisonError};

/// An opened archive.
pub(crate) struct Source {
    object: SharedObject,
    format: CompressionFormat,
    threads: usize,
    limit: ExpansionLimit,
}

impl Source {
    pub(crate) fn new(
        object: Box<dyn ObjectReader>,
        format: CompressionFormat,
        threads: usize,
        limit: ExpansionLimit,
    ) -> Self {
        Self { object: Arc::new(Mutex::new(object)), format, threads, limit }
    }

    /// The content from its start.
    pub(crate) fn read(&self) -> Result<DecompressionReader> {
        self.read_from(0)
    }

    /// The content from where the writer marked the manifest, if it did.
    pub(crate) fn read_marked(&self) -> Result<Option<DecompressionReader>> {
        let mark = {
            let mut object = self.object.lock().unwrap_or_else(PoisonError::into_inner);
            DecompressionReader::marked(&mut **object, self.format)?
        };
        mark.map(|offset| self.read_from(offset)).transpose()
    }

    fn read_from(&self, offset: u64) -> Result<DecompressionReader> {
        DecompressionReader::from_offset(Arc::clone(&self.object), offset, self.format, self.threads, self.limit)
    }
}
