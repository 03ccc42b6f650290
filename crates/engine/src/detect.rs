//! Finds an application's components by looking.
