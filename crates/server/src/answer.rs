//! The one envelope around every answer, and the one table from kinds of failure to HTTP statuses.
//!
//! `{"success":true,"data":…}` or `{"success":false,"error":{"code","message","hint"}}`, whatever goes wrong: unknown
//! paths, wrong methods, bodies that are too large or are not JSON, panics. Codes never change once published; messages
//! are for people. Nothing of a failure of ours reaches a client but its message: causes go to the log.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use engine::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What handlers return.
pub type Answer<T> = Result<Success<T>, Refusal>;
/// What handlers return that started long work: 202.
pub type AnswerLater<T> = Result<Accepted<T>, Refusal>;

/// Done, with data.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success<T> {
    /// Always `true`.
    #[schema(example = true)]
    pub success: bool,
    /// What was asked for.
    pub data: T,
}

impl<T> Success<T> {
    /// Wraps data.
    pub const fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

/// Shorthand for a handler's last line.
pub const fn ok<T>(data: T) -> Answer<T> {
    Ok(Success::new(data))
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Taken on: the work goes on behind the answer.
pub struct Accepted<T>(pub T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(Success::new(self.0))).into_response()
    }
}

/// The envelope of a failure.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Always `false`.
    #[schema(example = false)]
    pub success: bool,
    /// What went wrong.
    pub error: FailureDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureDetail {
    /// Stable code, for programs.
    #[schema(example = "not_found")]
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do next, for people; may be empty.
    pub hint: String,
}

impl From<engine::catalog::jobs::Failure> for FailureDetail {
    fn from(failure: engine::catalog::jobs::Failure) -> Self {
        Self { code: failure.code, message: failure.message, hint: failure.hint }
    }
}

/// A failure on its way to the client.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    detail: Box<FailureDetail>,
    headers: HeaderMap,
}

impl Refusal {
    /// A failure that only HTTP knows.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let detail = FailureDetail { code: code.to_owned(), message: message.into(), hint: hint.into() };
        Self { status, detail: Box::new(detail), headers: HeaderMap::new() }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", message, "See /openapi.json for what is expected.")
    }

    /// Something named in the path does not exist.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"), "Check the id in the address.")
    }

    /// Nobody is signed in.
    pub fn unauthenticated(message: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            message,
            "Sign in, or send `Authorization: Bearer TOKEN` (`strongroom token create NAME --scope read`).",
        )
        .with_header(axum::http::header::WWW_AUTHENTICATE, "Bearer")
    }

    /// Somebody is signed in who may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, "Ask an administrator.")
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client reads.
    pub const fn detail(&self) -> &FailureDetail {
        &self.detail
    }
}

/// The table. 5xx says that the service or its surroundings failed, 4xx that another request would have done.
pub const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Locked | ErrorKind::Busy | ErrorKind::Refused | ErrorKind::Cancelled | ErrorKind::NoKey => {
            StatusCode::CONFLICT
        }
        ErrorKind::Config
        | ErrorKind::WrongKey
        | ErrorKind::WrongKeyOrDamaged
        | ErrorKind::Truncated
        | ErrorKind::Damaged
        | ErrorKind::NotABackup
        | ErrorKind::UnsafeEntry
        | ErrorKind::TooLarge
        | ErrorKind::Mismatch
        | ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Database | ErrorKind::External => StatusCode::BAD_GATEWAY,
        ErrorKind::PermissionDenied | ErrorKind::Io | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = status_of(error.kind());
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, code = error.kind().code(), "a request failed");
        }
        Self::new(status, error.kind().code(), error.message(), error.hint())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Failure { success: false, error: *self.detail };
        (self.status, self.headers, Json(body)).into_response()
    }
}
