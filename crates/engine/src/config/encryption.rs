//! Whether and with what backups are encrypted.

use crate::{Error, ErrorKind, Result};
use vault::Key;

/// What the configuration says about encryption. Reading backups never needs more than the keys that are there; writing
/// one asks [`key_for_writing`](EncryptionPolicy::key_for_writing).
#[derive(Debug, Clone)]
pub enum EncryptionPolicy {
    /// Encrypt with `key`.
    Key {
        /// For new backups.
        key: Key,
        /// Open older ones.
        previous: Vec<Key>,
    },
    /// `encryption = "none"`, said explicitly. The keys still open older backups.
    None {
        /// Any keys that are configured nevertheless.
        previous: Vec<Key>,
    },
    /// No key, but `NODE_ENV=development`: write plainly, with a warning.
    DevelopmentPlain {
        /// To be shown with every backup.
        warning: String,
        /// Open older backups.
        previous: Vec<Key>,
    },
    /// No key and no permission to go without: writing is refused.
    Missing {
        /// Open older backups.
        previous: Vec<Key>,
    },
}

impl EncryptionPolicy {
    /// The key for a new backup; `None` to write it plainly; an error where neither is allowed.
    pub fn key_for_writing(&self) -> Result<Option<&Key>> {
        match self {
            Self::Key { key, .. } => Ok(Some(key)),
            Self::None { .. } | Self::DevelopmentPlain { .. } => Ok(None),
            Self::Missing { .. } => Err(Error::new(
                ErrorKind::NoKey,
                "no backup was made: BACKUP_ENCRYPTION_KEY is not set, and a backup is not written unencrypted unasked",
                "Make a key with `strongroom key generate` and put it into `.env`, or say `encryption = \"none\"` in \
                 strongroom.toml (BACKUP_ENCRYPTION=none) when backups may lie there readable.",
            )),
        }
    }

    /// Every key that may open a backup, the current one first.
    pub fn keys(&self) -> Vec<&Key> {
        let (key, previous) = match self {
            Self::Key { key, previous } => (Some(key), previous),
            Self::None { previous } | Self::DevelopmentPlain { previous, .. } | Self::Missing { previous } => {
                (None, previous)
            }
        };
        key.into_iter().chain(previous).collect()
    }

    /// The key with this fingerprint, if it is configured.
    pub fn key_with_fingerprint(&self, fingerprint: &str) -> Option<&Key> {
        self.keys().into_iter().find(|key| key.fingerprint() == fingerprint)
    }

    /// Fingerprint of the key for new backups; `None` when they are written plainly or not at all.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Self::Key { key, .. } => Some(key.fingerprint()),
            _ => None,
        }
    }

    /// Fingerprints of the keys that only open older backups.
    pub fn previous_fingerprints(&self) -> Vec<String> {
        let current = self.fingerprint();
        let all = self.keys().into_iter().map(Key::fingerprint);
        all.filter(|fingerprint| Some(fingerprint) != current.as_ref()).collect()
    }

    /// What a person should be told with every backup.
    pub fn warning(&self) -> Option<&str> {
        match self {
            Self::DevelopmentPlain { warning, .. } => Some(warning),
            _ => None,
        }
    }
}
