//! Root certificates of TLS clients. All connections of the host use them: guests' HTTPS, requests
//! of the command line, traces, databases.
//!
//! The first of these sources that exists is used alone:
//!
//! 1. a certificate file that a setting or an option names;
//! 2. the variables `SSL_CERT_FILE` and `SSL_CERT_DIR`, which OpenSSL's programs read, too;
//! 3. the system's store;
//! 4. the roots of browsers, compiled in: a container may have no store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use tokio_rustls::rustls;

/// Variables that replace the system's certificates.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Reason why there are no usable roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read the root certificates in `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Cause of the failure.
        #[source]
        cause: io::Error,
    },
    /// The file has no certificate.
    #[error("`{}` must hold root certificates in PEM form\n(each begins with -----BEGIN CERTIFICATE-----)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The variables lead to no certificate.
    #[error("{variables} must lead to root certificates in PEM form: {why}\n(unset it to trust the system's)")]
    Variables {
        /// The variables that are set.
        variables: String,
        /// Cause of the failure.
        why: String,
    },
    /// TLS itself could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(rustls::Error),
}

/// Root certificates that prove the names of servers. Clones share the loaded roots.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<Roots>);

/// Trusted root certificates of one source, loaded on first use.
#[derive(Debug, Default)]
struct Roots {
    file: Option<PathBuf>,
    client: OnceLock<Arc<ClientConfig>>,
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.0.file == other.0.file
    }
}

impl Eq for Trust {}

impl Trust {
    /// Roots of the environment, or otherwise of the system. Read at first use.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Roots of a file in PEM form, and no others.
    ///
    /// # Errors
    /// A file that cannot be read, or has no root certificate.
    pub fn file(path: &Path) -> Result<Self, TrustError> {
        let client = OnceLock::from(Arc::new(client(read(path)?)?));
        Ok(Self(Arc::new(Roots { file: Some(path.to_path_buf()), client })))
    }

    /// Client configuration with these roots and without a client certificate. The first call reads
    /// the roots.
    ///
    /// # Errors
    /// Variables that lead to no certificate. The next call tries again.
    pub fn client(&self) -> Result<Arc<ClientConfig>, TrustError> {
        if let Some(client) = self.0.client.get() {
            return Ok(client.clone());
        }
        let roots = match &self.0.file {
            Some(path) => read(path)?,
            None => of_system(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?,
        };
        let made = Arc::new(client(roots)?);
        Ok(self.0.client.get_or_init(|| made).clone())
    }

    /// Client configuration with application protocols (ALPN), such as `http/1.1`.
    ///
    /// # Errors
    /// See [`Trust::client`].
    pub fn client_for(&self, protocols: &[&str]) -> Result<ClientConfig, TrustError> {
        let mut config = (*self.client()?).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

/// Client configuration without roots: every server is refused.
///
/// # Errors
/// [`TrustError::Tls`].
pub fn nobody() -> Result<ClientConfig, TrustError> {
    client(RootCertStore::empty())
}

fn client(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let versions = versions.with_safe_default_protocol_versions().map_err(TrustError::Tls)?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path) -> Result<RootCertStore, TrustError> {
    let text = frond_files::read(path, frond_files::CERTIFICATES);
    let text = text.map_err(|cause| TrustError::Unreadable { path: path.to_path_buf(), cause })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let store = store(found.unwrap_or_default());
    if store.is_empty() { Err(TrustError::Empty { path: path.to_path_buf() }) } else { Ok(store) }
}

fn of_system(is_set: impl Fn(&str) -> bool) -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let store = store(found.certs);
    let variables: Vec<&str> = VARIABLES.into_iter().filter(|name| is_set(name)).collect();
    match (store.is_empty(), variables.is_empty()) {
        (false, _) => Ok(store),
        (true, true) => Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
        (true, false) => {
            let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            Err(TrustError::Variables { variables: variables.join(" and "), why })
        }
    }
}

/// Adds the certificates that can be roots; a system's store also has others.
fn store(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    store
}

#[cfg(test)]
mod tests;
