//! The host application's JSON web tokens.
//!
//! The configuration names the one algorithm that counts; what the token's header claims is compared with it and decides
//! nothing: `none` and a public key used as an HMAC secret have no way in. A key from a JWKS must fit the algorithm too.
//! `exp` is required, `iss` and `aud` where they are configured. Keys are fetched anew when a token names one that is not
//! known, at most every half minute, and every ten minutes, so that a rotation needs no restart.

use super::{Client, Principal, Via, scopes_of};
use crate::answer::Refusal;
use crate::state::App;
use engine::catalog::users::Role;
use engine::config::{JwtAlgorithm, JwtSettings};
use engine::{Error, ErrorKind};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Clocks of two machines differ by so much.
const LEEWAY_SECONDS: i64 = 60;
/// Published keys are believed for so long.
const KEYS_GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);
/// An unknown key is looked for so often at most.
const REFETCH_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// A document with keys is never larger.
const JWKS_BYTES_MAX: usize = 1024 * 1024;

/// Keys that were fetched.
#[derive(Default)]
pub struct KeyCache {
    fetched: Mutex<Option<Fetched>>,
}

#[derive(Clone)]
struct Fetched {
    url: String,
    at: Timestamp,
    keys: JwkSet,
}

/// Who a token says is asking.
pub async fn principal(app: &App, client: &Client, token: String) -> Result<Principal, Refusal> {
    let config = app.strongroom.config();
    let Some(settings) = config.server.jwt.clone() else {
        return Err(Refusal::unauthenticated("this token is unknown, revoked or expired"));
    };
    let address = client.address;
    let checked = app.blocking(move |app| Ok(check(app, &settings, &token))).await?;
    match checked? {
        Ok((name, role)) => {
            Ok(Principal { name, role: Some(role), scopes: scopes_of(role), via: Via::Jwt, session: None, address })
        }
        Err(why) => Err(Refusal::unauthenticated(&format!("the JSON web token is not accepted: {why}"))),
    }
}

type Checked = Result<(String, Role), String>;

/// The outer error is ours (the keys cannot be fetched), the inner one the token's.
fn check(app: &App, settings: &JwtSettings, token: &str) -> engine::Result<Checked> {
    let algorithm = match settings.algorithm {
        Some(JwtAlgorithm::Hs256) => Algorithm::HS256,
        Some(JwtAlgorithm::Rs256) => Algorithm::RS256,
        Some(JwtAlgorithm::Es256) => Algorithm::ES256,
        None => return Ok(Err("none is accepted".to_owned())),
    };
    let Ok(header) = decode_header(token) else { return Ok(Err("it is malformed".to_owned())) };
    if header.alg != algorithm {
        return Ok(Err("it is signed with another algorithm than the configured one".to_owned()));
    }
    let Some(key) = key(app, settings, algorithm, header.kid.as_deref())? else {
        return Ok(Err("its key is not known".to_owned()));
    };
    let mut validation = Validation::new(algorithm);
    // Times are checked below, with the service's own clock.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    validation.validate_aud = settings.audience.is_some();
    if let Some(audience) = &settings.audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    match decode::<Map<String, Value>>(token, &key, &validation) {
        Ok(data) => Ok(claims(settings, &data.claims, app.clock.now())),
        Err(error) => Ok(Err(format!("{error}"))),
    }
}

fn claims(settings: &JwtSettings, claims: &Map<String, Value>, now: Timestamp) -> Checked {
    let seconds = |name: &str| claims.get(name).map(|value| value.as_f64().map(|seconds| seconds as i64));
    match seconds("exp") {
        Some(Some(expires)) if expires.saturating_add(LEEWAY_SECONDS) > now.as_second() => {}
        Some(Some(_)) => return Err("it has expired".to_owned()),
        _ => return Err("it never expires: `exp` is required".to_owned()),
    }
    match seconds("nbf") {
        None => {}
        Some(Some(from)) if from.saturating_sub(LEEWAY_SECONDS) <= now.as_second() => {}
        Some(_) => return Err("it is not valid yet".to_owned()),
    }
    let role = claims.get(&settings.role_claim).and_then(Value::as_str);
    let role = role.and_then(|role| Role::parse(role).ok());
    let role = role.ok_or_else(|| format!("its claim `{}` is neither ADMIN nor VIEWER", settings.role_claim))?;
    let name = ["sub", "email", "name"].iter().find_map(|name| claims.get(*name).and_then(Value::as_str));
    let name: String = name.unwrap_or("nobody").chars().filter(|c| !c.is_control()).take(100).collect();
    Ok((name, role))
}

