//! Puts `files` components back.
