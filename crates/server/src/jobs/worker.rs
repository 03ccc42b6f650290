//! Takes jobs and does them.
