//! The REST API: one file a resource. The OpenAPI document is generated from the handlers, and is also the policy: what a
//! request needs is read from its `security` (see [`crate::auth::policy`]), so that no route can be without one unnoticed.

mod audit;
mod backups;
mod cleanup;
mod downloads;
mod health;
mod jobs;
mod plans;
mod restores;
mod scheduled;
mod schedules;
mod session;
mod settings;
mod status;
mod stores;
mod tokens;
mod users;

pub use jobs::JobStarted;

use crate::answer::{Failure, Refusal};
use crate::state::App;
use axum::Router;
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::OnceLock;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// Name of the session's cookie.
pub const SESSION_COOKIE: &str = "strongroom_session";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Strongroom",
        description = "Backups that are proven to restore. Every answer is `{success:true,data}` or \
            `{success:false,error:{code,message,hint}}`. Long work answers 202 with the id of a job.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(Failure, crate::view::SortName)),
    tags(
        (name = "backups", description = "Make, look at, download and delete backups"),
        (name = "proof", description = "Verify backups and drill restoring them"),
        (name = "restores", description = "Restore, and undo it"),
        (name = "retention", description = "What is kept and what goes"),
        (name = "jobs", description = "Long work and its progress"),
        (name = "schedules", description = "When things run"),
        (name = "status", description = "How everything stands"),
        (name = "audit", description = "Who did what"),
        (name = "access", description = "People, tokens, sessions"),
        (name = "settings", description = "Configuration and notifications"),
        (name = "health", description = "For machines")
    )
)]
struct Description;

/// All routes with their description.
fn described() -> (Router<App>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(backups::routes())
        .merge(downloads::routes())
        .merge(restores::routes())
        .merge(cleanup::routes())
        .merge(jobs::routes())
        .merge(scheduled::routes())
        .merge(schedules::routes())
        .merge(plans::routes())
        .merge(status::routes())
        .merge(stores::routes())
        .merge(audit::routes())
        .merge(session::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(settings::routes())
        .merge(health::routes())
        .split_for_parts();
    complete(&mut document);
    (router, document)
}

/// All routes.
pub fn router() -> Router<App> {
    described().0
}

/// The description of all routes, OpenAPI 3.1.
pub fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| described().1)
}

/// The same as JSON.
pub fn document_json() -> &'static str {
    static JSON: OnceLock<String> = OnceLock::new();
    JSON.get_or_init(|| document().to_json().unwrap_or_default())
}

/// What is the same everywhere: how one signs in, and that every failure looks alike.
fn complete(document: &mut Document) {
    let schemes = &mut document.components.get_or_insert_default().security_schemes;
    let cookie =
        ApiKeyValue::with_description(SESSION_COOKIE, "A signed-in browser; the list names the role it needs.");
    schemes.insert("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token with the named scope, or the host application's JWT."))
        .build();
    schemes.insert("bearer".to_owned(), SecurityScheme::Http(bearer).into());
    let failure = ResponseBuilder::new()
        .description("Whatever goes wrong")
        .content("application/json", Content::new(Some(Ref::from_schema_name("Failure"))))
        .build();
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
            ("head", &mut item.head),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            operation.responses.responses.insert("default".to_owned(), failure.clone().into());
        }
    }
}

/// Unique in the document, as `OpenAPI` demands: generators name their types by it. The handlers' names are not.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && *word != "api");
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// So many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Without the first so many.
    offset: Option<u32>,
}

impl PageQuery {
    fn limit(&self, usual: u32, max: u32) -> Result<u32, Refusal> {
        limit(self.limit, usual, max)
    }

    fn offset(&self) -> u32 {
        self.offset.unwrap_or(0)
    }
}

/// A number between 1 and `max`.
fn limit(asked: Option<u32>, usual: u32, max: u32) -> Result<u32, Refusal> {
    match asked.unwrap_or(usual) {
        asked if (1..=max).contains(&asked) => Ok(asked),
        asked => Err(Refusal::bad_request(format!("{asked} is out of bounds: between 1 and {max} is possible"))),
    }
}

/// A time as the documents write it: UTC with three digits.
fn milliseconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_in_the_documents() {
        let time = "2025-01-01T02:00:00Z".parse().unwrap();
        assert_eq!(milliseconds(time), "2025-01-01T02:00:00.000Z");
    }
}
