//! Backups as a tar archive.
