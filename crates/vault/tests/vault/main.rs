//! What `vault` promises, from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod repository;
mod repository_restic;
mod repository_samples;
