//! Plans and components, as the configuration has them.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::state::App;
use axum::extract::State;
use engine::config::{Config, DEFAULT_PLAN, Plan};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What is backed up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanList {
    /// What is backed up together.
    plans: Vec<PlanView>,
    /// What can be backed up.
    components: Vec<ComponentView>,
    /// The components were found by looking, not written down.
    components_detected: bool,
    /// What a person should know about the configuration.
    notes: Vec<String>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// Its name.
    name: String,
    /// For people.
    description: Option<String>,
    /// Names of its components.
    components: Vec<String>,
    /// `json`, `tar` or `repository`.
    #[schema(value_type = crate::view::FormatName)]
    format: engine::manifest::Format,
}

/// A component.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentView {
    /// Its name.
    name: String,
    /// `files`, `config`, `logs`, `sqlite`, `postgres` or `mysql`.
    #[schema(value_type = crate::view::KindName)]
    kind: engine::manifest::ComponentKind,
}

/// List plans and components.
#[utoipa::path(get, path = "/api/plans", tag = "settings", responses((status = 200, body = Success<PlanList>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>) -> Answer<PlanList> {
    let config = app.strongroom.config();
    let plans = config.plans.iter().map(|plan| PlanView {
        name: plan.name.clone(),
        description: plan.description.clone(),
        components: plan.components.clone(),
        format: plan.format,
    });
    let components = config
        .components
        .iter()
        .map(|component| ComponentView { name: component.name.clone(), kind: component.settings.kind() });
    ok(PlanList {
        plans: plans.collect(),
        components: components.collect(),
        components_detected: config.components_detected,
        notes: config.notes.clone(),
    })
}

/// The plan of this name; without a name `default`, or the only one there is.
pub fn choose<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Plan, Refusal> {
    let names = || config.plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => config
            .plan(name)
            .ok_or_else(|| Refusal::bad_request(format!("there is no plan {name:?}; there are: {}", names()))),
        None => match (config.plan(DEFAULT_PLAN), &config.plans[..]) {
            (Some(plan), _) | (None, [plan]) => Ok(plan),
            _ => Err(Refusal::bad_request(format!("name a plan; there are: {}", names()))),
        },
    }
}

/// Refuses components that the plan does not have.
pub fn check_components(config: &Config, plan: &Plan, components: Option<&[String]>) -> Result<(), Refusal> {
    let Some(components) = components else { return Ok(()) };
    if components.is_empty() {
        return Err(Refusal::bad_request("`components` is empty: leave it out to take all"));
    }
    let known = |name: &String| plan.components.contains(name) && config.component(name).is_some();
    match components.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(unknown) => Err(Refusal::bad_request(format!(
            "plan {} has no component {unknown:?}; it has {}",
            plan.name,
            plan.components.join(", ")
        ))),
    }
}
