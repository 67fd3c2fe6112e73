//! The certificate that a server shows, and those that it believes.

use std::path::{Path, PathBuf};

use frond_tls::Trust;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// Files in PEM form. Both are read again when they have changed, and at a reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Tls {
    /// The same files, looked for in `folder`.
    pub(super) fn below(self, folder: &Path) -> Self {
        Self { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }
}

impl Config {
    /// The roots that prove whom this server connects to.
    ///
    /// # Errors
    /// A file without roots.
    pub fn trust(&self) -> Result<Trust, ConfigError> {
        let Some(path) = &self.roots else {
            return Ok(Trust::system());
        };
        Trust::file(path).map_err(|error| ConfigError::Refused(format!("`roots`: {error}")))
    }
}
