//! Who is asking, and what they may do.
//!
//! Everybody becomes a [`Principal`] with a set of scopes, however they came in: an administrator has all scopes, a viewer
//! `read` and `metrics`, a token those it was made with. What a route needs stands in its OpenAPI description and nowhere
//! else ([`policy`]); [`guard`] compares the two before any handler runs. OpenID Connect finds its place here: another way
//! to a `Principal`, and a `subject` in the table of users.

pub mod guard;
pub mod jwt;
pub mod limit;
pub mod network;
pub mod password;
pub mod policy;
pub mod session;
pub mod setup;
pub mod token;

use crate::answer::Refusal;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use engine::catalog::tokens::Scope;
use engine::catalog::users::{Role, User};
use engine::id::Id;
use engine::room::Actor;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;
use utoipa::ToSchema;

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A browser that signed in.
    Session,
    /// An API token.
    Token,
    /// The host application's JSON web token.
    Jwt,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Name of the person or token.
    pub name: String,
    /// The person's role; tokens have none.
    pub role: Option<Role>,
    /// What they may do.
    pub scopes: BTreeSet<Scope>,
    /// How they came in.
    pub via: Via,
    /// Their session.
    pub session: Option<Id>,
    /// Where from.
    pub address: IpAddr,
}

/// What a role amounts to in scopes.
pub fn scopes_of(role: Role) -> BTreeSet<Scope> {
    match role {
        Role::Admin => Scope::ALL.into(),
        Role::Viewer => [Scope::Read, Scope::Metrics].into(),
    }
}

impl Principal {
    /// A person who has just proven who they are.
    pub fn of_user(user: &User, client: &Client) -> Self {
        Self {
            name: user.name.clone(),
            role: Some(user.role),
            scopes: scopes_of(user.role),
            via: Via::Session,
            session: None,
            address: client.address,
        }
    }

    /// As it stands in the audit log and with jobs.
    pub fn actor(&self) -> String {
        match self.via {
            Via::Session => self.name.clone(),
            Via::Token => format!("token:{}", self.name),
            Via::Jwt => format!("jwt:{}", self.name),
        }
    }
}

impl Principal {
    /// The same, for the engine and for jobs.
    pub fn as_actor(&self) -> Actor {
        Actor { name: self.actor(), origin: self.address.to_string() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Refusal::unauthenticated("nobody is signed in"))
    }
}

/// Whoever sends a request, signed in or not.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where from: behind a trusted proxy the address that it names.
    pub address: IpAddr,
    /// The request's headers.
    pub headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let address = parts.extensions.get::<network::ClientAddress>().copied();
        let address = address.ok_or_else(|| Refusal::forbidden("the client's address is not known"))?;
        Ok(Self { address: address.0, headers: parts.headers.clone() })
    }
}
