//! The story of a restore.
