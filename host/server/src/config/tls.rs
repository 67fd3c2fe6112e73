//! The server's certificate, as a setting.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
