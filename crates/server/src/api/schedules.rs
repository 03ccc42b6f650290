//! Schedules: what runs when, in words and in times; start, stop, edit, preview.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::{Body, Path, Query};
use crate::schedules::{Schedules, Task};
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use engine::schedule::Schedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(preview))
        .routes(routes!(edit))
}

/// All schedules.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleList {
    /// Whether anything runs by itself.
    running: bool,
    /// `ENABLE_SCHEDULED_BACKUPS=false` holds: starting is refused.
    disabled_by_configuration: bool,
    /// The zone of all expressions.
    #[schema(example = "America/New_York")]
    timezone: String,
    /// One by one.
    schedules: Vec<ScheduleView>,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// Its plan; absent for cleanup, verification and drills.
    plan: Option<String>,
    /// `daily`, `weekly`, `monthly`, `cleanup`, `verify` or `drill`.
    #[schema(example = "daily")]
    task: String,
    /// Cron expression; absent when it is off.
    #[schema(example = "0 2 * * *")]
    expression: Option<String>,
    /// It was set here and not in the configuration.
    edited: bool,
    /// In words.
    #[schema(example = "Daily at 2:00 AM")]
    sentence: Option<String>,
    /// The next ten runs; empty when the schedules are stopped.
    #[schema(value_type = Vec<String>)]
    next_runs: Vec<Timestamp>,
    /// When it last ran.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_run: Option<Timestamp>,
}

fn list_of(app: &App) -> engine::Result<ScheduleList> {
    let schedules = Schedules::read(app)?;
    let now = app.clock.now();
    let view = |task: &Task| {
        let schedule = task.schedule.as_ref();
        Ok(ScheduleView {
            plan: task.key.plan.clone(),
            task: task.key.task.clone(),
            expression: schedule.map(|schedule| schedule.expression().to_owned()),
            edited: task.edited,
            sentence: schedule.map(Schedule::sentence),
            next_runs: schedule
                .filter(|_| schedules.running)
                .map(|schedule| schedule.next_n(now, 10).into_iter().map(|slot| slot.at).collect())
                .unwrap_or_default(),
            last_run: task.last_run(app)?,
        })
    };
    Ok(ScheduleList {
        running: schedules.running,
        disabled_by_configuration: schedules.disabled_by_configuration,
        timezone: zone_name(&app.strongroom.config().timezone),
        schedules: schedules.tasks.iter().map(view).collect::<engine::Result<_>>()?,
    })
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

/// List the schedules with their next ten runs.
#[utoipa::path(get, path = "/api/schedules", tag = "schedules", responses((status = 200, body = Success<ScheduleList>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>) -> Answer<ScheduleList> {
    ok(app.blocking(list_of).await?)
}

/// Start all schedules.
#[utoipa::path(post, path = "/api/schedules/start", tag = "schedules",
    responses((status = 200, body = Success<ScheduleList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["backup"])))]
async fn start(State(app): State<App>, principal: Principal) -> Answer<ScheduleList> {
    set_running(&app, &principal, true).await?;
    ok(app.blocking(list_of).await?)
}

/// Stop all schedules.
#[utoipa::path(post, path = "/api/schedules/stop", tag = "schedules",
    responses((status = 200, body = Success<ScheduleList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn stop(State(app): State<App>, principal: Principal) -> Answer<ScheduleList> {
    set_running(&app, &principal, false).await?;
    ok(app.blocking(list_of).await?)
}

/// Starts or stops all schedules; the choice survives restarts.
pub async fn set_running(app: &App, principal: &Principal, running: bool) -> Result<(), Refusal> {
    if running && !app.strongroom.config().schedule.enabled {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "refused",
            "schedules are switched off in the configuration (ENABLE_SCHEDULED_BACKUPS=false)",
            "Remove that setting and reload the configuration; then start them.",
        ));
    }
    let actor = principal.actor();
    app.blocking(move |app| Schedules::set_running(app, running, &actor)).await?;
    app.wake_scheduler();
    let action = if running { "schedules.start" } else { "schedules.stop" };
    app.audit_done(principal, action, "").await
}

/// What to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// Cron expression: five fields.
    #[param(example = "0 2 * * *")]
    expression: String,
    /// Zone; the schedules' own when absent.
    zone: Option<String>,
    /// Runs after this time; now when absent. Choose a day before a clock change to see what happens then.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// How many runs.
    #[param(minimum = 1, maximum = 100, default = 10)]
    count: Option<u32>,
}

/// What an expression means.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The expression with single spaces.
    expression: String,
    /// In words.
    sentence: String,
    /// The zone.
    zone: String,
    /// The next runs.
    next_runs: Vec<PreviewRun>,
}

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewRun {
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What a clock on the wall says then.
    #[schema(example = "2026-03-08T03:00:00-04:00")]
    local: String,
    /// The wall clock's time that the expression names does not exist or differs that day: a clock change moved it.
    moved: bool,
}

/// Read an expression: what it means and when it would run.
#[utoipa::path(get, path = "/api/schedules/preview", tag = "schedules", params(PreviewQuery),
    responses((status = 200, body = Success<Preview>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn preview(State(app): State<App>, Query(query): Query<PreviewQuery>) -> Answer<Preview> {
    let count = super::limit(query.count, 10, 100)? as usize;
    let zone = match query.zone {
        None => app.strongroom.config().timezone.clone(),
        Some(name) => TimeZone::get(&name)
            .map_err(|_| Refusal::bad_request(format!("{name:?} is not a zone such as Europe/London")))?,
    };
    let from = query.from.unwrap_or_else(|| app.clock.now());
    ok(app
        .blocking(move |_| {
            let schedule = Schedule::parse(&query.expression, zone.clone(), "expression")?;
            let runs = schedule.next_n(from, count).into_iter().map(|slot| {
                let local = slot.at.to_zoned(zone.clone());
                PreviewRun {
                    at: slot.at,
                    local: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                    moved: local.datetime() != slot.local,
                }
            });
            Ok(Preview {
                expression: schedule.expression().to_owned(),
                sentence: schedule.sentence(),
                zone: zone_name(&zone),
                next_runs: runs.collect(),
            })
        })
        .await?)
}

/// When a task shall run.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditSchedule {
    /// Cron expression, `off`, or `null` for what the configuration says.
    #[schema(example = "30 1 * * *")]
    expression: Option<String>,
}

/// Change when something runs. `plan` is `-` for `cleanup`, `verify` and `drill`.
#[utoipa::path(put, path = "/api/schedules/{plan}/{task}", tag = "schedules",
    params(("plan" = String, Path), ("task" = String, Path, description = "daily, weekly, monthly, cleanup, verify or drill")),
    request_body = EditSchedule, responses((status = 200, body = Success<ScheduleList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn edit(
    State(app): State<App>,
    principal: Principal,
    Path((plan, task)): Path<(String, String)>,
    Body(body): Body<EditSchedule>,
) -> Answer<ScheduleList> {
    let actor = principal.actor();
    let name = format!("{plan}/{task}");
    let detail = body.expression.clone().unwrap_or_else(|| "as configured".to_owned());
    let result = app
        .blocking(move |app| {
            Schedules::edit(app, &plan, &task, body.expression.as_deref(), &actor)?;
            list_of(app)
        })
        .await;
    app.audit_outcome(&principal, "schedules.edit", &format!("{name}: {detail}"), &result).await?;
    app.wake_scheduler();
    ok(result?)
}
