//! TLS settings: the server's certificate, and trusted roots.

use std::path::{Path, PathBuf};

use frond_tls::Trust;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// Certificate and key files in PEM format. Both are reread after they change, and at a reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificate chain, the server's certificate first.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

impl Tls {
    /// Resolves relative paths below `folder`.
    pub(super) fn below(self, folder: &Path) -> Self {
        Self { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }
}

impl Config {
    /// The trusted roots for outgoing connections.
    ///
    /// # Errors
    /// If the file contains no roots.
    pub fn trust(&self) -> Result<Trust, ConfigError> {
        let Some(path) = &self.roots else {
            return Ok(Trust::system());
        };
        Trust::file(path).map_err(|error| ConfigError::Refused(format!("`roots`: {error}")))
    }
}
