//! The one gate before all routes: address, then who, then whether they may. Every refusal is written to the audit log.

use super::policy::Rule;
use super::{Client, Principal, Via, jwt, network, scopes_of, session, token};
use crate::answer::Refusal;
use crate::state::App;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Paths that answer every address: load balancers and service managers ask them.
const FOR_EVERYBODY: [&str; 2] = ["/healthz", "/readyz"];

/// The middleware.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let config = app.strongroom.config();
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = network::client_address(&config.server, peer, request.headers());
    request.extensions_mut().insert(network::ClientAddress(address));
    let client = Client { address, headers: request.headers().clone() };
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    match admit(&app, &client, path.as_deref(), request.uri().path(), &method).await {
        Ok(principal) => {
            if let Some(principal) = principal {
                request.extensions_mut().insert(principal);
            }
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn admit(
    app: &App,
    client: &Client,
    route: Option<&str>,
    path: &str,
    method: &Method,
) -> Result<Option<Principal>, Refusal> {
    let config = app.strongroom.config();
    if !network::is_allowed(&config.server, client.address) && !FOR_EVERYBODY.contains(&path) {
        let refusal = Refusal::forbidden("this address may not use the service");
        app.audit_denied(client, None, method, path, &refusal).await?;
        return Err(refusal);
    }
    // Pages and unknown paths need nobody; a known path with another method answers 405.
    let Some(rule) = route.and_then(|route| app.policy.rule(route, method.as_str())) else { return Ok(None) };
    if *rule == Rule::Open {
        return Ok(None);
    }
    let principal = match authenticate(app, client, method).await {
        Ok(principal) => principal,
        Err(refusal) => {
            app.audit_denied(client, None, method, path, &refusal).await?;
            return Err(refusal);
        }
    };
    if let Err(missing) = rule.admits(&principal) {
        let refusal = Refusal::forbidden(missing);
        app.audit_denied(client, Some(&principal), method, path, &refusal).await?;
        return Err(refusal);
    }
    Ok(Some(principal))
}

/// A bearer's token counts before a cookie: a browser adds the latter unasked.
async fn authenticate(app: &App, client: &Client, method: &Method) -> Result<Principal, Refusal> {
    if let Some(value) = client.headers.get(AUTHORIZATION) {
        let bearer = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, bearer)| bearer.trim().to_owned())
            .ok_or_else(|| Refusal::unauthenticated("the Authorization header is not `Bearer TOKEN`"))?;
        return if bearer.starts_with(token::PREFIX) {
            by_token(app, client, bearer).await
        } else {
            jwt::principal(app, client, bearer).await
        };
    }
    let Some(secret) = session::secret_of(&client.headers) else {
        return Err(Refusal::unauthenticated("nobody is signed in"));
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        session::check_cookie_request(client)?;
    }
    by_session(app, client, secret).await
}

async fn by_token(app: &App, client: &Client, bearer: String) -> Result<Principal, Refusal> {
    let token = app
        .blocking(move |app| app.catalog.token_by_secret(&token::hash(&bearer), app.clock.now()))
        .await?
        .ok_or_else(|| Refusal::unauthenticated("this token is unknown, revoked or expired"))?;
    Ok(Principal {
        name: token.name,
        role: None,
        scopes: token.scopes,
        via: Via::Token,
        session: None,
        address: client.address,
    })
}

async fn by_session(app: &App, client: &Client, secret: String) -> Result<Principal, Refusal> {
    let session = app
        .blocking(move |app| {
            app.catalog.session_by_secret(&token::hash(&secret), app.clock.now(), session::IDLE_MS_MAX)
        })
        .await?
        .ok_or_else(|| Refusal::unauthenticated("the session has ended"))?;
    Ok(Principal {
        name: session.user,
        role: Some(session.role),
        scopes: scopes_of(session.role),
        via: Via::Session,
        session: Some(session.id),
        address: client.address,
    })
}
