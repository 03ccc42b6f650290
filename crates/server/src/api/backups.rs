//! Backups: list, details, create, delete, pin, prove.

use super::jobs::JobStarted;
use crate::answer::{Accepted, Answer, AnswerLater, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::{MaybeBody, Path, Query};
use crate::jobs::{IdempotencyKey, NewJob};
use crate::state::App;
use crate::view::{Backup, BackupPage, FormatName, SortName, StateName, TierName};
use crate::work::{BackupRequest, Depth, DrillRequest, FilePage, FilesQuery, VerifyRequest};
use axum::extract::State;
use engine::catalog::backups::{BackupFilter, BackupOrder};
use engine::id::Id;
use engine::manifest::{Format, Tier};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most that one page shows.
const PAGE_MAX: u32 = 500;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_for_viewers))
        .routes(routes!(create))
        .routes(routes!(show, delete))
        .routes(routes!(manifest))
        .routes(routes!(files))
        .routes(routes!(verify))
        .routes(routes!(verify_all))
        .routes(routes!(drill))
        .routes(routes!(pin, unpin))
        .routes(routes!(acknowledge_collapse))
}

/// Which backups are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of this tier: `daily`, `weekly`, `monthly`, `manual`, `pre-restore`.
    #[param(value_type = Option<TierName>)]
    tier: Option<Tier>,
    /// In this state.
    #[param(value_type = Option<StateName>)]
    state: Option<engine::manifest::State>,
    /// Of this plan.
    plan: Option<String>,
    /// Started then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Started before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only those that something can be restored from: succeeded and partial ones.
    restorable: Option<bool>,
    /// Whose name, id or description contains this, in either case.
    #[param(max_length = 200)]
    search: Option<String>,
    /// What the list is ordered by.
    #[param(value_type = Option<SortName>, default = "startedAt")]
    sort: Option<BackupOrder>,
    /// Smallest or oldest first, instead of last.
    ascending: Option<bool>,
    /// So many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next` of the previous page, asked for in the same order.
    next: Option<String>,
}

