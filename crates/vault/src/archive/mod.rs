//! Backups as one file.

pub mod json;
pub mod tar;
