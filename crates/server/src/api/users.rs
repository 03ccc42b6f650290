//! People who may sign in.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::{Principal, password};
use crate::extract::{Body, Path};
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use engine::catalog::users::{Role, User};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(change, remove))
}

/// What a person may do.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "describes Role in the document")]
pub enum RoleName {
    /// Everything.
    Admin,
    /// Looking.
    Viewer,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// Name to sign in with.
    name: String,
    /// What they may do.
    #[schema(value_type = RoleName)]
    role: Role,
    /// Address for notices.
    email: Option<String>,
    /// When they were added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When they last signed in.
    #[schema(value_type = Option<String>, format = DateTime)]
    signed_in_at: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            role: user.role,
            email: user.email,
            created_at: user.created_at,
            signed_in_at: user.signed_in_at,
        }
    }
}

/// Everybody.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// By name.
    users: Vec<UserView>,
}

/// List the people who may sign in.
#[utoipa::path(get, path = "/api/users", tag = "access", responses((status = 200, body = Success<UserList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn list(State(app): State<App>) -> Answer<UserList> {
    let users = app.blocking(|app| app.catalog.users()).await?;
    ok(UserList { users: users.into_iter().map(Into::into).collect() })
}

/// A new person.
#[derive(Deserialize, ToSchema)]
pub struct AddUser {
    /// 1 to 64 letters, digits or `. _ - @ +`; case does not matter.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What they may do.
    #[schema(value_type = RoleName)]
    role: Role,
    /// At least 10 characters.
    #[schema(min_length = 10, max_length = 1024)]
    password: String,
    /// Address for notices.
    email: Option<String>,
}

/// Add a person.
#[utoipa::path(post, path = "/api/users", tag = "access", request_body = AddUser,
    responses((status = 201, body = Success<UserView>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn add(
    State(app): State<App>,
    principal: Principal,
    Body(body): Body<AddUser>,
) -> Result<(StatusCode, Success<UserView>), Refusal> {
    let name = body.name.clone();
    let result = app
        .blocking(move |app| {
            let user = User {
                name: engine::catalog::users::normal_name(&body.name)?,
                role: body.role,
                password_hash: Some(password::hash(&body.password)?),
                email: checked_email(body.email)?,
                created_at: app.clock.now(),
                signed_in_at: None,
            };
            app.catalog.user_add(&user)?;
            Ok(user)
        })
        .await;
    app.audit_outcome(&principal, "user.add", &name, &result).await?;
    Ok((StatusCode::CREATED, Success::new(result?.into())))
}

fn checked_email(email: Option<String>) -> engine::Result<Option<String>> {
    match email {
        Some(address) if !engine::notify::is_address(&address) => Err(engine::Error::new(
            engine::ErrorKind::Usage,
            format!("{address:?} is not an e-mail address"),
            "Leave it out, or correct it.",
        )),
        other => Ok(other),
    }
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct ChangeUser {
    /// What they may do.
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    /// At least 10 characters. Ends their sessions.
    #[schema(min_length = 10, max_length = 1024)]
    password: Option<String>,
    /// Address for notices.
    email: Option<String>,
}

/// Change a person's role, password or address.
#[utoipa::path(patch, path = "/api/users/{name}", tag = "access", params(("name" = String, Path)),
    request_body = ChangeUser, responses((status = 200, body = Success<UserView>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn change(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    Body(body): Body<ChangeUser>,
) -> Answer<UserView> {
    let target = name.clone();
    let result = app
        .blocking(move |app| {
            let hash = body.password.as_deref().map(password::hash).transpose()?;
            let email = checked_email(body.email)?;
            app.catalog.user_change(&name, body.role, hash.as_deref(), email.as_deref())?;
            app.catalog.user(&name)
        })
        .await;
    app.audit_outcome(&principal, "user.change", &target, &result).await?;
    ok(result?.ok_or_else(|| Refusal::not_found("such user"))?.into())
}

/// Who was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserRemoved {
    /// Their name.
    name: String,
}

/// Remove a person and end their sessions. The last administrator stays.
#[utoipa::path(delete, path = "/api/users/{name}", tag = "access", params(("name" = String, Path)),
    responses((status = 200, body = Success<UserRemoved>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn remove(State(app): State<App>, principal: Principal, Path(name): Path<String>) -> Answer<UserRemoved> {
    let target = name.clone();
    let result = app.blocking(move |app| app.catalog.user_remove(&target)).await;
    app.audit_outcome(&principal, "user.remove", &name, &result).await?;
    result?;
    ok(UserRemoved { name })
}
