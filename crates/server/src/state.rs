//! What all handlers share.

use crate::answer::Refusal;
use crate::api;
use crate::auth::limit::{Denials, Limiter};
use crate::auth::policy::Policy;
use crate::auth::{Client, Principal, jwt};
use crate::jobs::Jobs;
use crate::metrics::HttpFigures;
use crate::systemd;
use crate::work::Strongroom;
use axum::http::{Method, StatusCode};
use engine::catalog::Catalog;
use engine::catalog::audit::{AuditEvent, AuditOutcome};
use engine::clock::Clock;
use engine::room::Actor;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// The shared state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] points to.
pub struct Shared {
    /// Our own records.
    pub catalog: Arc<Catalog>,
    /// Everything that is done to backups.
    pub strongroom: Arc<dyn Strongroom>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What each route needs.
    pub policy: Policy,
    /// Slows guessing down.
    pub sign_in_limit: Limiter,
    /// Keys of the host application's tokens.
    pub jwt_keys: jwt::KeyCache,
    /// Work that runs now.
    pub jobs: Jobs,
    /// Refusals that were written down lately.
    pub denials: Denials,
    /// How requests went.
    pub http: HttpFigures,
    /// When the service started.
    pub started_at: Timestamp,
    /// We do TLS ourselves: cookies are marked `Secure`.
    pub tls: bool,
    looking: Mutex<()>,
    not_ready: Mutex<Option<String>>,
    stopping: watch::Sender<bool>,
    scheduler: Notify,
    outbox: Notify,
    watch: Notify,
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// A service that has not started yet.
    pub fn new(catalog: Arc<Catalog>, strongroom: Arc<dyn Strongroom>, clock: Arc<dyn Clock>) -> Self {
        let started_at = clock.now();
        let tls = strongroom.config().server.tls.is_some();
        Self(Arc::new(Shared {
            catalog,
            strongroom,
            clock,
            policy: Policy::read(api::document()),
            sign_in_limit: Limiter::default(),
            jwt_keys: jwt::KeyCache::default(),
            jobs: Jobs::default(),
            denials: Denials::default(),
            http: HttpFigures::default(),
            started_at,
            tls,
            looking: Mutex::default(),
            not_ready: Mutex::new(Some("what a crash may have left is being looked for".to_owned())),
            stopping: watch::Sender::new(false),
            scheduler: Notify::new(),
            outbox: Notify::new(),
            watch: Notify::new(),
        }))
    }

