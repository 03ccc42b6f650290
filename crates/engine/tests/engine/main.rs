//! Integration tests of the engine: real folders, real databases, real servers, other processes.

mod core;
mod files;
mod postgres;
