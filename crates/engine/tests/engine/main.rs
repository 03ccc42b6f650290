//! The engine against real servers, real folders and other processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

mod core;
