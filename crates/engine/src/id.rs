//! Ids of backups, restores and jobs: 12 hexadecimal digits, random, given out when the work starts.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    /// A new random id.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes)
            .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
        Ok(Self(hex::encode(bytes)))
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("{text:?} is not an id: ids are 12 hexadecimal digits, or `latest`"),
                "`strongroom list` shows the ids.",
            ))
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Id {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}
