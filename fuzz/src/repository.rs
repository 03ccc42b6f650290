//! The repository's parsers. Their bodies live beside them, as what they parse is not public.

pub use vault::repository::fuzzing::{config, document, index, key, lock, name, pack_header, snapshot, tree};
