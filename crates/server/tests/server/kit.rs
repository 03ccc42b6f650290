//! A service under test, and a client that knows the envelope.

use crate::fake::Fake;
use engine::catalog::Catalog;
use engine::catalog::tokens::Scope;
use engine::catalog::users::{Role, User};
use engine::clock::Clock;
use engine::config::component::FilesSettings;
use engine::config::{ComponentConfig, ComponentSettings, Config, ConfigInputs, Found, JwtSettings, NotifySettings};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;
use server::serve::Service;
use server::{Patience, ServeOptions};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const PASSWORD: &str = "correct horse battery";

/// A clock that tests set.
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    pub fn at(time: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(time.parse().unwrap())))
    }

    pub fn set(&self, time: Timestamp) {
        *self.0.lock().unwrap() = time;
    }

    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// What a test wants otherwise than usual.
#[derive(Default)]
pub struct Setup {
    pub env: Vec<(&'static str, String)>,
    pub notify: Option<NotifySettings>,
    pub jwt: Option<JwtSettings>,
    pub second_plan: bool,
    pub schedules: bool,
}

impl Setup {
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub fn config(&self, folder: &Path) -> Config {
        let mut env: BTreeMap<String, String> = [("BACKUP_ENCRYPTION", "none"), ("BACKUP_DAILY_SCHEDULE", "0 2 * * *")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        env.extend(self.env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let inputs = ConfigInputs { folder: folder.to_owned(), env, ..ConfigInputs::default() };
        let uploads = FilesSettings {
            path: folder.join("uploads"),
            include: Vec::new(),
            exclude: Vec::new(),
            one_file_system: false,
        };
        let component =
            |name: &str| ComponentConfig { name: name.to_owned(), settings: ComponentSettings::Files(uploads.clone()) };
        let found = Found { components: vec![component("database"), component("uploads")], notes: Vec::new() };
        let mut config = Config::load(&inputs, |_, _| Ok(found)).unwrap();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.server.shutdown_timeout = Duration::from_millis(200);
        if !self.schedules {
            config.plans.iter_mut().for_each(|plan| plan.schedules.clear());
            config.schedule.cleanup = None;
            config.schedule.verify = None;
            config.schedule.drill = None;
        }
        if self.second_plan {
            let mut second = config.plans[0].clone();
            "second".clone_into(&mut second.name);
            config.plans.push(second);
        }
        if let Some(notify) = &self.notify {
            config.notify = notify.clone();
        }
        if self.jwt.is_some() {
            config.server.jwt.clone_from(&self.jwt);
        }
        config
    }

    pub fn start(self) -> Kit {
        self.start_at(Arc::new(engine::clock::SystemClock))
    }

    pub fn start_at(self, clock: Arc<dyn Clock>) -> Kit {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("backups/.strongroom")).unwrap();
        let config = self.config(folder.path());
        Kit::over(folder, config, clock)
    }
}

/// A running service.
pub struct Kit {
    pub folder: Option<tempfile::TempDir>,
    pub fake: Arc<Fake>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub address: SocketAddr,
    pub setup_link: Option<String>,
    runtime: Option<tokio::runtime::Runtime>,
    service: Option<Service>,
}

impl Kit {
    pub fn start() -> Self {
        Setup::default().start()
    }

    pub fn over(folder: tempfile::TempDir, config: Config, clock: Arc<dyn Clock>) -> Self {
        Self::try_over(folder, config, clock).unwrap()
    }

    pub fn try_over(folder: tempfile::TempDir, config: Config, clock: Arc<dyn Clock>) -> engine::Result<Self> {
        let catalog = Arc::new(Catalog::open(&folder.path().join("catalog.db"))?);
        let fake = Arc::new(Fake::new(Arc::clone(&catalog), Arc::clone(&clock), config));
        Self::try_with(folder, fake)
    }

    pub fn with(folder: tempfile::TempDir, fake: Arc<Fake>) -> Self {
        Self::try_with(folder, fake).unwrap()
    }

    fn try_with(folder: tempfile::TempDir, fake: Arc<Fake>) -> engine::Result<Self> {
        Self::patient(folder, fake, Patience::default())
    }

    pub fn patient(folder: tempfile::TempDir, fake: Arc<Fake>, patience: Patience) -> engine::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let strongroom: Arc<dyn server::Strongroom> = Arc::<Fake>::clone(&fake);
        let (catalog, clock) = (Arc::clone(&fake.catalog), Arc::clone(&fake.clock));
        let options = ServeOptions {
            catalog: Arc::clone(&catalog),
            strongroom,
            clock: Arc::clone(&clock),
            patience,
            on_ready: Box::new(|_| {}),
        };
        let service = runtime.block_on(async { Service::start(options) })?;
        Ok(Self {
            folder: Some(folder),
            fake,
            catalog,
            clock,
            address: service.address,
            setup_link: service.setup_link.clone(),
            runtime: Some(runtime),
            service: Some(service),
        })
    }

