//! Black-box tests: the built binary, driven as a user drives it, on real applications.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod beside;
mod by_hand;
mod config;
mod crash;
mod documents;
mod extensions;
mod full_disk;
mod in_transaction;
mod keys;
mod mail;
mod main_job;
mod own_path;
mod places;
mod references;
mod repository;
mod restore;
mod retention;
mod server_databases;
mod service;
mod single_tables;
mod support;
mod two_servers;
mod under_writes;
