//! What backups are called in their store.
//!
//! `json` archives carry the ERP's name and lie in the backup folder itself: `backup-2025-01-01T02-00-00-000Z-a1b2c3d4e5f6.enc`.
//! `tar` archives lie in their tier's folder: `daily/backup-<time>-<id>.tar.gz.enc`. A sidecar stands beside each.

use crate::id::Id;
use crate::manifest::{Format, Tier};
use jiff::Timestamp;

/// Ends the name of the sidecar.
pub const SIDECAR_SUFFIX: &str = ".manifest.json";

/// Compression as it shows in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
    /// Nothing.
    Plain,
}

/// An archive's name, relative to the backup folder. The time is the start of the run, in UTC.
pub fn archive_name(
    format: Format,
    tier: Tier,
    started_at: Timestamp,
    id: &Id,
    suffix: Suffix,
    encrypted: bool,
) -> String {
    let time = started_at.strftime("%Y-%m-%dT%H-%M-%S");
    let milliseconds = started_at.subsec_millisecond().rem_euclid(1000);
    let stem = format!("backup-{time}-{milliseconds:03}Z-{id}");
    let compressed = match suffix {
        Suffix::Gzip => ".gz",
        Suffix::Zstd => ".zst",
        Suffix::Plain => "",
    };
    match (format, encrypted) {
        (Format::Json, true) => format!("{stem}.enc"),
        (Format::Json, false) => format!("{stem}.json{compressed}"),
        (_, true) => format!("{}/{stem}.tar{compressed}.enc", tier.name()),
        (_, false) => format!("{}/{stem}.tar{compressed}", tier.name()),
    }
}

/// The sidecar of an archive.
pub fn sidecar_name(archive: &str) -> String {
    format!("{archive}{SIDECAR_SUFFIX}")
}

/// The id in an archive's name, where it is a name of ours.
pub fn id_in_name(name: &str) -> Option<Id> {
    let file = name.rsplit('/').next()?.strip_prefix("backup-")?;
    let (time, rest) = (file.get(..24)?, file.get(24..)?);
    let (id, suffix) = (rest.strip_prefix('-')?.get(..12)?, rest.get(13..)?);
    let known = [
        ".enc",
        ".json",
        ".json.gz",
        ".json.zst",
        ".tar",
        ".tar.gz",
        ".tar.zst",
        ".tar.enc",
        ".tar.gz.enc",
        ".tar.zst.enc",
    ];
    (time.ends_with('Z') && known.contains(&suffix)).then(|| Id::parse(id).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documents() {
        let id = Id::parse("a1b2c3d4e5f6").unwrap();
        let time: Timestamp = "2025-01-01T02:00:00.007Z".parse().unwrap();
        let name = |format, suffix, encrypted| archive_name(format, Tier::PreRestore, time, &id, suffix, encrypted);
        assert_eq!(name(Format::Json, Suffix::Gzip, true), "backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.enc");
        assert_eq!(
            name(Format::Tar, Suffix::Gzip, true),
            "pre-restore/backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.tar.gz.enc"
        );
        assert_eq!(
            name(Format::Tar, Suffix::Zstd, false),
            "pre-restore/backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.tar.zst"
        );
    }

    #[test]
    fn the_id_is_found_in_our_names_only() {
        let id = |name| id_in_name(name).map(|id| id.to_string());
        assert_eq!(
            id("daily/backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.tar.gz.enc").as_deref(),
            Some("a1b2c3d4e5f6")
        );
        assert_eq!(id("backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.enc").as_deref(), Some("a1b2c3d4e5f6"));
        for other in [
            "backup-1.zip",
            "backup-2025-01-01T02-00-00-007Z-a1b2c3d4e5f6.enc.manifest.json",
            "notes.txt",
            "backup-\u{fc}\u{fc}\u{fc}",
        ] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
