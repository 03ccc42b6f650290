//! Databases as one JSON document, the same for all engines: written and read as a stream.
//!
//! [`Value`] is what a row is made of on the way between an engine and the document; [`json`] is the document itself.

pub mod json;
mod value;

pub use value::{Value, ValueRef};
