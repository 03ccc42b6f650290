//! Integration tests of the engine, one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, too")]

mod files;
