//! Failed logins: all are counted; a limited number a second is logged, with the client's address.

use std::net::IpAddr;
use std::time::Instant;

use crate::log_limit::LogLimit;
use crate::metrics::Counts;
use crate::reply::Problem;

/// Reason why a request could not be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginFailure {
    /// The request has no token.
    NoToken,
    /// The request's token is unknown.
    UnknownToken,
}

impl From<LoginFailure> for Problem {
    fn from(failure: LoginFailure) -> Self {
        Self::unauthorized(match failure {
            LoginFailure::NoToken => "this server asks for a token\n(send the header `Authorization: Bearer …`)",
            LoginFailure::UnknownToken => {
                "this token is not known here\n(`frond token NAME` makes one; its line goes into the server's settings)"
            }
        })
    }
}

/// The failed logins of a server.
pub(crate) struct Logins {
    failed: Counts,
    limit: LogLimit,
}

impl Logins {
    pub(crate) fn new(failed: Counts) -> Self {
        Self { failed, limit: LogLimit::new() }
    }

    /// Records a failed login. Unknown tokens are logged, without the token; missing ones are only
    /// counted.
    pub(crate) fn failed(&self, failure: LoginFailure, peer: Option<IpAddr>) {
        match failure {
            LoginFailure::NoToken => self.failed.count("no-token"),
            LoginFailure::UnknownToken => {
                self.failed.count("unknown-token");
                if let Some(unlogged) = self.limit.line(Instant::now()) {
                    let peer = peer.map(|peer| peer.to_string());
                    tracing::warn!(peer, unlogged, "a login failed: the token is not known");
                }
            }
        }
    }
}
