//! The story of a drill.
