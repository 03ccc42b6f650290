//! Puts `postgres` components back.
