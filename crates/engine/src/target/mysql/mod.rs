//! Puts `mysql` components back.
