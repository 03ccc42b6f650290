//! Records of audit.
