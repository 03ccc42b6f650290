//! Reads `files` components.
