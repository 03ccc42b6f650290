//! The dashboard: files built from `web/`, carried inside the binary.
//!
//! Addresses below `/assets/` carry a hash of their content in their name and are kept for ever; everything else is the one
//! page, which finds its own way by the address. The policy allows nothing from elsewhere, and inline styles only with the
//! nonce that stands in the page itself.

use crate::answer::Refusal;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Pages;

/// Stands in the page where a fresh nonce belongs.
const NONCE_PLACE: &str = "__CSP_NONCE__";
/// Shown where the dashboard was not built.
const NOT_BUILT: &str = include_str!("dashboard_missing.html");

/// Everything that is no route of the API.
pub async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return Refusal::not_found("such address").into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return method_not_allowed().await;
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Pages::get(name).filter(|_| name != "index.html") {
        return asset(name, file, &headers);
    }
    // A missing file is missing; a missing page is a place inside the one page.
    let is_file = name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if is_file && name != "index.html" && name != "frontend/backup.html" {
        return Refusal::not_found("such file").into_response();
    }
    page()
}

/// A known path, another method.
pub async fn method_not_allowed() -> Response {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this address does not know the method",
        "See /openapi.json for the methods of each address.",
    )
    .into_response()
}

fn asset(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let forever = name.starts_with("assets/");
    let cache = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = file.metadata.mimetype().to_owned();
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, cache.to_owned()), (ETAG, etag)];
    (headers, file.data.into_owned()).into_response()
}

fn page() -> Response {
    let page = Pages::get("index.html");
    let (status, page) = match page.as_ref().map(|file| std::str::from_utf8(&file.data)) {
        Some(Ok(page)) => (StatusCode::OK, page),
        _ => (StatusCode::OK, NOT_BUILT),
    };
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return crate::state::panicked().into_response();
    }
    let nonce = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    (status, headers, page.replace(NONCE_PLACE, &nonce)).into_response()
}
