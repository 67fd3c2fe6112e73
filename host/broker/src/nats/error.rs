//! Reasons why a NATS server cannot be used, with the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use async_nats::{ConnectError, ConnectErrorKind};
use frond_tls::{TrustError, rustls};
use rustls::CertificateError;

use super::options::Options;

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
    /// The process at the address does not greet a client as NATS servers do.
    #[error(
        "the process at {url} does not greet as a NATS server: {why}\n(check that host and port are those for clients, and that its `tls` section has no `handshake_first`)"
    )]
    Mute {
        /// The address.
        url: String,
        /// Cause of the failure.
        why: String,
    },
    /// The server does not accept the user.
    #[error("the NATS server at {url} refuses {who}\n({remedy})")]
    Login {
        /// The server.
        url: String,
        /// The user, in words.
        who: String,
        /// Advice on what to do.
        remedy: String,
    },
    /// The connection could not be secured.
    #[error("no secure connection to the NATS server at {url}: {why}\n({remedy})")]
    Tls {
        /// The server.
        url: String,
        /// Cause of the failure.
        why: String,
        /// Advice on what to do.
        remedy: String,
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
        "the NATS server at {url} does not let {who} do what {role} of the pool `{pool}` must: {why}\n(log in with a user of {role}, whose permissions include this pool: host/docs/cluster/nats.conf has both kinds of users)"
    )]
    Forbidden {
        /// The server.
        url: String,
        /// The user, in words.
        who: String,
        /// Its role.
        role: Role,
        /// Its pool.
        pool: String,
        /// The server's own words.
        why: String,
    },
}

/// Role of a NATS user, which decides its permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It announces itself, and hears workers.
    Root,
    /// It hears roots.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "a root",
            Self::Worker => "a worker",
        })
    }
}

impl NatsError {
    /// True if a later try may succeed without a change of the settings.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::Mute { .. })
    }

    /// Explains why the first connection failed.
    pub(super) fn explain(url: String, options: &Options, error: &ConnectError) -> Self {
        let cause = std::error::Error::source(error);
        let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
        let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        let tls = io.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let is_cut_off = io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::UnexpectedEof));
        match error.kind() {
            ConnectErrorKind::ServerParse => Self::Url { why },
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                Self::Login { url, who: options.who(), remedy: login_remedy(options).to_owned() }
            }
            ConnectErrorKind::TimedOut => Self::Silent { url },
            ConnectErrorKind::Io if tls.is_some() => Self::Tls { url, why, remedy: tls_remedy(options, tls) },
            ConnectErrorKind::Io if is_cut_off => Self::Tls { url, why, remedy: NO_TLS.to_owned() },
            ConnectErrorKind::Tls => Self::Tls { url, why, remedy: tls_remedy(options, tls) },
            ConnectErrorKind::Io if why.contains(NO_GREETING) => Self::Mute { url, why },
            ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
                Self::Unreachable { url, why }
            }
        }
    }
}

/// Part of the client's error about a server that does not greet.
const NO_GREETING: &str = "expected INFO";

/// Remedy for a server that does not speak TLS.
const NO_TLS: &str = "if the server has no `tls` section, give it one; or, on a network that nobody else reads, use \
                      `nats://` and no --nats-ca";

/// Advice for a refused login.
fn login_remedy(options: &Options) -> &'static str {
    match (&options.credentials, &options.user, &options.password) {
        (Some(_), ..) => "check that the file is of a user of this server, and that the user is not revoked",
        (None, Some(_), Some(_)) => {
            "check the user, --nats-user, and its password in the environment variable FROND_NATS_PASSWORD; a server's \
             settings may have them as `workers.user` and `workers.password-file`"
        }
        (None, Some(_), None) => {
            "there is no password: put it into the environment variable FROND_NATS_PASSWORD; a server's settings may \
             name a file with it as `workers.password-file`"
        }
        (None, None, Some(_)) => {
            "there is a password without a user: name the user with --nats-user; a server's settings may name it as \
             `workers.user`"
        }
        (None, None, None) => {
            "name a user with --nats-user and put its password into the environment variable FROND_NATS_PASSWORD, or name \
             a file of `nsc` with --nats-credentials"
        }
    }
}

/// Advice for a connection that cannot be secured.
fn tls_remedy(options: &Options, error: Option<&rustls::Error>) -> String {
    match (error, &options.ca) {
        (Some(rustls::Error::InvalidMessage(_)), _) => NO_TLS.to_owned(),
        (Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)), _)
        | (Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })), _) => {
            "use a host in the URL that the server's certificate names, or have one issued for this host".to_owned()
        }
        (Some(rustls::Error::InvalidCertificate(_)), Some(ca)) => {
            format!(
                "check that `{}` has the root that issued the server's certificate, and that both are valid",
                ca.display()
            )
        }
        (Some(rustls::Error::InvalidCertificate(_)), None) => {
            "name a file with the root that issued the server's certificate: --nats-ca FILE, or `workers.ca` in the \
             server's settings"
                .to_owned()
        }
        _ => "the server must offer TLS 1.2 or 1.3, and ask for no certificate of its clients".to_owned(),
    }
}
