//! `[server]`: the service.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port.
    pub listen: String,
    /// PEM file with the certificate chain.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub tls_key: Option<PathBuf>,
    /// Admits listening beyond this machine without TLS: something in front of it does TLS.
    pub allow_plain_http: bool,
    /// Addresses (CIDR) that may use the management endpoints; all when empty.
    pub allow: Vec<String>,
    /// Addresses (CIDR) of proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<String>,
    /// Hours after which a sign-in ends.
    pub session_hours: u32,
    /// Seconds that a running backup gets to finish when the service is stopped.
    pub shutdown_timeout_seconds: u64,
    /// The host application's tokens.
    pub jwt: JwtSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tls_certificate: None,
            tls_key: None,
            allow_plain_http: false,
            allow: Vec::new(),
            trusted_proxies: Vec::new(),
            session_hours: 12,
            shutdown_timeout_seconds: 60,
            jwt: JwtSettings::default(),
        }
    }
}

/// How the host application's JSON web tokens are checked; none is accepted when `algorithm` is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtSettings {
    /// The one algorithm that is accepted.
    pub algorithm: Option<JwtAlgorithm>,
    /// HS256: the shared secret.
    pub secret: Option<String>,
    /// RS256 and ES256: PEM file with the public key.
    pub public_key: Option<PathBuf>,
    /// RS256 and ES256: where the keys are published.
    pub jwks_url: Option<String>,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// The claim that says `ADMIN` or `VIEWER`.
    pub role_claim: String,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            algorithm: None,
            secret: None,
            public_key: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            role_claim: "role".to_owned(),
        }
    }
}

/// Signature algorithms of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwtAlgorithm {
    /// HMAC with a shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA.
    #[serde(rename = "RS256")]
    Rs256,
    /// P-256.
    #[serde(rename = "ES256")]
    Es256,
}
