//! The server's certificate: read at the start, at a reload, and when its files change, as after an
//! ACME renewal.
//! Open connections keep the certificate of their handshake.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::config::{ConfigError, Tls};

/// Interval between checks of the files.
pub(crate) const EVERY: Duration = Duration::from_secs(30);

/// The certificate of the server.
#[derive(Debug)]
pub(crate) struct Certificate {
    current: ArcSwap<CertifiedKey>,
    source: Mutex<Source>,
}

/// Source of a certificate.
#[derive(Debug)]
struct Source {
    files: Tls,
    /// The stamps of the files when they were last read.
    stamps: Stamps,
}

/// Modification time and size of each file, by which a change is noticed; `None` if it cannot be
/// read.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// If the files are no certificate with its key.
    pub(crate) fn read(files: &Tls) -> Result<Arc<Self>, ConfigError> {
        let stamps = stamps(files);
        let current = read(files)?;
        let source = Mutex::new(Source { files: files.clone(), stamps });
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(current), source }))
    }

    /// Replaces the certificate by the one in these files.
    ///
    /// # Errors
    /// See [`Certificate::read`]. The old certificate then stays in use.
    pub(crate) fn replace(&self, files: &Tls) -> Result<(), ConfigError> {
        let mut source = self.source.lock();
        let stamps = stamps(files);
        self.current.store(Arc::new(read(files)?));
        *source = Source { files: files.clone(), stamps };
        Ok(())
    }

    /// Rereads the files if they have changed.
    /// While only one of them has been replaced they do not match: they are read again after the
    /// next change, or at a reload.
    pub(crate) fn look(&self) {
        let mut source = self.source.lock();
        let stamps = stamps(&source.files);
        if std::mem::replace(&mut source.stamps, stamps) == stamps {
            return;
        }
        match read(&source.files) {
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(file = %source.files.certificate.display(), "the certificate was replaced");
            }
            Err(error) => tracing::error!(%error, "the new certificate is refused: the old one stays"),
        }
    }

    /// Accepts TLS connections, each with the current certificate.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| ConfigError::Refused(format!("TLS could not be set up: {error}")))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &Tls) -> Result<CertifiedKey, ConfigError> {
    let wrong = |path: &Path, text: String| ConfigError::Wrong { path: path.to_path_buf(), text };
    let text = |path: &Path, what: &str| {
        let read = frond_files::read(path, frond_files::CERTIFICATES);
        read.map_err(|error| wrong(path, format!("is no {what} in PEM form: {error}")))
    };
    let certificate = text(&files.certificate, "certificate")?;
    let read = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
    let certificates =
        read.map_err(|error| wrong(&files.certificate, format!("is no certificate in PEM form: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(&text(&files.key, "private key")?)
        .map_err(|error| wrong(&files.key, format!("is no private key in PEM form: {error}")))?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider())
        .map_err(|error| wrong(&files.certificate, format!("does not match its key: {error}")))
}

fn stamps(files: &Tls) -> Stamps {
    [&files.certificate, &files.key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

#[cfg(test)]
mod tests;
