//! TLS as libpq's `sslmode` knows it, on rustls.

use super::address::Address;
use crate::{Error, ErrorKind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Never TLS.
    Disable,
    /// Plain first, TLS where the server insists.
    Allow,
    /// TLS first, plain where the server has none. Not verified.
    #[default]
    Prefer,
    /// TLS, not verified (verified like [`Self::VerifyCa`] where `sslrootcert` is given).
    Require,
    /// TLS, and the certificate is signed by `sslrootcert`.
    VerifyCa,
    /// As before, and it is this host's.
    VerifyFull,
}

impl TlsMode {
    /// Reads libpq's word.
    pub fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("sslmode={other} is unknown"),
                    "It is one of disable, allow, prefer, require, verify-ca, verify-full.",
                ));
            }
        })
    }

    /// libpq's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Where Linux distributions keep the roots that `sslrootcert=system` means.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What makes the TLS connections to `address`.
pub fn connector(address: &Address) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::internal("TLS cannot be set up").because(cause))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(address, provider)?);
    let config = match (&address.client_certificate, &address.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable("client key", key, cause))?;
            builder.with_client_auth_cert(chain, key).map_err(|cause| {
                Error::new(
                    ErrorKind::Config,
                    format!("the client certificate {} and its key do not go together", certificate.display()),
                    "Check sslcert and sslkey.",
                )
                .because(cause)
            })?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => {
            return Err(Error::new(
                ErrorKind::Config,
                "of sslcert and sslkey only one is given",
                "A client certificate needs both.",
            ));
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(address: &Address, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let wanted = match address.tls {
        TlsMode::VerifyFull => Verify::ChainAndName,
        TlsMode::VerifyCa => Verify::Chain,
        _ if address.root_certificate.is_some() => Verify::Chain,
        _ => Verify::Nothing,
    };
    let inner = if wanted == Verify::Nothing {
        None
    } else {
        let roots = Arc::new(roots(address.root_certificate.as_deref())?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        Some(verifier.map_err(|cause| {
            Error::new(ErrorKind::Config, "the root certificates cannot be used", "Check sslrootcert.").because(cause)
        })?)
    };
    Ok(Arc::new(Verifier { wanted, inner, provider }))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let file = match file {
        Some(file) if file != Path::new("system") => file,
        Some(_) => SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()).ok_or_else(|| {
            Error::new(ErrorKind::Config, "this system has no root certificates", "Name a file in sslrootcert.")
        })?,
        None => {
            return Err(Error::new(
                ErrorKind::Config,
                "sslmode=verify-ca and verify-full need sslrootcert",
                "Name the file of the root certificate, or sslrootcert=system.",
            ));
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(file)?);
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| unreadable("certificate", file, cause))
}

fn unreadable(what: &str, file: &Path, cause: rustls::pki_types::pem::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the {what} {} cannot be read: {cause}", file.display()),
        "It must be a readable PEM file.",
    )
    .because(cause)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verify {
    Nothing,
    Chain,
    ChainAndName,
}

/// Verifies as much of the server's certificate as the `sslmode` asks for, and always its signatures.
#[derive(Debug)]
struct Verifier {
    wanted: Verify,
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.wanted == Verify::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
