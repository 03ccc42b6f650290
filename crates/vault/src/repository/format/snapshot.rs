//! Snapshot files: a tree, and when, where and of what it was taken.

use super::{malformed, time};
use crate::entry::Timestamp;
use crate::error::{Error, Result};
use crate::repository::id::Id;
use serde::{Deserialize, Serialize};

/// No snapshot file is larger.
pub const SIZE_BYTES_MAX: u64 = 16 << 20;

/// The content of a snapshot file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotFile {
    /// When it was taken.
    pub time: Timestamp,
    /// The snapshot that unchanged files were recognised by.
    pub parent: Option<Id>,
    /// The root folder's tree.
    pub tree: Id,
    /// What it is of, for people.
    pub paths: Vec<String>,
    /// Where it was taken.
    pub hostname: String,
    /// By whom.
    pub username: String,
    /// Free labels.
    pub tags: Vec<String>,
    /// With what.
    pub program_version: String,
    /// What the run did, where it was written down.
    pub summary: Option<Summary>,
}

/// What a run did, as restic has written it down since its version 0.17.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// RFC 3339.
    pub backup_start: String,
    /// RFC 3339.
    pub backup_end: String,
    /// Files that the parent does not have.
    pub files_new: u64,
    /// Files that were read although the parent has them.
    pub files_changed: u64,
    /// Files that were not read.
    pub files_unmodified: u64,
    /// Folders that the parent does not have.
    pub dirs_new: u64,
    /// Folders that are another tree than in the parent.
    pub dirs_changed: u64,
    /// Folders that are the same tree.
    pub dirs_unmodified: u64,
    /// Blobs of content that were added.
    pub data_blobs: u64,
    /// Trees that were added.
    pub tree_blobs: u64,
    /// Bytes of the added blobs before compression.
    pub data_added: u64,
    /// Bytes that were added to the store.
    pub data_added_packed: u64,
    /// Files in the snapshot.
    pub total_files_processed: u64,
    /// Their bytes.
    pub total_bytes_processed: u64,
}

#[derive(Serialize, Deserialize)]
struct SnapshotDocument {
    time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Id>,
    tree: Id,
    #[serde(default)]
    paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hostname: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    program_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

impl SnapshotFile {
    /// As JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let document = SnapshotDocument {
            time: time::format(self.time),
            parent: self.parent,
            tree: self.tree,
            paths: Some(self.paths.clone()),
            hostname: self.hostname.clone(),
            username: self.username.clone(),
            tags: (!self.tags.is_empty()).then(|| self.tags.clone()),
            program_version: self.program_version.clone(),
            summary: self.summary.clone(),
        };
        serde_json::to_vec(&document).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// From JSON.
    pub fn decode(json: &[u8]) -> Result<Self> {
        let document: SnapshotDocument =
            serde_json::from_slice(json).map_err(|cause| malformed("a snapshot file", cause))?;
        let time = time::parse(&document.time)
            .ok_or_else(|| malformed("a snapshot file", format!("{:?} is no time", document.time)))?;
        Ok(Self {
            time,
            parent: document.parent,
            tree: document.tree,
            paths: document.paths.unwrap_or_default(),
            hostname: document.hostname,
            username: document.username,
            tags: document.tags.unwrap_or_default(),
            program_version: document.program_version,
            summary: document.summary,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restics_documented_example_is_read() {
        let json = br#"{"time":"2015-01-02T18:10:50.895208559+01:00","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":["/tmp/testdata"],"hostname":"kasimir","username":"fd0","uid":1000,"gid":100,"tags":["NL"],"original":"251c2e5841355f743f9d4ffd3260bee765acee40a6229857e32b60446991b837"}"#;
        let snapshot = SnapshotFile::decode(json).unwrap();
        assert_eq!(snapshot.tags, ["NL"]);
        assert_eq!(SnapshotFile::decode(&snapshot.encode().unwrap()).unwrap(), snapshot);
        let null = br#"{"time":"2015-01-02T18:10:50Z","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":null,"tags":null}"#;
        assert_eq!(SnapshotFile::decode(null).unwrap().paths, Vec::<String>::new());
    }
}