/// List the backups, newest first unless another order is asked for.
#[utoipa::path(get, path = "/api/backup", tag = "backups", params(ListQuery),
    responses((status = 200, body = Success<BackupPage>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Answer<BackupPage> {
    page(app, query).await
}

/// List the backups; the same as `GET /api/backup`, for viewers too.
#[utoipa::path(get, path = "/api/backups", tag = "backups", params(ListQuery),
    responses((status = 200, body = Success<BackupPage>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list_for_viewers(State(app): State<App>, Query(query): Query<ListQuery>) -> Answer<BackupPage> {
    page(app, query).await
}

async fn page(app: App, query: ListQuery) -> Answer<BackupPage> {
    if query.search.as_ref().is_some_and(|text| text.chars().count() > 200 || text.contains('\0')) {
        return Err(Refusal::bad_request("`search` has at most 200 characters and no NUL"));
    }
    let filter = BackupFilter {
        plan: query.plan,
        tier: query.tier,
        state: query.state,
        from: query.from,
        to: query.to,
        restorable: query.restorable.unwrap_or(false),
        search: query.search,
        order: query.sort.unwrap_or_default(),
        ascending: query.ascending.unwrap_or(false),
        limit: Some(super::limit(query.limit, 50, PAGE_MAX)?),
        after: query.next,
    };
    let page = app.blocking(move |app| app.catalog.backups(&filter)).await?;
    ok(BackupPage { backups: page.backups.into_iter().map(Into::into).collect(), total: page.total, next: page.next })
}

/// A backup that is wanted.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CreateBackup {
    /// Why: `manual` when absent.
    #[serde(rename = "type")]
    #[schema(value_type = Option<TierName>)]
    tier: Option<Tier>,
    /// Your words.
    #[schema(max_length = 1000, example = "Manual backup before system update")]
    description: Option<String>,
    /// Which plan; `default`, or the only one, when absent.
    plan: Option<String>,
    /// Only these components of the plan.
    components: Option<Vec<String>>,
    /// Another format than the plan's.
    #[schema(value_type = Option<FormatName>)]
    format: Option<Format>,
}

/// Create a backup.
///
/// Answers at once with the backup's id; `GET /api/jobs/{id}` and `/api/jobs/{id}/events` tell how it goes. The same
/// request sent again with the same `Idempotency-Key` starts nothing.
#[utoipa::path(post, path = "/api/backup/create", tag = "backups", request_body = Option<CreateBackup>,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn create(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    MaybeBody(body): MaybeBody<CreateBackup>,
) -> AnswerLater<JobStarted> {
    let tier = body.tier.unwrap_or(Tier::Manual);
    if tier == Tier::PreRestore {
        return Err(Refusal::bad_request("`pre-restore` backups are made by restores only"));
    }
    start_backup(&app, &principal, key, body, tier).await.map(Accepted)
}

/// Queues a backup; also behind the ERP's `trigger`.
pub async fn start_backup(
    app: &App,
    principal: &Principal,
    key: IdempotencyKey,
    body: CreateBackup,
    tier: Tier,
) -> Result<JobStarted, Refusal> {
    if body.description.as_ref().is_some_and(|text| text.chars().count() > 1000 || text.contains('\0')) {
        return Err(Refusal::bad_request("`description` has at most 1000 characters and no NUL"));
    }
    let config = app.strongroom.config();
    let plan = super::plans::choose(&config, body.plan.as_deref())?;
    super::plans::check_components(&config, plan, body.components.as_deref())?;
    let request = BackupRequest {
        id: Id::generate()?,
        plan: plan.name.clone(),
        tier,
        description: body.description.filter(|text| !text.trim().is_empty()),
        components: body.components,
        format: body.format,
        late: false,
    };
    app.submit(NewJob::backup(request, principal.as_actor()), key).await
}

/// Show a backup; `latest` is the newest succeeded one.
#[utoipa::path(get, path = "/api/backup/{id}", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<Backup>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn show(State(app): State<App>, Path(id): Path<String>) -> Answer<Backup> {
    ok(app.blocking(move |app| app.catalog.backup(&id)).await?.into())
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Its id.
    #[schema(value_type = String)]
    id: Id,
    /// Always `true`.
    deleted: bool,
}

/// Delete a backup. Pinned ones, and those that are being read, are refused.
#[utoipa::path(delete, path = "/api/backup/{id}", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<Deleted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn delete(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<Deleted> {
    let id = Id::parse(&id)?;
    let wanted = id.clone();
    let actor = principal.as_actor();
    app.blocking(move |app| app.strongroom.delete(&wanted, &actor)).await?;
    ok(Deleted { id, deleted: true })
}

/// Show a backup's manifest as it was written.
#[utoipa::path(get, path = "/api/backup/{id}/manifest", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<serde_json::Value>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn manifest(State(app): State<App>, Path(id): Path<String>) -> Answer<serde_json::Value> {
    ok(app
        .blocking(move |app| {
            let backup = app.catalog.backup(&id)?;
            let manifest = app.catalog.manifest(&backup.id)?;
            Ok(manifest.map(|manifest| serde_json::json!(manifest)))
        })
        .await?
        .ok_or_else(|| Refusal::not_found("manifest of this backup: it did not get that far"))?)
}

/// Which part of a backup's tree.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FileListQuery {
    /// Folder; the top when absent.
    path: Option<String>,
    /// Everything below it whose name contains this, case ignored.
    search: Option<String>,
    /// So many at most.
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<u32>,
    /// Without the first so many.
    offset: Option<u32>,
}

