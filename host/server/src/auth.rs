//! Authentication and authorization: bearer tokens with a role and a rate limit, of which only
//! hashes are stored.
//! Without tokens, it protects a local server against web pages of other sites (DNS rebinding,
//! CSRF).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, Uri, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{Config, Role, Token, digest};
use crate::logins::LoginFailure;
use crate::reply::Problem;

/// The most event streams and waiting requests of one token at once.
const LISTENERS: usize = 1_000;
/// Header by which browsers report the site of the requesting page.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The known tokens, and the rules for requests without one.
pub(crate) struct Authenticator {
    principals: Vec<([u8; 32], Arc<Principal>)>,
    /// The principal of every request if there are no tokens.
    anybody: Option<Arc<Principal>>,
    /// Accepts only local `Host` headers: protects an open local server against DNS rebinding.
    local_names: bool,
    origins: Vec<String>,
}

/// An authenticated caller, with its role and limits.
pub(crate) struct Principal {
    pub(crate) name: String,
    role: Role,
    /// False if there are no tokens: then everybody is one caller.
    is_named: bool,
    pub(crate) jobs: JobBounds,
    queries: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
}

/// Limits of a token's jobs, where they differ from the settings for all tokens.
#[derive(Clone, Copy, Default)]
pub(crate) struct JobBounds {
    pub(crate) count: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

/// The kind of action of a request, as far as roles distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reads state.
    Read,
    /// Runs a query, submits a job, or changes one of these.
    Ask,
    /// Changes an app, or drains a worker.
    Change,
}

impl Action {
    /// Classifies a request by its method and path.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let about_own = ["/v1/queries/", "/v1/jobs/"].iter().any(|own| path.starts_with(own));
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            Method::PUT => Self::Change,
            Method::DELETE if !about_own => Self::Change,
            _ if path.ends_with("/rollback") || path.starts_with("/v1/workers/") => Self::Change,
            _ => Self::Ask,
        }
    }
}

impl Authenticator {
    pub(crate) fn new(config: &Config) -> Self {
        let principals =
            config.tokens.iter().filter_map(|token| Some((digest(&token.sha256)?, Arc::new(principal(token)))));
        let anybody = Principal { is_named: false, ..Principal::unlimited("anybody") };
        Self {
            principals: principals.collect(),
            anybody: config.tokens.is_empty().then(|| Arc::new(anybody)),
            local_names: config.tokens.is_empty() && config.listen.ip().is_loopback(),
            origins: config.cors.clone(),
        }
    }

    /// True if requests need a token.
    pub(crate) fn is_closed(&self) -> bool {
        self.anybody.is_none()
    }

    /// Authenticates a request.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, LoginFailure> {
        if let Some(anybody) = &self.anybody {
            return Ok(anybody.clone());
        }
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(bearer) else {
            return Err(LoginFailure::NoToken);
        };
        let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        // All hashes are compared, each in constant time, so that timing reveals nothing about
        // them.
        let found =
            self.principals.iter().fold(
                None,
                |found, (known, principal)| {
                    if bool::from(known.ct_eq(&hash)) { Some(principal) } else { found }
                },
            );
        found.cloned().ok_or(LoginFailure::UnknownToken)
    }

    /// Refuses requests that a web page of another site made a browser send (CSRF, DNS rebinding).
    pub(crate) fn same_site(
        &self,
        version: Version,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        // A host in the request target takes precedence over the header: RFC 9112, section 3.2.2.
        let host = uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
        // Only HTTP/1.0, which browsers do not use, allows a request without a host.
        let is_nameless = version <= Version::HTTP_10 && host.is_none();
        if self.local_names && !is_nameless && !host.is_some_and(is_local) {
            return Err(Problem::forbidden(
                "the header `Host` names another machine than this one\n\
                 (use 127.0.0.1 or localhost, or give the server tokens)",
            ));
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        // Browsers send this header even where they omit the origin. A page on another port counts
        // as the same site.
        let foreign: [&[u8]; 2] = [b"cross-site", b"same-site"];
        let is_foreign = headers.get_all(SEC_FETCH_SITE).iter().any(|site| foreign.contains(&site.as_bytes()));
        let Some(origin) = headers.get(ORIGIN) else {
            let text = "web pages of other origins may not use this server\n(name their origin under `cors` in the server's settings)";
            return if is_foreign { Err(Problem::forbidden(text)) } else { Ok(()) };
        };
        let origin = origin.to_str().unwrap_or("");
        let own = !is_foreign && origin.split_once("://").is_some_and(|(_, site)| Some(site) == host);
        if own || self.origins.iter().any(|one| one == origin) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "web pages of `{}` may not use this server\n(name the origin under `cors` in the server's settings)",
            origin.escape_debug()
        )))
    }
}

