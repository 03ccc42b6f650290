//! Reads `config` components.
