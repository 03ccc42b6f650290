//! What is kept and what goes, and why.
