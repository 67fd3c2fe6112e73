//! Requests without a token that is known: counted all, and logged with their address, as many a second as a log can bear.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Counts;
use crate::reply::Problem;

/// Lines in one second.
const LINES: u64 = 10;

/// Why nobody is known by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginFailure {
    /// It has no token.
    NoToken,
    /// Its token is nobody's.
    UnknownToken,
}

impl From<LoginFailure> for Problem {
    fn from(stranger: LoginFailure) -> Self {
        Self::unauthorized(match stranger {
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

/// The latest second in which a login failed.
struct Second {
    began: Instant,
    /// Logins that failed in it.
    count: u64,
}

impl Logins {
    pub(crate) fn new(failed: Counts) -> Self {
        Self { failed, second: Mutex::new(Second { began: Instant::now(), count: 0 }) }
    }

    /// A login failed. A token that is nobody's is logged, and nothing of it; one that is missing is no attack.
    pub(crate) fn failed(&self, stranger: LoginFailure, peer: Option<IpAddr>) {
        match stranger {
            LoginFailure::NoToken => self.failed.count("no-token"),
            LoginFailure::UnknownToken => {
                self.failed.count("unknown-token");
                if let Some(unlogged) = self.turn(Instant::now()) {
                    let peer = peer.map(|peer| peer.to_string());
                    tracing::warn!(peer, unlogged, "a login failed: the token is not known");
                }
            }
        }
    }

    /// Whether this one is logged, and how many before it were not.
    fn turn(&self, now: Instant) -> Option<u64> {
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
        let logged = (0..100).filter(|_| logins.turn(now) == Some(0)).count();
        assert_eq!(logged, 10);
        let later = now + Duration::from_secs(2);
        assert_eq!((logins.turn(later), logins.turn(later)), (Some(90), Some(0)));
    }
}
