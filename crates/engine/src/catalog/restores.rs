//! Records of restores.
