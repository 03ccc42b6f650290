//! What `vault` promises, from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]

mod archives;
mod bad_archives;
mod by_hand;
mod foreign;
mod fuzz_smoke;
mod golden;
mod remote;
mod repository;
mod repository_damage;
mod repository_example;
mod repository_faults;
mod repository_golden;
mod repository_restic;
mod repository_samples;
mod samples;
mod sidecars;
mod store_conformance;
mod writers;
