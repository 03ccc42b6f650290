//! Test helpers: real servers and faults. A development dependency only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, too")]

pub mod mariadb;
pub mod postgres;
pub mod smtp;