impl Principal {
    /// The owner of a folder of apps, in a process without a server.
    /// Access to the folder includes all of its jobs, no matter who submitted them.
    pub(crate) fn owner() -> Self {
        Self { jobs: JobBounds { count: Some(u64::MAX), bytes: None }, ..Self::unlimited("local") }
    }

    fn unlimited(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Admin,
            is_named: true,
            jobs: JobBounds::default(),
            queries: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            rate: None,
        }
    }

    /// Refuses actions that the role does not allow, regardless of the owner.
    pub(crate) fn may(&self, action: Action) -> Result<(), Problem> {
        let name = &self.name;
        match (self.role, action) {
            (Role::Admin, _) | (Role::Query, Action::Read | Action::Ask) | (Role::Observer, Action::Read) => Ok(()),
            (Role::Query, Action::Change) => Err(Problem::forbidden(format!(
                "the token of `{name}` may run queries, but not change apps or drain workers\n\
                 (changing apps takes a token with the role admin)"
            ))),
            (Role::Observer, _) => Err(Problem::forbidden(format!(
                "the token of `{name}` may only read\n\
                 (running queries takes a token with the role query, changing apps one with the role admin)"
            ))),
        }
    }

    /// The owner of its queries and jobs; `None` if there are no tokens.
    pub(crate) fn caller(&self) -> Option<&str> {
        self.is_named.then_some(self.name.as_str())
    }

    /// The caller whose queries and jobs it may use for this action; `None` means everybody's.
    pub(crate) fn limited(&self, action: Action) -> Option<&str> {
        match (self.role, action) {
            (Role::Admin, _) | (Role::Observer, Action::Read) => None,
            (Role::Observer | Role::Query, _) => Some(&self.name),
        }
    }

    /// Counts a request against the rate limit.
    pub(crate) fn count(&self) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|wait| {
            let wait = wait.wait_time_from(DefaultClock::default().now());
            let text = format!(
                "the token of `{}` has exceeded its rate of requests\n(`rate` of the token in the server's settings)",
                self.name
            );
            Problem::too_many(text, wait)
        })
    }

    /// Acquires a permit for one running query.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.queries.clone().try_acquire_owned().map_err(|_| {
            let text = format!(
                "the token of `{}` has reached its limit of running queries\n\
                 (`concurrency` of the token in the server's settings)",
                self.name
            );
            Problem::too_many(text, Duration::from_secs(1))
        })
    }

    /// Acquires a permit for one event stream, or for one request that waits for a job.
    pub(crate) fn listen(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.listeners.clone().try_acquire_owned().map_err(|_| {
            let text = format!(
                "`{}` has reached its limit of {LISTENERS} event streams and waits at once\n(close unused ones)",
                self.name
            );
            Problem::too_many(text, Duration::from_secs(1))
        })
    }
}

fn principal(token: &Token) -> Principal {
    let rate = NonZeroU32::new(token.rate).unwrap_or(NonZeroU32::MIN);
    let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(1));
    Principal {
        name: token.name.clone(),
        role: token.role,
        is_named: true,
        jobs: JobBounds { count: token.jobs, bytes: token.job_quota.map(|size| size.0) },
        queries: Arc::new(Semaphore::new(token.concurrency.min(Semaphore::MAX_PERMITS))),
        listeners: Arc::new(Semaphore::new(LISTENERS)),
        rate: Some(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))),
    }
}

/// The token of an `Authorization` header. The scheme is case-insensitive: RFC 9110, section 11.1.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// True for a host that is a loopback address or `localhost`, on any port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
