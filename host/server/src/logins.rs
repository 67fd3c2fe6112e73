//! Failed logins: all are counted; a limited number a second is logged, with the client's address.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Counts;
use crate::reply::Problem;

/// The most log lines in one second.
const LINES: u64 = 10;

/// Why a request could not be authenticated.
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
    second: Mutex<Second>,
}

/// The last second with failed logins.
struct Second {
    began: Instant,
    /// Failed logins in this second.
    count: u64,
}

impl Logins {
    pub(crate) fn new(failed: Counts) -> Self {
        Self { failed, second: Mutex::new(Second { began: Instant::now(), count: 0 }) }
    }

    /// Records a failed login. Unknown tokens are logged, without the token; missing ones are only
    /// counted.
    pub(crate) fn failed(&self, failure: LoginFailure, peer: Option<IpAddr>) {
        match failure {
            LoginFailure::NoToken => self.failed.count("no-token"),
            LoginFailure::UnknownToken => {
                self.failed.count("unknown-token");
                if let Some(unlogged) = self.count_line(Instant::now()) {
                    let peer = peer.map(|peer| peer.to_string());
                    tracing::warn!(peer, unlogged, "a login failed: the token is not known");
                }
            }
        }
    }

    /// Decides whether to log this one; returns the number of earlier ones that were not logged.
    fn count_line(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unlogged = 0;
        if now.duration_since(second.began) >= Duration::from_secs(1) {
            unlogged = second.count.saturating_sub(LINES);
            *second = Second { began: now, count: 0 };
        }
        second.count += 1;
        (second.count <= LINES).then_some(unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_ten_lines_and_the_next_one_says_how_many_are_missing() {
        let logins = Logins::new(Counts::default());
        let now = Instant::now();
        let logged = (0..100).filter(|_| logins.count_line(now) == Some(0)).count();
        assert_eq!(logged, 10);
        let later = now + Duration::from_secs(2);
        assert_eq!((logins.count_line(later), logins.count_line(later)), (Some(90), Some(0)));
    }
}
