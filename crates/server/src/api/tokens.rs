//! API tokens.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::{Principal, token};
use crate::extract::{Body, Path};
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use engine::catalog::tokens::{Scope, Token};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// What a token may be used for.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes Scope in the document")]
pub enum ScopeName {
    /// Reading `/metrics`.
    Metrics,
    /// Looking at everything but the content of backups.
    Read,
    /// Making and proving backups.
    Backup,
    /// Restoring and downloading.
    Restore,
    /// Everything.
    Admin,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its id.
    id: String,
    /// What it is for.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: BTreeSet<Scope>,
    /// Who made it.
    created_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends; never, when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: token.scopes,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            used_at: token.used_at,
        }
    }
}

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// By name, expired ones too.
    tokens: Vec<TokenView>,
}

/// List the API tokens.
#[utoipa::path(get, path = "/api/tokens", tag = "access", responses((status = 200, body = Success<TokenList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn list(State(app): State<App>) -> Answer<TokenList> {
    let tokens = app.blocking(|app| app.catalog.tokens()).await?;
    ok(TokenList { tokens: tokens.into_iter().map(Into::into).collect() })
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateToken {
    /// What it is for; unique.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    scopes: BTreeSet<Scope>,
    /// Days until it ends; never, when absent.
    #[schema(minimum = 1, maximum = 36500)]
    expires_in_days: Option<u32>,
}

/// A token with its secret: shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenCreated {
    /// Send it as `Authorization: Bearer …`.
    token: String,
    /// The token without its secret.
    #[serde(flatten)]
    view: TokenView,
}

/// Make an API token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/tokens", tag = "access", request_body = CreateToken,
    responses((status = 201, body = Success<TokenCreated>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn create(
    State(app): State<App>,
    principal: Principal,
    Body(body): Body<CreateToken>,
) -> Result<(StatusCode, Success<TokenCreated>), Refusal> {
    let expires_at = match body.expires_in_days {
        None => None,
        Some(days @ 1..=36500) => Some(app.clock.now() + SignedDuration::from_hours(24 * i64::from(days))),
        Some(_) => return Err(Refusal::bad_request("`expiresInDays` is between 1 and 36500")),
    };
    let name = body.name.clone();
    let actor = principal.actor();
    let result = app
        .blocking(move |app| token::create(&app.catalog, &body.name, body.scopes, expires_at, &actor, app.clock.now()))
        .await;
    app.audit_outcome(&principal, "token.create", &name, &result).await?;
    let (secret, view) = result?;
    Ok((StatusCode::CREATED, Success::new(TokenCreated { token: secret, view: view.into() })))
}

/// What was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenRevoked {
    /// Id or name.
    id: String,
}

/// Revoke a token, named by its id or its name.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = Success<TokenRevoked>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn revoke(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<TokenRevoked> {
    let target = id.clone();
    let result = app.blocking(move |app| app.catalog.token_revoke(&target)).await;
    app.audit_outcome(&principal, "token.revoke", &id, &result).await?;
    result?;
    ok(TokenRevoked { id })
}
