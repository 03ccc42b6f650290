//! TLS from certificate files, through rustls with ring.

use axum_server::tls_rustls::RustlsConfig;
use engine::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// Reads chain and key and checks that they belong together.
pub fn load(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let wrong = |path: &Path, what: &str, cause: String| {
        Error::new(
            ErrorKind::Config,
            format!("{}: {what}: {cause}", path.display()),
            "Give a PEM file with the certificate chain and one with its private key, readable for this user.",
        )
    };
    let chain_of = |cause: rustls::pki_types::pem::Error| wrong(chain, "no certificate chain", cause.to_string());
    let certificates =
        CertificateDer::pem_file_iter(chain).map_err(chain_of)?.collect::<Result<Vec<_>, _>>().map_err(chain_of)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| wrong(key, "no private key", cause.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::internal(cause.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|cause| wrong(chain, "the certificate cannot be used with its key", cause.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// For a listener; [`RustlsConfig::reload_from_config`] takes new files at a reload.
pub fn acceptor(chain: &Path, key: &Path) -> Result<RustlsConfig> {
    Ok(RustlsConfig::from_config(load(chain, key)?))
}
