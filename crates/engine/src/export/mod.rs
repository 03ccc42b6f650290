//! Databases as JSON: one schema for all engines.

pub mod json;
