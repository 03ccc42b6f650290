//! What `vault` promises, from outside.

mod archives;
mod samples;
