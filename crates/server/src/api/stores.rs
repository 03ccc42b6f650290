//! Where the backups lie: how many, how large, how much room is left.

use crate::answer::{Answer, Success, ok};
use crate::state::App;
use crate::work::DiskFigures;
use axum::extract::State;
use engine::catalog::backups::BackupRecord;
use engine::manifest::{Format, State as BackupState};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Where backups lie.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreList {
    /// One by one.
    stores: Vec<StoreView>,
}

/// A place where backups lie.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreView {
    /// `archives`: one file a backup; `repository`: deduplicated storage of many.
    kind: StoreKind,
    /// Where it is.
    #[schema(example = "/srv/app/backups")]
    location: String,
    /// Names of the plans that write to it.
    plans: Vec<String>,
    /// Backups that lie there.
    backups: u64,
    /// Bytes that they take.
    bytes: u64,
    /// Start of the newest good one there.
    #[schema(value_type = Option<String>, format = DateTime)]
    newest_at: Option<Timestamp>,
    /// What is written there from now on is encrypted.
    encrypted: bool,
    /// The disk that it lies on.
    disk: Option<DiskFigures>,
}

/// How backups lie in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// One file a backup.
    Archives,
    /// Deduplicated storage of many.
    Repository,
}

impl StoreKind {
    fn of_format(format: Format) -> Self {
        if format == Format::Repository { Self::Repository } else { Self::Archives }
    }

    /// A snapshot's place is `<repository>#<snapshot>`. What has no place never came to lie anywhere.
    fn of_record(record: &BackupRecord) -> Option<Self> {
        let location = record.location.as_deref()?;
        let file_name = location.rsplit('/').next().unwrap_or(location);
        Some(if file_name.contains('#') { Self::Repository } else { Self::Archives })
    }
}

fn stores_of(app: &App) -> engine::Result<Vec<StoreView>> {
    let config = app.strongroom.config();
    let disk = app.strongroom.disk()?;
    let records = app.catalog.backups_all()?;
    let view = |kind| {
        let location = match kind {
            StoreKind::Archives => config.backup_dir.clone(),
            StoreKind::Repository => config.backup_dir.join(engine::repository::FOLDER),
        };
        let there = || records.iter().filter(|record| StoreKind::of_record(record) == Some(kind));
        StoreView {
            kind,
            location: location.display().to_string(),
            plans: (config.plans.iter())
                .filter(|plan| StoreKind::of_format(plan.format) == kind)
                .map(|plan| plan.name.clone())
                .collect(),
            backups: there().count() as u64,
            bytes: there().filter_map(|record| record.bytes).sum(),
            newest_at: there().find(|record| record.state == BackupState::Succeeded).map(|record| record.started_at),
            encrypted: config.encryption.fingerprint().is_some(),
            disk,
        }
    };
    let stores = [StoreKind::Archives, StoreKind::Repository].map(view);
    Ok(stores.into_iter().filter(|store| store.backups > 0 || !store.plans.is_empty()).collect())
}

/// List where backups lie, how much they take and how much room is left.
#[utoipa::path(get, path = "/api/stores", tag = "settings", responses((status = 200, body = Success<StoreList>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn list(State(app): State<App>) -> Answer<StoreList> {
    ok(StoreList { stores: app.blocking(stores_of).await? })
}
