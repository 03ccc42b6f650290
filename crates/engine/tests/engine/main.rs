//! Integration tests of the engine: real folders, real databases, real servers.

mod files;
mod postgres;
