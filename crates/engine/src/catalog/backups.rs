//! Records of backups.
