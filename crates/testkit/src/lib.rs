//! Test helpers: sample applications, real servers, faults. A development dependency only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that cannot do its work fails the test")]

pub mod smtp;