/// Browse what a backup holds.
#[utoipa::path(get, path = "/api/backup/{id}/files", tag = "backups", params(("id" = String, Path), FileListQuery),
    responses((status = 200, body = Success<FilePage>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn files(State(app): State<App>, Path(id): Path<String>, Query(query): Query<FileListQuery>) -> Answer<FilePage> {
    let wanted = FilesQuery {
        path: super::downloads::safe_path(query.path.unwrap_or_default(), true)?,
        search: query.search.filter(|text| !text.is_empty()),
        limit: super::limit(query.limit, 200, 1000)?,
        offset: query.offset.unwrap_or(0),
    };
    ok(app
        .blocking(move |app| {
            let backup = app.catalog.backup(&id)?;
            app.strongroom.files(&backup.id, &wanted)
        })
        .await?)
}

/// How deep to verify.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct VerifyBody {
    /// `open` when absent.
    depth: Option<Depth>,
}

/// Verify a backup: read it back, open it, compare it with its manifest.
#[utoipa::path(post, path = "/api/backup/{id}/verify", tag = "proof",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    request_body = Option<VerifyBody>, responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn verify(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    Path(id): Path<String>,
    MaybeBody(body): MaybeBody<VerifyBody>,
) -> AnswerLater<JobStarted> {
    let backup = app.blocking(move |app| app.catalog.backup(&id)).await?;
    let request =
        VerifyRequest { id: Id::generate()?, backup_id: Some(backup.id), depth: body.depth.unwrap_or_default() };
    app.submit(NewJob::verify(request, principal.as_actor()), key).await.map(Accepted)
}

/// Verify all backups.
#[utoipa::path(post, path = "/api/verify", tag = "proof", request_body = Option<VerifyBody>,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn verify_all(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    MaybeBody(body): MaybeBody<VerifyBody>,
) -> AnswerLater<JobStarted> {
    let request = VerifyRequest { id: Id::generate()?, backup_id: None, depth: body.depth.unwrap_or_default() };
    app.submit(NewJob::verify(request, principal.as_actor()), key).await.map(Accepted)
}

/// Drill a backup: restore it into a scratch place and compare.
#[utoipa::path(post, path = "/api/backup/{id}/drill", tag = "proof",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 202, body = Success<JobStarted>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn drill(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> AnswerLater<JobStarted> {
    let backup = app.blocking(move |app| app.catalog.backup(&id)).await?;
    let request = DrillRequest { id: Id::generate()?, backup_id: Some(backup.id) };
    app.submit(NewJob::drill(request, principal.as_actor()), key).await.map(Accepted)
}

/// Pin a backup: retention never removes it.
#[utoipa::path(put, path = "/api/backup/{id}/pin", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<Backup>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn pin(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<Backup> {
    set_pinned(app, principal, id, true).await
}

/// Unpin a backup.
#[utoipa::path(delete, path = "/api/backup/{id}/pin", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<Backup>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn unpin(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<Backup> {
    set_pinned(app, principal, id, false).await
}

async fn set_pinned(app: App, principal: Principal, id: String, pinned: bool) -> Answer<Backup> {
    let id = Id::parse(&id)?;
    let wanted = id.clone();
    let result = app
        .blocking(move |app| {
            app.catalog.backup_pin(&wanted, pinned)?;
            app.catalog.backup(wanted.as_str())
        })
        .await;
    let action = if pinned { "backup.pin" } else { "backup.unpin" };
    app.audit_outcome(&principal, action, id.as_str(), &result).await?;
    ok(result?.into())
}

/// Say that a backup is rightly much smaller than its predecessor: retention works again.
#[utoipa::path(post, path = "/api/backup/{id}/acknowledge", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = Success<Backup>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn acknowledge_collapse(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<Backup> {
    let id = Id::parse(&id)?;
    let wanted = id.clone();
    let result = app
        .blocking(move |app| {
            app.catalog.backup_acknowledge(&wanted)?;
            app.catalog.backup(wanted.as_str())
        })
        .await;
    app.audit_outcome(&principal, "backup.acknowledge", id.as_str(), &result).await?;
    ok(result?.into())
}
