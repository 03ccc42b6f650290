//! The story of a backup.
