//! What is fuzzed, as plain functions: each takes any bytes and fails by panicking.

pub mod archive;
pub mod repository;