    pub fn app(&self) -> &server::state::App {
        &self.service.as_ref().unwrap().app
    }

    /// Ends as `kill -9` would and starts again on the same catalog. Work that waits at the gate never goes on.
    pub fn crash(mut self) -> Self {
        self.service.take().unwrap().abandon();
        self.runtime.take().unwrap().shutdown_background();
        Self::with(self.folder.take().unwrap(), Arc::new(self.fake.successor()))
    }

    /// Stops as SIGTERM would and starts again on the same catalog.
    pub fn restart(mut self) -> Self {
        let service = self.service.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(service.stop());
        Self::with(self.folder.take().unwrap(), Arc::new(self.fake.successor()))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn token(&self, scopes: &[Scope]) -> String {
        let name = engine::id::Id::generate().unwrap().to_string();
        let now = self.clock.now();
        server::auth::token::create(&self.catalog, &name, scopes.iter().copied().collect(), None, "test", now)
            .unwrap()
            .0
    }

    pub fn user(&self, name: &str, role: Role) {
        let user = User {
            name: name.to_owned(),
            role,
            password_hash: Some(server::auth::password::hash(PASSWORD).unwrap()),
            email: None,
            created_at: self.clock.now(),
            signed_in_at: None,
        };
        self.catalog.user_add(&user).unwrap();
    }

    /// A client with all rights.
    pub fn admin(&self) -> Caller {
        self.bearer(self.token(&[Scope::Admin]))
    }

    pub fn bearer(&self, token: String) -> Caller {
        Caller { base: self.url(""), client: client(), headers: vec![("authorization", format!("Bearer {token}"))] }
    }

    pub fn anonymous(&self) -> Caller {
        Caller { base: self.url(""), client: client(), headers: Vec::new() }
    }

    /// Signs in and carries the cookie as a browser's own page would.
    pub fn signed_in(&self, name: &str) -> Caller {
        let answer = self
            .anonymous()
            .request(Method::POST, "/api/session")
            .json(&serde_json::json!({"name": name, "password": PASSWORD}))
            .send()
            .unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let headers = vec![("cookie", cookie), ("sec-fetch-site", "same-origin".to_owned())];
        Caller { base: self.url(""), client: client(), headers }
    }

    /// Waits until everything that a start does is done.
    pub fn ready(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while let Some(why) = self.app().why_not_ready() {
            assert!(Instant::now() < until, "{why}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Makes a backup and waits for it.
    pub fn backup(&self) -> String {
        let admin = self.admin();
        let started = admin.post("/api/backup/create", &serde_json::json!({})).expect(202);
        let id = started["id"].as_str().unwrap().to_owned();
        self.wait_for(&id, "succeeded");
        id
    }

    pub fn wait_for(&self, job: &str, state: &str) -> engine::catalog::jobs::Job {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.catalog.job(job).unwrap().unwrap();
            if found.state.name() == state {
                return found;
            }
            assert!(Instant::now() < until, "job {job} is {}, not {state}: {found:?}", found.state.name());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Kit {
    fn drop(&mut self) {
        if let (Some(service), Some(runtime)) = (self.service.take(), &self.runtime) {
            self.fake.gate.open();
            runtime.block_on(service.stop());
        }
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(30)).redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Somebody who asks.
#[derive(Clone)]
pub struct Caller {
    pub base: String,
    pub client: Client,
    pub headers: Vec<(&'static str, String)>,
}

/// An answer whose envelope was checked.
pub struct Checked {
    pub status: u16,
    pub body: Value,
    pub headers: reqwest::header::HeaderMap,
}

impl Caller {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    pub fn get(&self, path: &str) -> Checked {
        checked(self.request(Method::GET, path).send().unwrap())
    }

    pub fn delete(&self, path: &str) -> Checked {
        checked(self.request(Method::DELETE, path).send().unwrap())
    }

    pub fn post(&self, path: &str, body: &Value) -> Checked {
        checked(self.request(Method::POST, path).json(body).send().unwrap())
    }

    pub fn put(&self, path: &str, body: &Value) -> Checked {
        checked(self.request(Method::PUT, path).json(body).send().unwrap())
    }

    pub fn patch(&self, path: &str, body: &Value) -> Checked {
        checked(self.request(Method::PATCH, path).json(body).send().unwrap())
    }
}

/// Every answer is an envelope that fits its status.
pub fn checked(answer: Response) -> Checked {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: no JSON: {text:?}"));
    assert_eq!(body["success"], status < 400, "{status}: {body}");
    if status >= 400 {
        for field in ["code", "message", "hint"] {
            assert!(body["error"][field].is_string(), "{status}: {body}");
        }
    } else {
        assert!(body.get("data").is_some(), "{status}: {body}");
    }
    Checked { status, body, headers }
}

impl Checked {
    /// The data of an answer with this status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["data"].clone()
    }

    /// The code of a failure with this status.
    pub fn refused(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["error"]["code"].as_str().unwrap().to_owned()
    }
}
