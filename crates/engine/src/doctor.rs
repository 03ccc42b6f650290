//! Finds what will go wrong before it does.
