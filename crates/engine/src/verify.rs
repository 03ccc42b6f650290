//! How far a backup is proven.
