//! What a backup means: where data comes from ([`source`]), where it goes back to ([`target`]), and the three stories
//! that join them with the vault: [`backup`], [`restore`] and [`drill`].
//!
//! Never prints, never reads the environment or the home folder, knows no HTTP server and no terminal. Configuration
//! comes in as a value, the time through a [`Clock`](clock::Clock), news go out through a [`vault::Progress`].

pub mod backup;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod detect;
pub mod doctor;
pub mod drill;
pub mod export;
pub mod hash;
pub mod hooks;
pub mod id;
pub mod manifest;
pub mod notify;
pub mod restore;
pub mod retention;
pub mod sample;
pub mod schedule;
pub mod source;
pub mod target;
pub mod tree;
pub mod verify;

pub use vault::{Error, ErrorKind, Result};
