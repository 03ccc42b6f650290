//! Databases as one JSON document: written and read as a stream.
