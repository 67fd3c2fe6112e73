//! Settings of a connection to a NATS server.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Largest file with a secret, in bytes: a password, or a token and a key.
const MAX_SECRET: u64 = 64 << 10;
/// Pool of roots and workers that name none.
const DEFAULT_POOL: &str = "default";

/// Settings of a connection to a NATS server.
#[derive(Clone)]
pub struct Options {
    /// URL such as `nats://host:4222` or `tls://host:4222`, without a user. Several URLs of one
    /// cluster are separated by commas.
    pub url: String,
    /// Name of the pool: roots see the workers of their own pool only.
    pub pool: String,
    /// NATS user. It names a worker's subjects, also if the credentials are in a file.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<String>,
    /// File with a user's token and key, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// File with the root certificates of the server, in PEM form. It makes TLS mandatory.
    pub ca: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let pool = DEFAULT_POOL.to_owned();
        Self { url: String::new(), pool, user: None, password: None, credentials: None, ca: None }
    }
}

impl Options {
    /// User in words, for messages.
    pub(super) fn who(&self) -> String {
        match (&self.credentials, &self.user) {
            (Some(path), _) => format!("the credentials in `{}`", path.display()),
            (None, Some(user)) => format!("the user `{user}`"),
            (None, None) => "connections without a user".to_owned(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, pool, user, password, credentials, ca } = self;
        let password = password.as_ref().map(|_| "…");
        f.debug_struct("Options")
            .field("url", url)
            .field("pool", pool)
            .field("user", user)
            .field("password", &password)
            .field("credentials", credentials)
            .field("ca", ca)
            .finish()
    }
}

/// Reads a file with a secret: a password or credentials.
///
/// # Errors
/// A file that cannot be read, or is larger than 64 KiB.
pub fn read_secret(path: &Path) -> io::Result<String> {
    frond_files::read_text(path, MAX_SECRET)
}
