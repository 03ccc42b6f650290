//! Sessions of browsers: a cookie that scripts cannot read and other sites cannot send.
//!
//! `SameSite=Strict` keeps other sites' requests without the cookie. For browsers that ignore it, a request that changes
//! something and comes with the cookie must also show that it comes from our own pages: by `Sec-Fetch-Site`, by an `Origin`
//! that is our own host, or, from clients that send neither, by a header that no form can set.

use super::{Client, token};
use crate::answer::Refusal;
use crate::api::SESSION_COOKIE;
use crate::state::App;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN, USER_AGENT};
use engine::catalog::sessions::Session;
use engine::catalog::users::User;
use engine::id::Id;
use jiff::SignedDuration;

/// A session that is not used for so long ends.
pub const IDLE_MS_MAX: i64 = 4 * 60 * 60 * 1000;

/// Starts a session and returns its cookie.
pub async fn start(app: &App, client: &Client, user: &User) -> Result<String, Refusal> {
    let secret = token::secret("")?;
    let now = app.clock.now();
    let hours = i64::from(app.strongroom.config().server.session_hours);
    let agent = client.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        id: Id::generate()?,
        user: user.name.clone(),
        role: user.role,
        address: client.address.to_string(),
        agent: agent.chars().filter(|c| !c.is_control()).take(200).collect(),
        created_at: now,
        seen_at: now,
        expires_at: now + SignedDuration::from_hours(hours),
    };
    let cookie = cookie(&secret, hours * 3600, app.tls);
    let name = user.name.clone();
    app.blocking(move |app| {
        app.catalog.session_add(&session, &token::hash(&secret))?;
        app.catalog.user_signed_in(&name, now)
    })
    .await?;
    Ok(cookie)
}

fn cookie(value: &str, seconds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// A cookie that removes the session's.
pub fn no_cookie(secure: bool) -> String {
    cookie("", 0, secure)
}

/// The session's secret that a request carries.
pub fn secret_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == SESSION_COOKIE && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// Refuses what another site's page made a browser send.
pub fn check_same_site(client: &Client) -> Result<(), Refusal> {
    let header = |name: &str| client.headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match (header("sec-fetch-site"), header(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = header(HOST.as_str()).unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, origin_host)| origin_host.eq_ignore_ascii_case(host))
        }
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(cross_site()) }
}

/// For requests that carry the cookie and change something: silence is not enough.
pub fn check_cookie_request(client: &Client) -> Result<(), Refusal> {
    let has = |name: &str| client.headers.contains_key(name);
    if !has("sec-fetch-site") && !has(ORIGIN.as_str()) && !has("x-requested-with") {
        return Err(cross_site());
    }
    check_same_site(client)
}

fn cross_site() -> Refusal {
    Refusal::new(
        axum::http::StatusCode::FORBIDDEN,
        "cross_site",
        "the request does not come from this service's own pages",
        "Programs send `X-Requested-With: strongroom` with the cookie, or use an API token.",
    )
}
