//! Signing in and out, and the one-time set-up of a new service.

use super::users::RoleName;
use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::{Client, Principal, Via, password, session, setup};
use crate::extract::{Body, Path};
use crate::state::App;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Response};
use engine::catalog::tokens::Scope;
use engine::catalog::users::{Role, User};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(me, sign_in, sign_out))
        .routes(routes!(change_password))
        .routes(routes!(list))
        .routes(routes!(end))
        .routes(routes!(setup_needed, set_up))
        .routes(routes!(recovery_kit))
}

/// Who is asking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Name of the person or token.
    name: String,
    /// What they may do; `null` for tokens, whose scopes say it.
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// What they may do, in scopes.
    #[schema(value_type = Vec<super::tokens::ScopeName>)]
    scopes: BTreeSet<Scope>,
    /// `session`, `token` or `jwt`.
    via: Via,
}

impl From<&Principal> for Me {
    fn from(principal: &Principal) -> Self {
        Self {
            name: principal.name.clone(),
            role: principal.role,
            scopes: principal.scopes.clone(),
            via: principal.via,
        }
    }
}

/// Show who is signed in.
#[utoipa::path(get, path = "/api/session", tag = "access", responses((status = 200, body = Success<Me>)),
    security(("session" = ["VIEWER"]), ("bearer" = [])))]
async fn me(principal: Principal) -> Answer<Me> {
    ok((&principal).into())
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
pub struct Credentials {
    /// Name.
    #[schema(max_length = 64)]
    name: String,
    /// Password.
    #[schema(max_length = 1024)]
    password: String,
}

/// Sign in with name and password; sets the session's cookie.
#[utoipa::path(post, path = "/api/session", tag = "access", request_body = Credentials,
    responses((status = 200, body = Success<Me>)))]
async fn sign_in(State(app): State<App>, client: Client, Body(body): Body<Credentials>) -> Result<Response, Refusal> {
    session::check_same_site(&client)?;
    app.sign_in_limit.check(client.address, &body.name, app.clock.now())?;
    let Credentials { name, password } = body;
    let wanted = name.clone();
    let user = app.blocking(move |app| password::check(&app.catalog, &wanted, &password)).await?;
    let Some(user) = user else {
        app.sign_in_limit.failed(client.address, &name, app.clock.now());
        app.audit_anonymous(&client, "session.sign-in", &name, "wrong name or password").await?;
        return Err(Refusal::unauthenticated("wrong name or password"));
    };
    app.sign_in_limit.succeeded(client.address, &name);
    signed_in(&app, &client, user).await
}

async fn signed_in(app: &App, client: &Client, user: User) -> Result<Response, Refusal> {
    let principal = Principal::of_user(&user, client);
    let cookie = session::start(app, client, &user).await?;
    app.audit_done(&principal, "session.sign-in", &user.name).await?;
    let me = Success::new(Me::from(&principal));
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), me).into_response())
}

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ended {
    /// Whether there was a session to end.
    ended: bool,
}

/// Sign out: ends the session and removes its cookie.
#[utoipa::path(delete, path = "/api/session", tag = "access", responses((status = 200, body = Success<Ended>)),
    security(("session" = ["VIEWER"]), ("bearer" = [])))]
async fn sign_out(State(app): State<App>, principal: Principal) -> Result<Response, Refusal> {
    let mut ended = false;
    if let Some(id) = principal.session.clone() {
        ended = app.blocking(move |app| app.catalog.session_end(id.as_str(), None)).await?;
        app.audit_done(&principal, "session.sign-out", &principal.name).await?;
    }
    let cookie = session::no_cookie(app.tls);
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Success::new(Ended { ended })).into_response())
}

/// Old and new password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePassword {
    /// The password until now.
    #[schema(max_length = 1024)]
    old_password: String,
    /// At least 10 characters.
    #[schema(min_length = 10, max_length = 1024)]
    new_password: String,
}

/// Change one's own password. Ends all of one's sessions and starts a new one.
#[utoipa::path(put, path = "/api/session/password", tag = "access", request_body = ChangePassword,
    responses((status = 200, body = Success<Me>)),
    security(("session" = ["VIEWER"]), ("bearer" = [])))]
async fn change_password(
    State(app): State<App>,
    principal: Principal,
    client: Client,
    Body(body): Body<ChangePassword>,
) -> Result<Response, Refusal> {
    if principal.via != Via::Session {
        return Err(Refusal::forbidden("only a person who is signed in here has a password to change"));
    }
    let name = principal.name.clone();
    app.sign_in_limit.check(client.address, &name, app.clock.now())?;
    let user = app
        .blocking(move |app| {
            let user = password::check(&app.catalog, &name, &body.old_password)?;
            if user.is_some() {
                let hash = password::hash(&body.new_password)?;
                app.catalog.user_change(&name, None, Some(&hash), None)?;
            }
            Ok(user)
        })
        .await?;
    let Some(user) = user else {
        app.sign_in_limit.failed(client.address, &principal.name, app.clock.now());
        app.audit_anonymous(&client, "session.password", &principal.name, "wrong password").await?;
        return Err(Refusal::forbidden("the old password is wrong"));
    };
    app.audit_done(&principal, "session.password", &principal.name).await?;
    signed_in(&app, &client, user).await
}