fn key(
    app: &App,
    settings: &JwtSettings,
    algorithm: Algorithm,
    kid: Option<&str>,
) -> engine::Result<Option<DecodingKey>> {
    let wrong = |what: &str, cause: String| {
        Error::new(ErrorKind::Config, format!("{what}: {cause}"), "Correct server.jwt in the configuration.")
    };
    if algorithm == Algorithm::HS256 {
        return Ok(settings.secret.as_ref().map(|secret| DecodingKey::from_secret(secret.as_bytes())));
    }
    if let Some(path) = &settings.public_key {
        let pem = std::fs::read(path).map_err(|cause| Error::io(format!("reading {}", path.display()), cause))?;
        let key = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(&pem),
            _ => DecodingKey::from_ec_pem(&pem),
        };
        return key.map(Some).map_err(|cause| wrong(&path.display().to_string(), cause.to_string()));
    }
    let Some(url) = &settings.jwks_url else { return Ok(None) };
    app.jwt_keys.find(url, kid, algorithm, app.clock.now())
}

impl KeyCache {
    fn find(
        &self,
        url: &str,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> engine::Result<Option<DecodingKey>> {
        // Held while fetching: of many requests with a new key, one fetches.
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let known = fetched.as_ref().filter(|fetched| fetched.url == url);
        let age = known.map(|fetched| now.duration_since(fetched.at));
        let found = known.and_then(|fetched| fitting(&fetched.keys, kid, algorithm));
        let fresh = age.is_some_and(|age| age < KEYS_GOOD_FOR);
        let asked_lately = age.is_some_and(|age| age < REFETCH_AFTER);
        if (found.is_some() && fresh) || asked_lately {
            return Ok(found);
        }
        match fetch(url) {
            Ok(keys) => {
                let found = fitting(&keys, kid, algorithm);
                *fetched = Some(Fetched { url: url.to_owned(), at: now, keys });
                Ok(found)
            }
            // Old keys are better than nobody getting in while the host application restarts.
            Err(error) if found.is_some() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "keys for web tokens could not be renewed");
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }
}

fn fitting(keys: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let mut fitting = keys.keys.iter().filter(|key| {
        let family = match &key.algorithm {
            AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) => {
                algorithm == Algorithm::ES256 && curve.curve == EllipticCurve::P256
            }
            _ => false,
        };
        let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        family && signs && kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid))
    });
    let key = fitting.next()?;
    // Without a `kid` the key must be the only one.
    if kid.is_none() && fitting.next().is_some() {
        return None;
    }
    DecodingKey::from_jwk(key).ok()
}

fn fetch(url: &str) -> engine::Result<JwkSet> {
    let failed = |cause: String| {
        Error::new(
            ErrorKind::External,
            format!("the keys for JSON web tokens could not be fetched from {url}: {cause}"),
            "Check server.jwt.jwks_url and that the host application answers.",
        )
    };
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|cause| failed(cause.to_string()))?;
    let answer = client.get(url).send().and_then(reqwest::blocking::Response::error_for_status);
    let body = answer.and_then(reqwest::blocking::Response::bytes).map_err(|cause| failed(cause.to_string()))?;
    if body.len() > JWKS_BYTES_MAX {
        return Err(failed("the document is too large".to_owned()));
    }
    serde_json::from_slice(&body).map_err(|cause| failed(cause.to_string()))
}
