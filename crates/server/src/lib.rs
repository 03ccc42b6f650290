//! The service: REST API, sign-in, jobs, scheduler loop, notifications' sender, embedded dashboard.
//!
//! Everything that is done to backups goes through [`work::Strongroom`]; the engine implements it. [`serve`] is the one
//! entry point. The OpenAPI document is generated from the handlers and is the access policy too ([`auth::policy`]).

pub mod answer;
pub mod api;
pub mod auth;
mod connections;
mod dashboard;
pub mod events;
pub mod extract;
pub mod figures;
pub mod jobs;
pub mod metrics;
mod outbox;
pub mod range;
pub mod rooms;
pub mod scheduler;
pub mod schedules;
pub mod serve;
pub mod state;
mod systemd;
mod tls;
pub mod view;
pub mod watch;
pub mod work;

pub use connections::{CONNECTIONS_MAX, Patience};
pub use serve::{Ready, ServeOptions, serve};
pub use work::Strongroom;
