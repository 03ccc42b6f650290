//! A path in a JSON file: text where it is UTF-8, hexadecimal digits where it is not.

use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Raw bytes of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct RawPath(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Hex { hex: String },
}

impl TryFrom<Written> for RawPath {
    type Error = hex::FromHexError;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Hex { hex } => hex::decode(hex).map(Self),
        }
    }
}

impl From<RawPath> for Written {
    fn from(path: RawPath) -> Self {
        match String::from_utf8(path.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Hex { hex: hex::encode(error.as_bytes()) },
        }
    }
}

impl RawPath {
    /// From a path of the operating system.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self(path.as_ref().as_bytes().to_vec())
    }

    /// This path with another below it; an empty one is the folder itself.
    pub fn join(&self, below: &[u8]) -> Self {
        if self.0.is_empty() {
            return Self(below.to_vec());
        }
        Self([self.0.as_slice(), b"/", below].concat())
    }

    /// For a system call. No path of a file system holds NUL; one that does leads nowhere.
    pub fn to_c(&self) -> CString {
        let path = if self.0.is_empty() { b".".to_vec() } else { self.0.clone() };
        CString::new(path).unwrap_or_default()
    }

    /// The folder that holds it; empty for a single name.
    pub fn parent(&self) -> Self {
        Self(self.0.iter().rposition(|&b| b == b'/').map_or_else(Vec::new, |at| self.0[..at].to_vec()))
    }

    /// As a path of the operating system.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}
