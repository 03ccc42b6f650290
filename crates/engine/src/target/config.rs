//! Puts `config` components back.
