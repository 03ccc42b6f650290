//! Retention: what would go and why, and letting it go.

use super::jobs::JobStarted;
use crate::answer::{Accepted, Answer, AnswerLater, Success, ok};
use crate::auth::Principal;
use crate::jobs::{IdempotencyKey, NewJob};
use crate::state::App;
use crate::work::CleanupPlan;
use axum::extract::State;
use engine::id::Id;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan, cleanup))
}

/// Show what a cleanup would remove, and why everything else stays. Removes nothing.
#[utoipa::path(get, path = "/api/backup/cleanup", tag = "retention",
    responses((status = 200, body = Success<CleanupPlan>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn plan(State(app): State<App>) -> Answer<CleanupPlan> {
    ok(app.blocking(|app| app.strongroom.cleanup_plan()).await?)
}

/// Remove what retention lets go.
#[utoipa::path(post, path = "/api/backup/cleanup", tag = "retention",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn cleanup(State(app): State<App>, principal: Principal, key: IdempotencyKey) -> AnswerLater<JobStarted> {
    app.submit(NewJob::cleanup(Id::generate()?, principal.as_actor()), key).await.map(Accepted)
}
