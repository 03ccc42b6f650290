//! The ERP's three calls: status, start or trigger, stop.

use super::backups::{CreateBackup, start_backup};
use super::jobs::JobStarted;
use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::Body;
use crate::jobs::IdempotencyKey;
use crate::schedules::Schedules;
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use engine::manifest::Tier;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status, act, stop))
}

/// How the schedules stand.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledStatus {
    /// Whether the schedules run.
    is_running: bool,
    /// The next backup; `null` when they do not run.
    #[schema(value_type = Option<String>, format = DateTime, example = "2025-01-01T02:00:00.000Z")]
    next_run: Option<String>,
    /// The daily schedule of the default plan, in words.
    #[schema(example = "Daily at 2:00 AM")]
    schedule: String,
}

fn status_of(app: &App) -> engine::Result<ScheduledStatus> {
    let schedules = Schedules::read(app)?;
    let now = app.clock.now();
    Ok(ScheduledStatus {
        is_running: schedules.running,
        next_run: schedules.next_backup(now).map(super::milliseconds),
        schedule: schedules.sentence(),
    })
}

/// Show whether scheduled backups run, and when the next one does.
#[utoipa::path(get, path = "/api/admin/scheduled-backups", tag = "schedules",
    responses((status = 200, body = Success<ScheduledStatus>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["read"])))]
async fn status(State(app): State<App>) -> Answer<ScheduledStatus> {
    ok(app.blocking(status_of).await?)
}

/// What to do.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Start the schedules.
    Start,
    /// Make a backup now.
    Trigger,
}

/// What to do.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ActionBody {
    /// `start` or `trigger`.
    action: Action,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionDone {
    /// For people.
    message: String,
    /// How the schedules stand now.
    #[serde(flatten)]
    status: ScheduledStatus,
    /// The backup that was triggered.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobStarted>,
}

/// Start scheduled backups, or trigger one now. A trigger answers 202, a start 200.
#[utoipa::path(post, path = "/api/admin/scheduled-backups", tag = "schedules", request_body = ActionBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request harmless")),
    responses((status = 200, body = Success<ActionDone>), (status = 202, body = Success<ActionDone>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn act(
    State(app): State<App>,
    principal: Principal,
    key: IdempotencyKey,
    Body(body): Body<ActionBody>,
) -> Result<(StatusCode, Success<ActionDone>), Refusal> {
    match body.action {
        Action::Start => {
            let status =
                super::schedules::set_running(&app, &principal, true).await.map(|()| app.blocking(status_of))?;
            let done = ActionDone { message: "Scheduled backups run.".to_owned(), status: status.await?, job: None };
            Ok((StatusCode::OK, Success::new(done)))
        }
        Action::Trigger => {
            let job = start_backup(&app, &principal, key, CreateBackup::default(), Tier::Manual).await?;
            let message = "A backup was started.".to_owned();
            let done = ActionDone { message, status: app.blocking(status_of).await?, job: Some(job) };
            Ok((StatusCode::ACCEPTED, Success::new(done)))
        }
    }
}

/// Stop scheduled backups: nothing runs by itself until they are started again, also after a restart.
#[utoipa::path(delete, path = "/api/admin/scheduled-backups", tag = "schedules",
    responses((status = 200, body = Success<ActionDone>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn stop(State(app): State<App>, principal: Principal) -> Answer<ActionDone> {
    super::schedules::set_running(&app, &principal, false).await?;
    let status = app.blocking(status_of).await?;
    ok(ActionDone { message: "Scheduled backups are stopped.".to_owned(), status, job: None })
}

/// When something was last, as the ERP's document writes it.
pub(super) fn iso(time: Option<Timestamp>) -> Option<String> {
    time.map(super::milliseconds)
}
