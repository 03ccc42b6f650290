//! The engine against real servers and real folders.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that cannot do its work fails the test")]

mod postgres;
