//! The AES-256-GCM envelope.
