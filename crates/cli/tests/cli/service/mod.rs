//! `strongroom serve` as people run it: the built binary, over HTTP, killed and stopped as machines do it.

mod kills;
mod mails;
mod operation;
mod rows;

use crate::support::App;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);

/// A token of the application's service.
pub fn token(app: &App) -> String {
    app.ok(&["token", "create", "tests", "--scope", "admin"])["token"].as_str().unwrap().to_owned()
}

/// A running service.
pub struct Service {
    process: Child,
    base: String,
    client: Client,
    token: String,
}

impl Service {
    /// Starts it on a free port and waits until it is ready.
    pub fn start(app: &App) -> Self {
        Self::with(app, &token(app), &[])
    }

    /// Starts it after another one, which made the token of its name already.
    pub fn start_again(app: &App) -> Self {
        let token =
            app.ok(&["token", "create", "tests-again", "--scope", "admin"])["token"].as_str().unwrap().to_owned();
        Self::with(app, &token, &[])
    }

    /// The same with a known token and further variables.
    pub fn with(app: &App, token: &str, env: &[(&str, &str)]) -> Self {
        let mut command = app.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        command.envs(env.iter().copied());
        let service = Self::spawn(&mut command, token);
        let until = Instant::now() + LONG;
        while service.call(Method::GET, "/readyz", None).0 != 200 {
            assert!(Instant::now() < until, "the service is ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        service
    }

    /// Starts it and waits until it says where it is.
    pub fn spawn(command: &mut Command, token: &str) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|cause| panic!("{cause}: {line:?}"));
        let base = said["url"].as_str().unwrap().replace("localhost", "127.0.0.1");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(LONG).no_proxy().build().unwrap();
        Self { process, base, client, token: token.to_owned() }
    }

    /// Dies as `kill -9` lets it, and comes back.
    pub fn killed_and_back(mut self, app: &App) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        Self::with(app, &self.token, &[])
    }

    /// SIGTERM; how it ended.
    pub fn stopped(self) -> ExitStatus {
        self.signal("TERM");
        self.over()
    }

    /// How it ended.
    pub fn over(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Status and document of an answer.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = self.request(method, path);
        let request = if let Some(body) = body { request.json(body) } else { request };
        document(request.send().unwrap())
    }

    /// The data of a good answer.
    pub fn get(&self, path: &str) -> Value {
        good(document(self.request(Method::GET, path).send().unwrap()))
    }

    /// The data of a good answer.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        good(document(self.request(Method::POST, path).json(body).send().unwrap()))
    }

    /// Starts a job; its id.
    pub fn begin(&self, path: &str, body: &Value) -> String {
        self.post(path, body)["id"].as_str().unwrap().to_owned()
    }

    /// A job, once `reached` says so.
    pub fn job_that(&self, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + LONG;
        loop {
            let job = self.get(&format!("/api/jobs/{id}"));
            if reached(&job) {
                return job;
            }
            assert!(Instant::now() < until, "{job}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A job that is over.
    pub fn job_over(&self, id: &str) -> Value {
        self.job_that(id, |job| !["queued", "running"].contains(&job["state"].as_str().unwrap()))
    }

    /// A job that has come so far that a kill hits it in the middle.
    pub fn job_under_way(&self, id: &str) -> Value {
        let job = self.job_that(id, |job| job["state"] != "queued" && job["progress"]["bytes"].as_u64() != Some(0));
        assert_eq!(job["state"], "running", "it was over too soon: {job}");
        job
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn document(answer: Response) -> (u16, Value) {
    let status = answer.status();
    let text = answer.text().unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: no JSON: {text:?}"));
    assert_eq!(document["success"], status < StatusCode::BAD_REQUEST, "{status}: {document}");
    (status.as_u16(), document)
}

#[track_caller]
fn good((status, document): (u16, Value)) -> Value {
    assert!(status < 300, "{status}: {document}");
    document["data"].clone()
}
