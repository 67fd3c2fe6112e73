//! Reasons why a NATS server cannot be used, with the remedy.

use std::io;
use std::path::PathBuf;

use async_nats::{ConnectError, ConnectErrorKind};
use frond_tls::{TrustError, rustls};

/// Reason why there is no connection to a NATS server, or none that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The name of the pool is invalid.
    #[error("`{pool}` is no name of a pool\n(use 1 to 32 lower-case letters, digits and hyphens, such as `gpu`)")]
    Pool {
        /// The name.
        pool: String,
    },
    /// The name of the user cannot be part of a subject.
    #[error(
        "`{user}` is no name of a NATS user that Frond can use\n(use 1 to 64 letters, digits, hyphens and underscores: the name is part of the worker's subjects)"
    )]
    User {
        /// The name.
        user: String,
    },
    /// A root or a worker announces itself by an invalid name.
    #[error("a root or a worker cannot be named `{}`\n(use 1 to 64 bytes of text on one line)", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// The URL is invalid. The text has no password.
    #[error(
        "the URL of the NATS server is invalid: {why}\n(write it as `nats://host:4222`, or as `tls://host:4222`; several are separated by commas)"
    )]
    Url {
        /// Cause of the failure.
        why: String,
    },
    /// The root certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The file with the credentials cannot be used.
    #[error("cannot use the NATS credentials in `{}`: {cause}\n(`nsc generate creds` writes such a file)", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Cause of the failure.
        cause: io::Error,
    },
    /// There is no server at the address.
    #[error("cannot reach the NATS server at {url}: {why}\n(check host and port, and that nats-server runs there)")]
    Unreachable {
        /// The server.
        url: String,
        /// Cause of the failure.
        why: String,
    },
    /// The server does not answer.
    #[error("the NATS server at {url} does not answer\n(check host, port and firewall)")]
    Silent {
        /// The server.
        url: String,
    },
    /// The server does not accept the user.
    #[error("the NATS server at {url} refuses {who}\n(check user and password, or the file with the credentials)")]
    Login {
        /// The server.
        url: String,
        /// The user, in words.
        who: String,
    },
    /// The connection could not be secured.
    #[error(
        "no secure connection to the NATS server at {url}: {why}\n(the server must offer TLS, with a certificate that names the host of the URL and has a trusted root)"
    )]
    Tls {
        /// The server.
        url: String,
        /// Cause of the failure.
        why: String,
    },
    /// The server is too old.
    #[error("the NATS server at {url} has version {version}\n(update it: 2.11 is the oldest that works)")]
    TooOld {
        /// The server.
        url: String,
        /// Version of the server.
        version: String,
    },
    /// The server does not accept messages as large as they may be.
    #[error(
        "the NATS server at {url} accepts messages of {most} bytes at most, and {needed} are needed\n(raise `max_payload` in its configuration)"
    )]
    TooSmall {
        /// The server.
        url: String,
        /// Largest message that the server accepts, in bytes.
        most: usize,
        /// Largest message of a carrier, in bytes.
        needed: usize,
    },
    /// The server's permissions do not allow what is needed.
    #[error(
        "the NATS server at {url} does not let this user do what it must: {why}\n(grant what host/docs/cluster/nats.conf grants)"
    )]
    Forbidden {
        /// The server.
        url: String,
        /// The server's own words.
        why: String,
    },
}

impl NatsError {
    /// True if a later try may succeed without a change of the settings.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. })
    }

    /// Explains why the first connection failed. `who` names the user in words.
    pub(super) fn explain(url: String, who: String, error: &ConnectError) -> Self {
        let cause = std::error::Error::source(error);
        let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
        let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        let is_tls = io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
        match error.kind() {
            ConnectErrorKind::ServerParse => Self::Url { why },
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Self::Login { url, who },
            ConnectErrorKind::TimedOut => Self::Silent { url },
            ConnectErrorKind::Tls => Self::Tls { url, why },
            ConnectErrorKind::Io if is_tls => Self::Tls { url, why },
            ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
                Self::Unreachable { url, why }
            }
        }
    }
}