/// A signed-in browser.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// To end it by.
    id: String,
    /// Who.
    user: String,
    /// Address of the browser at sign-in.
    address: String,
    /// What the browser says it is.
    agent: String,
    /// This very session.
    current: bool,
    /// When it was signed in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Signed-in browsers.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// Newest first.
    sessions: Vec<SessionView>,
}

/// Whose sessions one may see: administrators everybody's, others their own.
fn visible(principal: &Principal) -> Option<String> {
    (!principal.scopes.contains(&Scope::Admin)).then(|| principal.name.clone())
}

/// List signed-in browsers: one's own, for administrators everybody's.
#[utoipa::path(get, path = "/api/sessions", tag = "access", responses((status = 200, body = Success<SessionList>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["admin"])))]
async fn list(State(app): State<App>, principal: Principal) -> Answer<SessionList> {
    let user = visible(&principal);
    let sessions = app.blocking(move |app| app.catalog.sessions(user.as_deref(), app.clock.now())).await?;
    let view = |session: engine::catalog::sessions::Session| SessionView {
        current: principal.session.as_ref() == Some(&session.id),
        id: session.id.to_string(),
        user: session.user,
        address: session.address,
        agent: session.agent,
        created_at: session.created_at,
        seen_at: session.seen_at,
        expires_at: session.expires_at,
    };
    ok(SessionList { sessions: sessions.into_iter().map(view).collect() })
}

/// End a session: one's own, for administrators anybody's.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = Success<Ended>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["admin"])))]
async fn end(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<Ended> {
    let user = visible(&principal);
    let target = id.clone();
    let ended = app.blocking(move |app| app.catalog.session_end(&target, user.as_deref())).await?;
    if !ended {
        return Err(Refusal::not_found("such session"));
    }
    app.audit_done(&principal, "session.end", &id).await?;
    ok(Ended { ended })
}

/// Whether the service is new.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupNeeded {
    /// There is no administrator yet: open the one-time link that the service printed at its start.
    needed: bool,
}

/// Show whether the service still has to be set up.
#[utoipa::path(get, path = "/api/setup", tag = "access", responses((status = 200, body = Success<SetupNeeded>)))]
async fn setup_needed(State(app): State<App>) -> Answer<SetupNeeded> {
    ok(SetupNeeded { needed: !app.blocking(|app| app.catalog.has_admin()).await? })
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
pub struct SetUp {
    /// What stands in the one-time link.
    #[schema(max_length = 200)]
    token: String,
    /// Name of the administrator.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// At least 10 characters.
    #[schema(min_length = 10, max_length = 1024)]
    password: String,
}

/// Set the service up: makes the first administrator and signs them in. Works once. Then fetch `/api/recovery-kit`.
#[utoipa::path(post, path = "/api/setup", tag = "access", request_body = SetUp,
    responses((status = 200, body = Success<Me>)))]
async fn set_up(State(app): State<App>, client: Client, Body(body): Body<SetUp>) -> Result<Response, Refusal> {
    session::check_same_site(&client)?;
    app.sign_in_limit.check(client.address, "set-up", app.clock.now())?;
    let name = body.name.clone();
    let user = app.blocking(move |app| setup::finish(app, &body.token, &body.name, &body.password)).await;
    match user {
        Ok(user) => {
            app.audit_done(&Principal::of_user(&user, &client), "service.set-up", &user.name).await?;
            signed_in(&app, &client, user).await
        }
        Err(refusal) => {
            app.sign_in_limit.failed(client.address, "set-up", app.clock.now());
            app.audit_anonymous(&client, "service.set-up", &name, &refusal.detail().message).await?;
            Err(refusal)
        }
    }
}

/// Download the recovery kit: what opens the backups on a new machine. Print it and keep it elsewhere.
#[utoipa::path(get, path = "/api/recovery-kit", tag = "access",
    responses((status = 200, content_type = "text/plain", body = String)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn recovery_kit(State(app): State<App>, principal: Principal) -> Result<Response, Refusal> {
    let result = app.blocking(|app| app.strongroom.recovery_kit()).await;
    app.audit_outcome(&principal, "key.recovery-kit", "", &result).await?;
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-disposition", "attachment; filename=\"strongroom-recovery-kit.txt\""),
        ("cache-control", "no-store"),
    ];
    Ok((headers, result?).into_response())
}
