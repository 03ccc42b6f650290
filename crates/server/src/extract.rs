//! Reading requests: axum's extractors with our envelope around what they refuse.

use crate::answer::Refusal;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A JSON body: an object. What is read into a structure could also be a list of its fields' values; nobody means that.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match axum::Json::<Map<String, Value>>::from_request(request, state).await {
            Ok(axum::Json(body)) => fields(body).map(Self),
            Err(rejection) => Err(refuse_body(&rejection)),
        }
    }
}

fn fields<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Refusal> {
    T::deserialize(Value::Object(body))
        .map_err(|cause| Refusal::bad_request(format!("the body is not what is wanted here: {cause}")))
}

fn refuse_body(rejection: &JsonRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is not declared as JSON",
            "Send `Content-Type: application/json`.",
        ),
        _ => Refusal::bad_request(rejection.body_text()),
    }
}

/// The body is larger than any request needs.
pub fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload_too_large",
        "the request's body is too large",
        "No request of this service needs more than 256 KiB.",
    )
}

/// A JSON body that may be left out.
pub struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Option::<axum::Json<Map<String, Value>>>::from_request(request, state).await {
            Ok(Some(axum::Json(body))) => fields(body).map(Self),
            Ok(None) => Ok(Self(T::default())),
            Err(rejection) => Err(refuse_body(&rejection)),
        }
    }
}

/// The query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|rejection: QueryRejection| Refusal::bad_request(rejection.body_text()))
    }
}

/// Parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|path| Self(path.0)).map_err(|_: PathRejection| Refusal::not_found("such address"))
    }
}
