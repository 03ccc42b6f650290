//! Who did what, when, from where, and what came of it.

use crate::answer::{Answer, Success, ok};
use crate::extract::Query;
use crate::state::App;
use axum::extract::State;
use engine::catalog::audit::{AuditEntry, AuditFilter, AuditOutcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify))
}

/// What came of it.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes Outcome in the document")]
pub enum OutcomeName {
    /// It was done.
    Success,
    /// It failed.
    Failure,
    /// It was not allowed.
    Refused,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number: 1, 2, 3, … without gaps.
    seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who: a user's name, `token:NAME`, `jwt:NAME`, `scheduler`.
    actor: String,
    /// From where: an address, or `local`.
    origin: String,
    /// What.
    #[schema(example = "backup.delete")]
    action: String,
    /// To what: an id, a name.
    subject: Option<String>,
    /// What came of it.
    #[schema(value_type = OutcomeName)]
    outcome: AuditOutcome,
    /// Whatever else there is to know.
    #[schema(value_type = Object)]
    details: serde_json::Value,
    /// SHA-256 over the predecessor's hash and this entry.
    hash: String,
}

impl From<AuditEntry> for AuditView {
    fn from(record: AuditEntry) -> Self {
        Self {
            seq: record.seq,
            at: record.at,
            actor: record.actor,
            origin: record.origin,
            action: record.action,
            subject: record.subject,
            outcome: record.outcome,
            details: record.details,
            hash: record.hash,
        }
    }
}

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By this actor.
    actor: Option<String>,
    /// Whose action is this, or begins with this and a dot: `backup` or `backup.delete`.
    action: Option<String>,
    /// On this subject.
    subject: Option<String>,
    /// With this outcome.
    #[param(value_type = Option<OutcomeName>)]
    outcome: Option<AuditOutcome>,
    /// Then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// So many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next` of the previous page.
    next: Option<u64>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    entries: Vec<AuditView>,
    /// How many there are in all.
    total: u64,
    /// Where the next page begins; `null` on the last one.
    next: Option<u64>,
}

/// List the audit log, newest first.
#[utoipa::path(get, path = "/api/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Success<AuditPage>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>, Query(query): Query<AuditQuery>) -> Answer<AuditPage> {
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        subject: query.subject,
        outcome: query.outcome,
        from: query.from,
        to: query.to,
        limit: Some(super::limit(query.limit, 50, 500)?),
        before: query.next,
    };
    let page = app.blocking(move |app| app.catalog.audit_entries(&filter)).await?;
    ok(AuditPage { entries: page.entries.into_iter().map(Into::into).collect(), total: page.total, next: page.next })
}

/// Whether the audit log is whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditVerified {
    /// Nothing was changed or removed.
    good: bool,
    /// Entries that were checked.
    entries: u64,
    /// What is wrong.
    problems: Vec<String>,
}

/// Check the audit log's chain of hashes, and that no end was cut off.
#[utoipa::path(get, path = "/api/audit/verify", tag = "audit", responses((status = 200, body = Success<AuditVerified>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn verify(State(app): State<App>) -> Answer<AuditVerified> {
    let report = app.blocking(|app| app.catalog.audit_verify(&app.strongroom.audit_heads()?)).await?;
    ok(AuditVerified { good: report.problems.is_empty(), entries: report.entries, problems: report.problems })
}
