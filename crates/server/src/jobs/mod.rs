//! Long work. A job is in the catalog before its id is told to anybody; the worker takes jobs from there. There are three
//! queues, and jobs of one queue never overlap: backups of all plans (so a plan never overlaps itself, and plans that are
//! due in the same minute wait for each other), restores, and care (proofs and cleanup). Between the queues the engine's
//! own locks decide.

mod live;
pub mod recover;
mod run;
pub mod worker;

pub use live::{Live, ProgressView};
pub use run::Done;

use crate::answer::Refusal;
use crate::api::JobStarted;
use crate::state::App;
use crate::work::{BackupRequest, DrillRequest, RestoreRequest, UndoRequest, VerifyRequest};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use engine::catalog::jobs::{Job, JobKind, JobState};
use engine::id::Id;
use engine::room::Actor;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Queue of backups.
const BACKUPS: &str = "backups";
/// Queue of restores and undos.
const RESTORES: &str = "restores";
/// Queue of proofs and cleanup.
const CARE: &str = "care";

/// Work that runs in this process now.
#[derive(Default)]
pub struct Jobs {
    live: Mutex<HashMap<Id, Arc<Live>>>,
    added: Notify,
}

impl Jobs {
    /// How far a job is, when it runs here.
    pub fn progress(&self, id: &Id) -> Option<ProgressView> {
        self.find(id).map(|live| live.view())
    }

    fn find(&self, id: &Id) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Waits until a job is added.
    pub async fn added(&self) {
        self.added.notified().await;
    }

    /// Lets the worker look again now.
    pub fn wake(&self) {
        self.added.notify_one();
    }

    /// Whatever runs now, with when it began.
    pub fn all(&self) -> Vec<(Id, Arc<Live>)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter().map(|(id, live)| (id.clone(), Arc::clone(live))).collect()
    }

    fn begin(&self, id: &Id) -> Arc<Live> {
        let live = Arc::new(Live::default());
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::clone(&live));
        live
    }

    fn end(&self, id: &Id) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Asks all to stop.
    pub fn cancel_all(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|live| live.cancel());
    }
}

/// Work that is to be done.
pub struct NewJob {
    id: Id,
    kind: JobKind,
    queue: String,
    request: Value,
    actor: Actor,
}

impl NewJob {
    fn new(id: &Id, kind: JobKind, queue: &str, request: &impl Serialize, actor: Actor) -> Self {
        Self { id: id.clone(), kind, queue: queue.to_owned(), request: json!(request), actor }
    }

    /// A backup.
    pub fn backup(request: BackupRequest, actor: Actor) -> Self {
        Self::new(&request.id, JobKind::Backup, BACKUPS, &request, actor)
    }

    /// A restore.
    pub fn restore(request: RestoreRequest, actor: Actor) -> Self {
        Self::new(&request.id, JobKind::Restore, RESTORES, &request, actor)
    }

    /// An undo.
    pub fn undo(request: UndoRequest, actor: Actor) -> Self {
        Self::new(&request.id, JobKind::Undo, RESTORES, &request, actor)
    }

    /// A verification.
    pub fn verify(request: VerifyRequest, actor: Actor) -> Self {
        Self::new(&request.id, JobKind::Verify, CARE, &request, actor)
    }

    /// A drill.
    pub fn drill(request: DrillRequest, actor: Actor) -> Self {
        Self::new(&request.id, JobKind::Drill, CARE, &request, actor)
    }

    /// A cleanup.
    pub fn cleanup(id: Id, actor: Actor) -> Self {
        Self::new(&id, JobKind::Cleanup, CARE, &json!({}), actor)
    }

    /// As it is written down.
    pub fn into_job(self, app: &App) -> Job {
        Job {
            id: self.id,
            kind: self.kind,
            queue: self.queue,
            state: JobState::Queued,
            request: self.request,
            actor: self.actor.name,
            origin: self.actor.origin,
            attempt: 1,
            created_at: app.clock.now(),
            started_at: None,
            finished_at: None,
            result: None,
            error: None,
        }
    }
}

/// The `Idempotency-Key` header: the same request sent twice with the same key starts one job.
pub struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= 200);
        let key = key.ok_or_else(|| Refusal::bad_request("`Idempotency-Key` has 1 to 200 visible characters"))?;
        Ok(Self(Some(format!("{} {}", parts.uri.path(), key))))
    }
}

impl App {
    /// Writes a job down and lets the workers know.
    pub async fn submit(&self, new: NewJob, key: IdempotencyKey) -> Result<JobStarted, Refusal> {
        if self.is_stopping() {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the service is stopping",
                "Ask again in a moment.",
            ));
        }
        // Keys of different people are different keys.
        let key = key.0.map(|key| format!("{} {key}", new.actor.name));
        let wanted = without_ids(&new.request);
        let actor = new.actor.clone();
        let (job, added) = self
            .blocking(move |app| {
                let job = new.into_job(app);
                app.catalog.job_add(&job, key.as_deref())
            })
            .await?;
        if added {
            self.audit_event(&actor, &format!("{}.start", job.kind.name()), job.id.as_str(), job.request.clone())
                .await?;
            self.jobs.wake();
        } else if without_ids(&job.request) != wanted {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "this Idempotency-Key was used for another request",
                "Take a new key for a new request.",
            ));
        }
        Ok((&job).into())
    }

    /// Cancels a job: a queued one at once, a running one at its next safe point.
    pub async fn cancel_job(&self, id: &Id) -> Result<(), Refusal> {
        let wanted = id.clone();
        let was_queued =
            self.blocking(move |app| app.catalog.job_cancel_queued(wanted.as_str(), app.clock.now())).await?;
        if !was_queued && let Some(live) = self.jobs.find(id) {
            live.cancel();
        }
        Ok(())
    }
}

fn without_ids(request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("id");
    }
    request
}
