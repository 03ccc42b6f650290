//! What a backup means: where data comes from ([`source`]), where it goes back to ([`target`]), and the three stories
//! that join them with the vault: [`backup`], [`restore`] and [`drill`].
//!
//! Never prints, never reads the environment or the home folder, knows no HTTP server and no terminal. Configuration
//! comes in as a value, the time through a [`Clock`](clock::Clock), news go out through a [`vault::Progress`].

pub mod backup;
pub mod below;
pub mod catalog;
pub mod cleanup;
pub mod clock;
pub mod component;
pub mod config;
pub mod contents;
pub mod detect;
pub mod doctor;
pub mod drill;
pub mod examine;
pub mod export;
pub mod hash;
pub mod hooks;
pub mod id;
pub mod locate;
pub mod manifest;
pub mod naming;
pub mod notify;
pub mod rebuild;
pub mod recover;
pub mod recovery_kit;
pub mod redact;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod room;
pub mod sample;
pub mod schedule;
pub mod scratch;
pub mod sidecar;
pub mod source;
pub mod storage;
pub mod target;
pub mod tree;
pub mod verify;

pub use vault::{Error, ErrorKind, Result};

/// An error with all its causes, for logs: `a: b: c`. What a cause says again is left out.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}
