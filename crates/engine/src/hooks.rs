//! Commands before and after backups and restores.
