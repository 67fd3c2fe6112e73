//! TLS of connections, in libpq's modes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::store::{StoreError, StoreResult};

/// Required security of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TlsMode {
    /// No encryption.
    Disable,
    /// Encryption if the server offers it; the server is not authenticated.
    Prefer,
    /// Encryption; the server is authenticated only if root certificates are configured.
    Require,
    /// Encryption; the server's certificate must be signed by a root.
    VerifyCa,
    /// Encryption; the server's certificate must be signed by a root and be valid for the requested
    /// host.
    VerifyFull,
}

impl TlsMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "disable" => Some(Self::Disable),
            // `allow` tries without encryption first, `prefer` with it; both accept either.
            "allow" | "prefer" => Some(Self::Prefer),
            "require" => Some(Self::Require),
            "verify-ca" => Some(Self::VerifyCa),
            "verify-full" => Some(Self::VerifyFull),
            _ => None,
        }
    }

    /// Mode of the connection. Unix sockets are not encrypted.
    pub(super) fn of(self, hosts: &[Host]) -> SslMode {
        let is_local = !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Unix(_)));
        match self {
            _ if is_local => SslMode::Disable,
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// TLS settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tls {
    pub(super) mode: TlsMode,
    /// File with root certificates, or `system` for those of this machine.
    pub(super) roots: Option<PathBuf>,
    /// Files with a client certificate and its key, for servers that request one.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Builds the TLS connector.
    pub(super) fn connector(&self) -> StoreResult<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let verifier = self.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| refused("TLS cannot be used", &error))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let config = match self.identity.as_ref().filter(|_| self.mode != TlsMode::Disable) {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let pem = pem(key)?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unreadable(key, &error))?;
                let identified = builder.with_client_auth_cert(chain, key);
                identified.map_err(|error| refused("`sslcert` and `sslkey` do not match", &error))?
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }

    /// Builds the verifier of the server's certificate. As in libpq, `require` verifies, too, if
    /// roots are configured.
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> StoreResult<Arc<dyn ServerCertVerifier>> {
        let trust = |name| -> StoreResult<Arc<dyn ServerCertVerifier>> {
            Ok(Arc::new(Verifier { roots: Some(self.roots(provider)?), name, provider: provider.clone() }))
        };
        match self.mode {
            TlsMode::VerifyFull => trust(true),
            TlsMode::VerifyCa => trust(false),
            // The machine's roots sign certificates for any host, so the name must match.
            TlsMode::Require if self.roots.as_deref().is_some_and(is_system) => trust(true),
            TlsMode::Require if self.roots.is_some() => trust(false),
            _ => Ok(Arc::new(Verifier { roots: None, name: false, provider: provider.clone() })),
        }
    }

    fn roots(&self, provider: &Arc<CryptoProvider>) -> StoreResult<Arc<WebPkiServerVerifier>> {
        let Some(file) = &self.roots else {
            return Err(StoreError::Settings(
                "`sslmode` asks for a root certificate, and there is none\n\
                 (name a file as `sslrootcert`, or `sslrootcert=system`, or put it at ~/.postgresql/root.crt)"
                    .to_owned(),
            ));
        };
        let found = if is_system(file) { rustls_native_certs::load_native_certs().certs } else { certificates(file)? };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        verifier.map_err(|error| refused("`sslrootcert` has no root certificate", &error))
    }
}

fn is_system(file: &Path) -> bool {
    file == Path::new("system")
}

fn certificates(file: &Path) -> StoreResult<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_slice_iter(&pem(file)?).collect::<Result<Vec<_>, _>>();
    read.map_err(|error| unreadable(file, &error))
}

fn pem(file: &Path) -> StoreResult<Vec<u8>> {
    frond_files::read(file, frond_files::CERTIFICATES).map_err(|error| unreadable(file, &error))
}

fn refused(what: &str, error: &dyn fmt::Display) -> StoreError {
    StoreError::Settings(format!("{what}: {error}\n(see `sslmode` in host/docs/jobs.md)"))
}

fn unreadable(file: &Path, error: &dyn fmt::Display) -> StoreError {
    StoreError::Settings(format!("cannot read `{}`: {error}", file.display()))
}

/// Verifies certificates: against the roots, if there are any, and by name, if `name` is set.
#[derive(Debug)]
struct Verifier {
    roots: Option<Arc<WebPkiServerVerifier>>,
    name: bool,
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
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        // The verifier checks the name last, so only the name is wrong here.
        match roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
