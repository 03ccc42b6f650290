//! Puts `logs` components back.
