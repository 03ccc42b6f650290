//! Lock files: who works on the repository, since when, and whether alone.

use super::{malformed, time};
use crate::entry::Timestamp;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// No lock file is larger.
pub const SIZE_BYTES_MAX: u64 = 1 << 16;

/// The content of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// When it was made or last refreshed.
    pub time: Timestamp,
    /// Nobody else may hold any lock.
    pub exclusive: bool,
    /// The holder's host.
    pub hostname: String,
    /// The holder's user.
    pub username: String,
    /// The holder's process.
    pub pid: u32,
}

#[derive(Serialize, Deserialize)]
struct LockDocument {
    time: String,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i64,
}

impl LockFile {
    /// As JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let document = LockDocument {
            time: time::format(self.time),
            exclusive: self.exclusive,
            hostname: self.hostname.clone(),
            username: self.username.clone(),
            pid: i64::from(self.pid),
        };
        serde_json::to_vec(&document).map_err(|cause| Error::internal(cause.to_string()))
    }

    /// From JSON.
    pub fn decode(json: &[u8]) -> Result<Self> {
        let document: LockDocument = serde_json::from_slice(json).map_err(|cause| malformed("a lock file", cause))?;
        let time = time::parse(&document.time)
            .ok_or_else(|| malformed("a lock file", format!("{:?} is no time", document.time)))?;
        Ok(Self {
            time,
            exclusive: document.exclusive,
            hostname: document.hostname,
            username: document.username,
            pid: u32::try_from(document.pid).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restics_documented_example_is_read() {
        let json = br#"{"time":"2015-06-27T12:18:51.759239612+02:00","exclusive":false,"hostname":"kasimir","username":"fd0","pid":13607,"uid":1000,"gid":100}"#;
        let lock = LockFile::decode(json).unwrap();
        assert_eq!((lock.pid, lock.exclusive, lock.time.seconds), (13607, false, 1_435_400_331));
        assert_eq!(LockFile::decode(&lock.encode().unwrap()).unwrap(), lock);
    }
}