    /// Runs blocking work on its own thread. A panic there is an error here.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> engine::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let app = self.clone();
        match tokio::task::spawn_blocking(move || work(&app)).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(panicked()),
        }
    }

    /// Held by whoever looks what is due: two at once would both start it.
    pub fn looking(&self) -> MutexGuard<'_, ()> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to stop: nothing new is started.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.scheduler.notify_waiters();
        self.outbox.notify_waiters();
    }

    /// What keeps the service from working; `None` once everything is recovered and the scheduler has looked.
    pub fn why_not_ready(&self) -> Option<String> {
        if self.is_stopping() {
            return Some("the service is stopping".to_owned());
        }
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something keeps the service from working.
    pub fn not_ready(&self, why: &str) {
        systemd::status(why);
        *self.not_ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Everything that the service does by itself is done.
    pub fn ready(&self) {
        if self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            systemd::status("ready");
        }
    }

    /// Whether the service is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the service stops.
    pub async fn stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as `self`.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Lets the scheduler look again now.
    pub fn wake_scheduler(&self) {
        self.scheduler.notify_one();
    }

    /// Waits until the scheduler is woken.
    pub async fn scheduler_woken(&self) {
        self.scheduler.notified().await;
    }

    /// Lets the sender of messages look again now.
    pub fn wake_outbox(&self) {
        self.outbox.notify_one();
    }

    /// Waits until the sender of messages is woken.
    pub async fn outbox_woken(&self) {
        self.outbox.notified().await;
    }

    /// Waits until the limits of the alarms may have changed.
    pub async fn watch_woken(&self) {
        self.watch.notified().await;
    }

    /// Reads the configuration again; the old one stays when the new one is bad.
    pub async fn reload(&self) -> Result<(), Refusal> {
        let result = self.blocking(|app| app.strongroom.reload()).await;
        self.wake_scheduler();
        self.watch.notify_one();
        result
    }

    async fn audit(&self, event: AuditEvent) -> Result<(), Refusal> {
        self.blocking(move |app| app.catalog.audit(&event).map(drop)).await
    }

    /// Writes down that somebody asked for something.
    pub async fn audit_event(&self, actor: &Actor, action: &str, subject: &str, details: Value) -> Result<(), Refusal> {
        self.audit(AuditEvent {
            at: self.clock.now(),
            actor: actor.name.clone(),
            origin: actor.origin.clone(),
            action: action.to_owned(),
            subject: Some(subject.to_owned()),
            outcome: AuditOutcome::Success,
            details,
        })
        .await
    }

    fn event(
        &self,
        principal: &Principal,
        action: &str,
        subject: &str,
        outcome: AuditOutcome,
        details: Value,
    ) -> AuditEvent {
        AuditEvent {
            at: self.clock.now(),
            actor: principal.actor(),
            origin: principal.address.to_string(),
            action: action.to_owned(),
            subject: (!subject.is_empty()).then(|| clipped(subject)),
            outcome,
            details,
        }
    }

    /// Writes down that somebody did something.
    pub async fn audit_done(&self, principal: &Principal, action: &str, subject: &str) -> Result<(), Refusal> {
        self.audit(self.event(principal, action, subject, AuditOutcome::Success, json!({}))).await
    }

    /// Writes down what somebody did or tried, and what came of it.
    pub fn audit_outcome<T>(
        &self,
        principal: &Principal,
        action: &str,
        subject: &str,
        result: &Result<T, Refusal>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send {
        // Only the refusal goes into the future: what was opened need not be shareable between threads.
        let refusal = result.as_ref().err();
        async move {
            match refusal {
                None => self.audit_done(principal, action, subject).await,
                Some(refusal) => self.audit_refused(principal, action, subject, refusal).await,
            }
        }
    }

    /// Writes down what somebody tried and was refused.
    pub async fn audit_refused(
        &self,
        principal: &Principal,
        action: &str,
        subject: &str,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let outcome = if refusal.status().is_server_error() { AuditOutcome::Failure } else { AuditOutcome::Refused };
        let details = json!({"code": refusal.detail().code, "message": refusal.detail().message});
        self.audit(self.event(principal, action, subject, outcome, details)).await
    }

    /// Writes down what somebody tried without having proven who they are.
    pub async fn audit_anonymous(
        &self,
        client: &Client,
        action: &str,
        subject: &str,
        why: &str,
    ) -> Result<(), Refusal> {
        self.audit(AuditEvent {
            at: self.clock.now(),
            actor: "anonymous".to_owned(),
            origin: client.address.to_string(),
            action: action.to_owned(),
            subject: Some(clipped(subject)),
            outcome: AuditOutcome::Refused,
            details: json!({"message": why}),
        })
        .await
    }

    /// Writes down that a request was turned away at the gate. From one address so many a minute; a flood is counted.
    pub async fn audit_denied(
        &self,
        client: &Client,
        principal: Option<&Principal>,
        method: &Method,
        path: &str,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let Some(unwritten) = self.denials.count(client.address, self.clock.now()) else { return Ok(()) };
        let mut details = json!({"code": refusal.detail().code, "message": refusal.detail().message});
        if unwritten > 0 {
            details["furtherUnwritten"] = json!(unwritten);
        }
        self.audit(AuditEvent {
            at: self.clock.now(),
            actor: principal.map_or_else(|| "anonymous".to_owned(), Principal::actor),
            origin: client.address.to_string(),
            action: "access.denied".to_owned(),
            subject: Some(clipped(&format!("{method} {path}"))),
            outcome: AuditOutcome::Refused,
            details,
        })
        .await
    }
}

/// What strangers send must not fill the log.
fn clipped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What a client hears of a panic.
pub fn panicked() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this is a defect of Strongroom",
        "Please report it with the log.",
    )
}
