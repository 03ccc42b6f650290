//! Integration tests of the engine: real folders, real databases, real servers, other processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, too")]

mod core;
mod files;
mod mysql;
mod postgres;
mod sqlite;
