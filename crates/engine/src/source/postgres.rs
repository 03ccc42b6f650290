//! Reads `postgres` components.
