//! The service from its start to its end: [`serve`] for the command line, [`Service`] for tests.
//!
//! Start: listen, recover what a crash left, then work; `/readyz` says how far it is. Stop: take nothing new, answer what is being asked, let running
//! jobs finish within their time, undo what does not. A second instance on the same records is refused.

use crate::auth::{guard, setup};
use crate::connections::Patience;
use crate::extract::too_large;
use crate::state::{App, panicked};
use crate::work::Strongroom;
use crate::{api, connections, dashboard, events, jobs, metrics, outbox, scheduler, systemd, tls, watch};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use engine::catalog::Catalog;
use engine::catalog::audit::{AuditEvent, AuditOutcome};
use engine::clock::Clock;
use engine::config::Server;
use engine::{Error, ErrorKind, Result};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::timeout::RequestBodyDeadlineLayer;

/// No request needs a larger body.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long open connections may take after the last job ended.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);
/// How long threads may take that are stuck in a read.
const THREADS_GRACE: Duration = Duration::from_secs(2);
/// What a crash left could not be put in order: tried again after this.
const RECOVER_AGAIN: Duration = Duration::from_secs(30);

/// What a service needs.
pub struct ServeOptions {
    /// Our own records.
    pub catalog: Arc<Catalog>,
    /// Everything that is done to backups; also brings the configuration.
    pub strongroom: Arc<dyn Strongroom>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How patient it is with its clients.
    pub patience: Patience,
    /// Called once, when the service answers: the place to print addresses.
    pub on_ready: Box<dyn FnOnce(&Ready) + Send>,
}

/// What there is to tell people at the start.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// Address for browsers.
    pub url: String,
    /// Where the first administrator is made, once; `None` when there is one.
    pub setup_link: Option<String>,
}

/// Runs the service until SIGTERM or SIGINT. SIGHUP reads the configuration again; the old one stays when the new is bad.
pub fn serve(options: ServeOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::io("starting the service's threads", cause))?;
    let result = runtime.block_on(async {
        let mut service = Service::start(options)?;
        let watchdog = systemd::keep_alive(&service.app);
        systemd::ready();
        until_told_to_stop(&mut service).await?;
        systemd::stopping();
        service.stop().await;
        watchdog.inspect(JoinHandle::abort);
        Ok(())
    });
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

async fn until_told_to_stop(service: &mut Service) -> Result<()> {
    let listen = |kind| signal(kind).map_err(|cause| Error::io("listening for signals", cause));
    let (mut terminate, mut interrupt, mut hang_up) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                systemd::reloading();
                service.reload().await;
                systemd::ready();
            }
        }
    }
}

/// A running service.
pub struct Service {
    /// What handlers share.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the first administrator is made, when there is none.
    pub setup_link: Option<String>,
    handle: Handle<SocketAddr>,
    tls: Option<RustlsConfig>,
    server: JoinHandle<()>,
    worker: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    _alone: Option<File>,
}

impl Service {
    /// Listens, and starts everything that runs by itself. Called inside a runtime.
    pub fn start(options: ServeOptions) -> Result<Self> {
        let app = App::new(options.catalog, options.strongroom, options.clock);
        let config = app.strongroom.config();
        refuse_plain_http(&config.server)?;
        let alone = alone(&config.state_dir)?;
        let tls = match &config.server.tls {
            Some((chain, key)) => Some(tls::acceptor(chain, key)?),
            None => None,
        };
        let (listener, address) = listen(config.server.listen)?;
        let secret = setup::begin(&app.catalog, app.clock.now())?;
        watch::remember_first_start(&app)?;
        let handle = Handle::new();
        let patience = options.patience;
        let server = tokio::spawn({
            let answering =
                connections::answer(listener, tls.clone(), handle.clone(), router(app.clone(), patience), patience);
            async move {
                if let Err(error) = answering.await {
                    tracing::error!(error = &error as &dyn std::error::Error, "the service does not listen any more");
                }
            }
        });
        let url = format!("{}://{}", if app.tls { "https" } else { "http" }, for_browsers(address));
        let setup_link = secret.map(|secret| setup::link(&url, &secret));
        app.catalog.audit(&own_event(&app, "service.start"))?;
        let (worker, others) = start_work(&app);
        events::started(&app);
        (options.on_ready)(&Ready { address, url, setup_link: setup_link.clone() });
        Ok(Self { app, address, setup_link, handle, tls, server, worker, others, _alone: alone })
    }

