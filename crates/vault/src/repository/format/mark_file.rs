//! Our own note of packs that nothing uses and that may be removed after a while. restic neither knows nor needs it.

use super::{malformed, time};
use crate::entry::Timestamp;
use crate::error::{Error, Result};
use crate::repository::id::Id;
use serde::{Deserialize, Serialize};

/// No mark file is larger.
pub const SIZE_BYTES_MAX: u64 = 64 << 20;

/// The content of a mark file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkFile {
    /// Since when.
    pub time: Timestamp,
    /// The packs.
    pub packs: Vec<Id>,
}

#[derive(Serialize, Deserialize)]
struct MarkDocument {
    time: String,
    packs: Vec<Id>,
}

impl MarkFile {
    /// As JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let document = MarkDocument { time: time::format(self.time), packs: self.packs.clone() };
        serde_json::to_vec(&document).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// From JSON.
    pub fn decode(json: &[u8]) -> Result<Self> {
        let document: MarkDocument = serde_json::from_slice(json).map_err(|cause| malformed("a mark file", cause))?;
        let time = time::parse(&document.time)
            .ok_or_else(|| malformed("a mark file", format!("{:?} is no time", document.time)))?;
        Ok(Self { time, packs: document.packs })
    }
}
