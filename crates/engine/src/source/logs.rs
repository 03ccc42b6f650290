//! Reads `logs` components.
