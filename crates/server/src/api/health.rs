//! For machines: whether the service lives, whether it can work, its figures, its description.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// The service lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: String,
}

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Success<Health>)))]
async fn healthz() -> Answer<Health> {
    ok(Health { status: "ok".to_owned() })
}

/// Says that the service can work: what a crash left is recovered, the scheduler works, the catalog answers, and it is not
/// stopping. Until then the answer is 503 with the reason.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Success<Health>)))]
async fn readyz(State(app): State<App>) -> Answer<Health> {
    if let Some(why) = app.why_not_ready() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Refusal::new(unavailable, "unavailable", why, "Ask again in a moment."));
    }
    app.blocking(|app| app.catalog.setting("ready").map(drop)).await?;
    ok(Health { status: "ok".to_owned() })
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, content_type = "text/plain", body = String)),
    security(("session" = ["VIEWER"]), ("bearer" = ["metrics"])))]
async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let text = app.blocking(crate::metrics::render).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// This description of the service.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, content_type = "application/json", body = Object)))]
async fn openapi() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (headers, super::document_json()).into_response()
}
