//! Backups as one JSON document: the export of one database, with its path and the manifest as its last members.
//!
//! Invariant: the document stays one JSON object that `jq` can address; nothing of it is ever in memory as a whole.
//! Uncomfortable: finding the manifest in a document of another make means reading all of it.

mod read;
mod scan;
mod write;

pub use read::JsonReader;
pub use scan::MemberScanner;
pub use write::JsonWriter;

#[cfg(test)]
mod tests;