    /// Reads configuration and certificates again.
    pub async fn reload(&mut self) {
        if let Err(refusal) = self.app.reload().await {
            tracing::error!(error = refusal.detail().message, "the configuration was not taken; the old one stays");
            return;
        }
        let config = self.app.strongroom.config();
        if let (Some(running), Some((chain, key))) = (&self.tls, &config.server.tls) {
            match tls::load(chain, key) {
                Ok(new) => running.reload_from_config(new),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the certificate was not taken; the old one stays"
                    );
                }
            }
        }
        tracing::info!("the configuration was read again");
    }

    /// Stops: jobs first, then connections.
    pub async fn stop(self) {
        tracing::info!("the service stops");
        self.app.stop();
        for task in std::iter::once(self.worker).chain(self.others) {
            // A task that panicked is over too; it was logged.
            let _ = task.await;
        }
        self.handle.graceful_shutdown(Some(CONNECTIONS_GRACE));
        let _ = self.server.await;
        if let Err(error) = self.app.catalog.audit(&own_event(&self.app, "service.stop")) {
            tracing::error!(error = &error as &dyn std::error::Error, "the stop could not be audited");
        }
    }

    /// Ends at once, as a crash would, as far as a process can do that to itself. For tests.
    pub fn abandon(self) {
        self.server.abort();
        self.worker.abort();
        self.others.iter().for_each(JoinHandle::abort);
    }
}

fn own_event(app: &App, action: &str) -> AuditEvent {
    AuditEvent {
        at: app.clock.now(),
        actor: "service".to_owned(),
        origin: "service".to_owned(),
        action: action.to_owned(),
        subject: None,
        outcome: AuditOutcome::Success,
        details: serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }),
    }
}

/// Passwords and tokens are not sent readable over a network, unless somebody says that a proxy in front does TLS.
fn refuse_plain_http(server: &Server) -> Result<()> {
    if server.tls.is_some() || server.allow_plain_http || server.listen.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        format!("{} can be reached from other machines, and there is no TLS", server.listen),
        "Set server.tls_certificate and server.tls_key, listen on 127.0.0.1, or say server.allow_plain_http = true when a proxy in front does TLS.",
    ))
}

/// Of two services on the same records, one runs: jobs have one runner.
fn alone(state_dir: &std::path::Path) -> Result<Option<File>> {
    if !state_dir.is_dir() {
        return Ok(None);
    }
    let path = state_dir.join("serve.lock");
    let doing = |cause| Error::io(format!("locking {}", path.display()), cause);
    let file = File::options().create(true).append(true).open(&path).map_err(doing)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            "the service runs already for this application",
            "Stop it first, or use the one that runs.",
        )),
        Err(std::fs::TryLockError::Error(cause)) => Err(doing(cause)),
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let doing = |cause| {
        Error::io(format!("listening on {address}"), cause)
            .with_hint("Choose another address with --listen, or stop what uses this one.")
    };
    let listener = TcpListener::bind(address).map_err(doing)?;
    listener.set_nonblocking(true).map_err(doing)?;
    let address = listener.local_addr().map_err(doing)?;
    Ok((listener, address))
}

fn for_browsers(address: SocketAddr) -> String {
    if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// Recovery first: until it is through, nothing else touches a backup. Answers are given meanwhile.
fn start_work(app: &App) -> (JoinHandle<()>, Vec<JoinHandle<()>>) {
    let worker = tokio::spawn({
        let app = app.clone();
        async move {
            recover(&app).await;
            let schedules = tokio::spawn(scheduler::run(app.clone()));
            jobs::worker::work(app).await;
            let _ = schedules.await;
        }
    });
    let others = vec![tokio::spawn(outbox::run(app.clone())), tokio::spawn(watch::run(app.clone()))];
    (worker, others)
}

/// Puts in order what a crash left. What cannot be put in order is told, and tried again until it can: work on top of it
/// could lose what is still there.
async fn recover(app: &App) {
    let mut told = false;
    while !app.is_stopping() {
        let recovering = app.clone();
        let recovered = tokio::task::spawn_blocking(move || {
            // The engine logs what it did.
            recovering.strongroom.recover(Arc::new(vault::Silent))?;
            jobs::recover::recover(&recovering)
        })
        .await;
        let error = match recovered {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::internal("putting things in order after a crash panicked"),
        };
        let what = "What a crash left half done could not be put in order";
        app.not_ready(&format!("{what}: {}", error.message()));
        if !std::mem::replace(&mut told, true) {
            events::critical(app, what, &error);
        }
        tokio::select! {
            () = tokio::time::sleep(RECOVER_AGAIN) => {}
            () = app.scheduler_woken() => {}
            () = app.stopping() => {}
        }
    }
}

/// All routes in their layers. Outermost first: panics, figures, headers, compression, size, the gate.
pub fn router(app: App, patience: Patience) -> Router {
    let compressible = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("text/event-stream"));
    api::router()
        .fallback(dashboard::fallback)
        .method_not_allowed_fallback(dashboard::method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_declared_size))
        .layer(RequestBodyDeadlineLayer::new(patience.body))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::count))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| panicked().into_response()))
        .with_state(app)
}

/// Says so before a body is sent that nobody will read, also where a route reads none.
async fn limit_declared_size(request: Request, next: Next) -> Response {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return too_large().into_response();
    }
    next.run(request).await
}

/// Headers that every answer carries, unless the answer brings its own.
async fn headers(axum::extract::State(app): axum::extract::State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut usual = vec![
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    if app.tls {
        usual.push((STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    }
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
