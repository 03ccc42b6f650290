//! The service over real HTTP on a loopback port, above an engine that works in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be done fails the test")]

mod access;
mod api;
mod connections;
mod downloads;
mod fake;
mod hostile;
mod jobs;
mod jwt;
mod kit;
mod matrix;
mod notifications;
mod openapi;
mod scheduling;
mod tls;
