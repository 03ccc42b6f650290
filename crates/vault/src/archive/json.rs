//! Backups as one JSON document.
