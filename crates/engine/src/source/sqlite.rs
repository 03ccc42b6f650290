//! Reads `sqlite` components.
