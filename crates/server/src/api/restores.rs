//! Restores: plan, carry out, list, undo.

use super::jobs::JobStarted;
use crate::answer::{Accepted, Answer, AnswerLater, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::{Body, MaybeBody, Path, Query};
use crate::jobs::{IdempotencyKey, NewJob};
use crate::state::App;
use crate::view::RestorePage;
use crate::work::{RestorePlan, RestoreRequest, UndoRequest};
use axum::extract::State;
use axum::http::StatusCode;
use engine::catalog::restores::RestoreState;
use engine::id::Id;
use engine::manifest::State as BackupState;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a person types to restore.
pub const CONFIRM_RESTORE: &str = "CONFIRM_RESTORE";

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(restore)).routes(routes!(plan)).routes(routes!(list)).routes(routes!(undo))
}

/// A restore that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreBody {
    /// From which backup; `latest` is the newest succeeded one.
    #[schema(example = "a1b2c3d4e5f6")]
    backup_id: String,
    /// Only these components; all when absent.
    #[schema(example = json!(["database", "uploads", "config"]))]
    components: Option<Vec<String>>,
    /// Only these tables (`customers` or `sales.customers`) of the one component, a database; all when empty.
    #[serde(default)]
    #[schema(example = json!(["customers"]))]
    tables: Vec<String>,
    /// Must be `CONFIRM_RESTORE`.
    #[schema(example = "CONFIRM_RESTORE")]
    confirm_token: Option<String>,
    /// By component: another folder or database address to restore into.
    #[serde(default)]
    targets: BTreeMap<String, String>,
}

/// Restore from a backup. Replaces live data, after making a `pre-restore` backup of it; can be undone.
#[utoipa::path(post, path = "/api/backup/restore", tag = "restores", request_body = RestoreBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["restore"])))]
async fn restore(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    Body(body): Body<RestoreBody>,
) -> AnswerLater<JobStarted> {
    if body.confirm_token.as_deref() != Some(CONFIRM_RESTORE) {
        let refusal = Refusal::new(
            StatusCode::BAD_REQUEST,
            "confirmation_required",
            "a restore replaces live data and must be confirmed",
            "Send \"confirmToken\": \"CONFIRM_RESTORE\".",
        );
        app.audit_refused(&principal, "restore.start", &body.backup_id, &refusal).await?;
        return Err(refusal);
    }
    let wanted = (body.backup_id, body.components, body.tables);
    let request = prepare(&app, wanted, body.targets).await?;
    app.submit(NewJob::restore(request, principal.as_actor()), key).await.map(Accepted)
}

/// What a restore is wanted of.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RestorePlanBody {
    /// Only these components; all when absent.
    components: Option<Vec<String>>,
    /// Only these tables of the one component, a database; all when empty.
    tables: Vec<String>,
    /// By component: another folder or database address to restore into.
    targets: BTreeMap<String, String>,
}

/// Show what a restore would do. Touches nothing.
#[utoipa::path(post, path = "/api/backup/{id}/restore-plan", tag = "restores", params(("id" = String, Path)),
    request_body = Option<RestorePlanBody>, responses((status = 200, body = Success<RestorePlan>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["restore"])))]
async fn plan(
    State(app): State<App>,
    Path(id): Path<String>,
    MaybeBody(body): MaybeBody<RestorePlanBody>,
) -> Answer<RestorePlan> {
    let request = prepare(&app, (id, body.components, body.tables), body.targets).await?;
    ok(app.blocking(move |app| app.strongroom.restore_plan(&request)).await?)
}

async fn prepare(
    app: &App,
    (backup_id, components, tables): (String, Option<Vec<String>>, Vec<String>),
    targets: BTreeMap<String, String>,
) -> Result<RestoreRequest, Refusal> {
    let backup = app.blocking(move |app| app.catalog.backup(&backup_id)).await?;
    if !matches!(backup.state, BackupState::Succeeded | BackupState::Partial) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "refused",
            format!("backup {} is {}: there is nothing to restore", backup.id, backup.state.name()),
            "Choose a backup that succeeded.",
        ));
    }
    let known: Vec<&str> = backup.components.iter().map(|component| component.name.as_str()).collect();
    let asked = components.iter().flatten().chain(targets.keys());
    if let Some(unknown) = asked.into_iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Refusal::bad_request(format!(
            "backup {} has no component {unknown:?}; it has {}",
            backup.id,
            known.join(", ")
        )));
    }
    if components.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::bad_request("`components` is empty: leave it out to restore all"));
    }
    Ok(RestoreRequest { id: Id::generate()?, backup_id: backup.id, components, tables, targets })
}

/// List the restores, newest first.
#[utoipa::path(get, path = "/api/restores", tag = "restores", params(super::PageQuery),
    responses((status = 200, body = Success<RestorePage>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>, Query(query): Query<super::PageQuery>) -> Answer<RestorePage> {
    let limit = query.limit(50, 500)?;
    let restores = app.blocking(|app| app.catalog.restores()).await?;
    let total = restores.len() as u64;
    let page = restores.into_iter().skip(query.offset() as usize).take(limit as usize);
    ok(RestorePage { restores: page.map(Into::into).collect(), total })
}

/// Undo a restore; `latest` is the newest one not yet undone. Needs no confirmation, for it can itself be undone.
#[utoipa::path(post, path = "/api/restores/{id}/undo", tag = "restores",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["restore"])))]
async fn undo(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> AnswerLater<JobStarted> {
    let restore_id = if id == "latest" { None } else { Some(Id::parse(&id)?) };
    let restores = app.blocking(|app| app.catalog.restores()).await?;
    let exists = match &restore_id {
        Some(id) => restores.iter().any(|restore| restore.id == *id),
        None => restores.iter().any(|restore| restore.state == RestoreState::Swapped),
    };
    if !exists {
        return Err(Refusal::not_found("such restore to undo"));
    }
    let request = UndoRequest { id: Id::generate()?, restore_id };
    app.submit(NewJob::undo(request, principal.as_actor()), key).await.map(Accepted)
}
