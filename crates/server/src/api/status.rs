//! How everything stands: the status document, charts, doctor.

use super::scheduled::iso;
use crate::answer::{Answer, Success, ok};
use crate::extract::Query;
use crate::figures::{Figures, PlanFigures, Statistics};
use crate::schedules::Schedules;
use crate::state::App;
use crate::view::Backup;
use crate::work::{DiskFigures, Finding};
use axum::extract::State;
use engine::catalog::jobs::JobState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(overview))
        .routes(routes!(statistics))
        .routes(routes!(doctor))
}

/// How everything stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the service.
    version: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// The scheduler.
    scheduler: SchedulerStatus,
    /// Backups in all.
    total_backups: u64,
    /// Backups on record by type.
    backups_by_type: BTreeMap<String, u64>,
    /// Bytes in all stores.
    stored_bytes: u64,
    /// The newest backup, whatever became of it.
    last_backup: Option<Backup>,
    /// The newest backup that failed.
    last_failure: Option<Backup>,
    /// By plan and tier: newest success, trust and its ages, durations.
    plans: Vec<PlanFigures>,
    /// The disk on which backups lie.
    disk: Option<DiskFigures>,
    /// Mail.
    email: EmailStatus,
    /// Messages that wait, were sent, were given up.
    outbox: OutboxStatus,
    /// Jobs by state.
    jobs: BTreeMap<String, u64>,
    /// What is wrong now, for people: stale or unproven plans, low disk, undelivered mail.
    alarms: Vec<String>,
}

/// The scheduler.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulerStatus {
    /// It has begun to look what is due: what a crash left is recovered.
    initialized: bool,
    /// Whether schedules run.
    is_running: bool,
    /// The next backup.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_run: Option<String>,
    /// The daily schedule in words.
    schedule: String,
    /// The zone of all schedules.
    timezone: String,
}

/// Mail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailStatus {
    /// Whether mail is sent.
    enabled: bool,
    /// Whether server, sender and receivers are set.
    configured: bool,
    /// Why the last mail could not be sent, when none was sent since.
    last_error: Option<String>,
}

/// Messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxStatus {
    /// Waiting.
    pending: u64,
    /// Taken by their receivers.
    sent: u64,
    /// Given up.
    given_up: u64,
}

fn status_of(app: &App) -> engine::Result<Status> {
    let config = app.strongroom.config();
    let figures = Figures::read(app)?;
    let disk = app.strongroom.disk()?;
    let schedules = Schedules::read(app)?;
    let outbox = app.catalog.outbox_count()?;
    let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
    for plan in &figures.plans {
        *by_type.entry(plan.tier.name().to_owned()).or_default() += plan.count;
    }
    let smtp = &config.notify.smtp;
    let jobs = app.catalog.jobs_count()?;
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: app.started_at,
        scheduler: SchedulerStatus {
            initialized: app.why_not_ready().is_none(),
            is_running: schedules.running,
            next_run: iso(schedules.next_backup(app.clock.now())),
            schedule: schedules.sentence(),
            timezone: config.timezone.iana_name().unwrap_or("UTC").to_owned(),
        },
        total_backups: figures.count,
        backups_by_type: by_type,
        stored_bytes: figures.bytes,
        alarms: crate::watch::alarms(app, &config, &figures, disk)?.into_iter().map(|alarm| alarm.text).collect(),
        last_backup: figures.last.map(Into::into),
        last_failure: figures.last_failure.map(Into::into),
        plans: figures.plans,
        disk,
        email: EmailStatus {
            enabled: config.notify.email_enabled,
            configured: smtp.host.is_some() && !smtp.to.is_empty(),
            last_error: app.catalog.outbox_trouble(engine::notify::EMAIL)?.map(|(_, error)| error),
        },
        outbox: OutboxStatus { pending: outbox.pending, sent: outbox.sent, given_up: outbox.given_up },
        jobs: jobs.into_iter().map(|(state, count): (JobState, u64)| (state.name().to_owned(), count)).collect(),
    })
}

/// Show how the backup system stands.
#[utoipa::path(get, path = "/api/backup/status", tag = "status", responses((status = 200, body = Success<Status>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["read"])))]
async fn status(State(app): State<App>) -> Answer<Status> {
    ok(app.blocking(status_of).await?)
}

/// Show how the backup system stands; the same as `GET /api/backup/status`, for viewers too.
#[utoipa::path(get, path = "/api/overview", tag = "status", responses((status = 200, body = Success<Status>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn overview(State(app): State<App>) -> Answer<Status> {
    ok(app.blocking(status_of).await?)
}

/// How far back.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// Days to look back.
    #[param(minimum = 1, maximum = 3660, default = 90)]
    days: Option<u32>,
}

/// Growth and durations over time, for charts.
#[utoipa::path(get, path = "/api/statistics", tag = "status", params(StatisticsQuery),
    responses((status = 200, body = Success<Statistics>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn statistics(State(app): State<App>, Query(query): Query<StatisticsQuery>) -> Answer<Statistics> {
    let days = super::limit(query.days, 90, 3660)?;
    ok(app.blocking(move |app| Statistics::read(app, days)).await?)
}

/// What `strongroom doctor` finds.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoctorReport {
    /// Nothing is a problem.
    healthy: bool,
    /// One by one.
    findings: Vec<Finding>,
}

/// Look for what will go wrong before it does.
#[utoipa::path(get, path = "/api/doctor", tag = "status", responses((status = 200, body = Success<DoctorReport>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["read"])))]
async fn doctor(State(app): State<App>) -> Answer<DoctorReport> {
    let findings = app.blocking(|app| app.strongroom.doctor()).await?;
    ok(DoctorReport { healthy: findings.iter().all(|finding| finding.level != "problem"), findings })
}
