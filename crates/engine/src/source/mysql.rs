//! Reads `mysql` components.
