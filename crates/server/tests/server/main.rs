//! The service over real HTTP on a loopback port, above an engine that works in memory.

mod openapi;
