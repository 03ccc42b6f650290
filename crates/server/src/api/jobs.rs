//! Long work: what runs, what ran, how far it is.

use crate::answer::{Answer, FailureDetail, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::{Path, Query};
use crate::jobs::ProgressView;
use crate::state::App;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use engine::catalog::jobs::{Job, JobFilter, JobKind, JobState};
use engine::catalog::tokens::Scope;
use engine::id::Id;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::Stream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How often a client that watches hears of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(events)).routes(routes!(cancel))
}

/// What a job does.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes JobKind in the document")]
pub enum JobKindName {
    /// Makes a backup.
    Backup,
    /// Restores one.
    Restore,
    /// Undoes a restore.
    Undo,
    /// Reads backups back.
    Verify,
    /// Restores a backup into a scratch place and compares.
    Drill,
    /// Removes what retention lets go.
    Cleanup,
}

/// Where a job stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes JobState in the document")]
pub enum JobStateName {
    /// Waits for its turn.
    Queued,
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Done in part.
    Partial,
    /// Nothing came of it.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// Long work was taken on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStarted {
    /// Id of the job and of the backup or restore that it makes.
    #[schema(value_type = String, example = "a1b2c3d4e5f6")]
    pub id: Id,
    /// The same id, for those who look for it under this name.
    #[schema(value_type = String, example = "a1b2c3d4e5f6")]
    pub job_id: Id,
    /// The backup that is being made, restored, verified or drilled.
    #[schema(value_type = Option<String>, example = "a1b2c3d4e5f6")]
    pub backup_id: Option<Id>,
    /// What it does.
    #[schema(value_type = JobKindName)]
    pub kind: JobKind,
    /// Where it stands.
    #[schema(value_type = JobStateName)]
    pub state: JobState,
    /// Where to look.
    #[schema(example = "/api/jobs/a1b2c3d4e5f6")]
    pub url: String,
    /// Where to watch.
    #[schema(example = "/api/jobs/a1b2c3d4e5f6/events")]
    pub events: String,
}

impl From<&Job> for JobStarted {
    fn from(job: &Job) -> Self {
        let backup_id = match job.kind {
            JobKind::Backup => Some(job.id.clone()),
            _ => job.request.get("backupId").and_then(|id| Id::parse(id.as_str()?).ok()),
        };
        Self {
            id: job.id.clone(),
            job_id: job.id.clone(),
            backup_id,
            kind: job.kind,
            state: job.state,
            url: format!("/api/jobs/{}", job.id),
            events: format!("/api/jobs/{}/events", job.id),
        }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its id, and that of the backup or restore that it makes.
    #[schema(value_type = String, example = "a1b2c3d4e5f6")]
    pub id: Id,
    /// What it does.
    #[schema(value_type = JobKindName)]
    pub kind: JobKind,
    /// Where it stands.
    #[schema(value_type = JobStateName)]
    pub state: JobState,
    /// `backups`, `restores` or `care`: jobs of one queue never overlap.
    pub queue: String,
    /// Who asked: a user's name, `token:NAME`, `scheduler`.
    pub actor: String,
    /// What was asked for, by kind.
    #[schema(value_type = Object)]
    pub request: serde_json::Value,
    /// 1 for the first try.
    pub attempt: u32,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How far it is, while it runs.
    pub progress: Option<ProgressView>,
    /// What came of it: a backup, a restore, by kind; `warnings` where there were some.
    #[schema(value_type = Option<Object>)]
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<FailureDetail>,
}

impl JobView {
    fn new(app: &App, job: Job) -> Self {
        let progress = app.jobs.progress(&job.id);
        Self {
            id: job.id,
            kind: job.kind,
            state: job.state,
            queue: job.queue,
            actor: job.actor,
            request: job.request,
            attempt: job.attempt,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress,
            result: job.result,
            error: job.error.map(Into::into),
        }
    }
}

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// In this state.
    #[param(value_type = Option<JobStateName>)]
    state: Option<JobState>,
    /// Of this kind.
    #[param(value_type = Option<JobKindName>)]
    kind: Option<JobKind>,
    /// So many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Without the first so many.
    offset: Option<u32>,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobPage {
    /// Newest first.
    jobs: Vec<JobView>,
    /// How many there are in all.
    total: u64,
}

/// List the jobs, newest first.
#[utoipa::path(get, path = "/api/jobs", tag = "jobs", params(JobQuery),
    responses((status = 200, body = Success<JobPage>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>, Query(query): Query<JobQuery>) -> Answer<JobPage> {
    let filter = JobFilter {
        state: query.state,
        kind: query.kind,
        limit: super::limit(query.limit, 50, 500)?,
        offset: query.offset.unwrap_or(0),
    };
    let (jobs, total) = app.blocking(move |app| app.catalog.jobs(&filter)).await?;
    ok(JobPage { jobs: jobs.into_iter().map(|job| JobView::new(&app, job)).collect(), total })
}

/// Show a job.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Success<JobView>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn show(State(app): State<App>, Path(id): Path<String>) -> Answer<JobView> {
    ok(view(&app, id).await?)
}

async fn view(app: &App, id: String) -> Result<JobView, Refusal> {
    let job = app.blocking(move |app| app.catalog.job(&id)).await?;
    job.map(|job| JobView::new(app, job)).ok_or_else(|| Refusal::not_found("such job"))
}

/// Watch a job: server-sent events `progress`, each with the job as `GET /api/jobs/{id}` shows it, and a last one `done`.
#[utoipa::path(get, path = "/api/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let first = view(&app, id).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(watch(app, first, sender));
    Ok(Sse::new(tokio_stream::wrappers::ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()))
}

/// Sends the job whenever it changed, until it is over, the client has gone or the service stops.
async fn watch(app: App, first: JobView, sender: tokio::sync::mpsc::Sender<Result<Event, Infallible>>) {
    let id = first.id.to_string();
    let mut shown: Option<JobView> = None;
    let mut now = first;
    loop {
        let over = now.state.is_over();
        if shown.as_ref() != Some(&now) {
            let name = if over { "done" } else { "progress" };
            let Ok(event) = Event::default().event(name).json_data(&now) else { return };
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
            shown = Some(now.clone());
        }
        if over {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {}
            () = app.stopping() => return,
            () = sender.closed() => return,
        }
        match view(&app, id.clone()).await {
            Ok(next) => now = next,
            Err(_) => return,
        }
    }
}

/// Cancel a job. One that runs stops at its next safe point and leaves nothing half done.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Success<JobView>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn cancel(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Answer<JobView> {
    let job = view(&app, id).await?;
    if job.state.is_over() {
        return Err(Refusal::new(
            axum::http::StatusCode::CONFLICT,
            "refused",
            format!("the job is over: it {}", job.state.name()),
            "",
        ));
    }
    let restores = matches!(job.kind, JobKind::Restore | JobKind::Undo);
    if restores && !principal.scopes.contains(&Scope::Restore) && !principal.scopes.contains(&Scope::Admin) {
        return Err(Refusal::forbidden("cancelling a restore needs a token with the scope restore"));
    }
    app.cancel_job(&job.id).await?;
    app.audit_done(&principal, "job.cancel", job.id.as_str()).await?;
    ok(view(&app, job.id.to_string()).await?)
}
