//! Who asks: bearer tokens with a role, of which only hashes are kept; how much each may ask; and, where there are no
//! tokens, that the request really is for this machine.

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

use crate::config::{Config, Role, Token};
use crate::logins::LoginFailure;
use crate::reply::Problem;

/// The bytes of a fresh token, before it is spelled.
const TOKEN_BYTES: usize = 32;
/// Event streams and requests that wait for a job, at once for one token.
const LISTENERS: usize = 1_000;
/// Header by which browsers say from where a page asks.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// What every token begins with.
const PREFIX: &str = "frond_";

/// Everyone who may ask.
pub(crate) struct Authenticator {
    holders: Vec<([u8; 32], Arc<Principal>)>,
    /// Who asks where there are no tokens.
    anybody: Option<Arc<Principal>>,
    /// True when only names of this machine may be asked for: a page elsewhere could have its own name lead here.
    local_names: bool,
    origins: Vec<String>,
}

/// One who may ask, and how much.
pub(crate) struct Principal {
    pub(crate) name: String,
    role: Role,
    /// False where there are no tokens: then everybody is one caller.
    is_named: bool,
    pub(crate) jobs: JobBounds,
    places: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
}

/// What a token's jobs may take, where it is not what all tokens' jobs may.
#[derive(Clone, Copy, Default)]
pub(crate) struct JobBounds {
    pub(crate) count: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

/// What a request does, as far as roles differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It looks.
    Read,
    /// It asks a query, submits a job, or changes one of these.
    Ask,
    /// It changes an app.
    Change,
}

impl Action {
    /// The action of a request, by its method and address.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let about_own = ["/v1/queries/", "/v1/jobs/"].iter().any(|own| path.starts_with(own));
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            Method::PUT => Self::Change,
            Method::DELETE if !about_own => Self::Change,
            _ if path.ends_with("/rollback") => Self::Change,
            _ => Self::Ask,
        }
    }
}

impl Authenticator {
    pub(crate) fn new(config: &Config) -> Self {
        let holders =
            config.tokens.iter().filter_map(|token| Some((digest(&token.sha256)?, Arc::new(principal(token)))));
        let anybody = Principal {
            name: "anybody".to_owned(),
            role: Role::Admin,
            is_named: false,
            jobs: JobBounds::default(),
            places: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            rate: None,
        };
        Self {
            holders: holders.collect(),
            anybody: config.tokens.is_empty().then(|| Arc::new(anybody)),
            local_names: config.tokens.is_empty() && config.listen.ip().is_loopback(),
            origins: config.cors.clone(),
        }
    }

    /// True when a token is asked for.
    pub(crate) fn is_closed(&self) -> bool {
        self.anybody.is_none()
    }

    /// Who sends this request.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, LoginFailure> {
        if let Some(anybody) = &self.anybody {
            return Ok(anybody.clone());
        }
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(bearer) else {
            return Err(LoginFailure::NoToken);
        };
        let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        // All are compared, each in constant time, so that time tells nothing of them.
        let found = self.holders.iter().fold(None, |found, (known, principal)| match bool::from(known.ct_eq(&hash)) {
            true => Some(principal),
            false => found,
        });
        found.cloned().ok_or(LoginFailure::UnknownToken)
    }

    /// Refuses what a web page elsewhere would have a browser ask.
    pub(crate) fn same_site(
        &self,
        version: Version,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        // The address counts before the header, where it has a host: RFC 9112, section 3.2.2.
        let host = uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
        // Browsers do not speak HTTP/1.0, in which a request may leave the host out.
        let is_nameless = version <= Version::HTTP_10 && host.is_none();
        if self.local_names && !is_nameless && !host.is_some_and(is_local) {
            return Err(Problem::forbidden(
                "this server is asked for by a name that is not this machine's\n(ask for 127.0.0.1 or localhost, or give the server tokens)",
            ));
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        // Browsers say so of themselves, also where they leave the origin out. Of the same site is a page of another port, too.
        let foreign: [&[u8]; 2] = [b"cross-site", b"same-site"];
        let is_foreign = headers.get_all(SEC_FETCH_SITE).iter().any(|site| foreign.contains(&site.as_bytes()));
        let Some(origin) = headers.get(ORIGIN) else {
            let text = "web pages elsewhere may not ask this server\n(name their origin under `cors` in the server's settings)";
            return if is_foreign { Err(Problem::forbidden(text)) } else { Ok(()) };
        };
        let origin = origin.to_str().unwrap_or("");
        let own = !is_foreign && origin.split_once("://").is_some_and(|(_, site)| Some(site) == host);
        if own || self.origins.iter().any(|one| one == origin) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "web pages of `{}` may not ask this server\n(name the origin under `cors` in the server's settings)",
            origin.escape_debug()
        )))
    }
}

impl Principal {
    /// Refuses who may not do this at all, whose it may ever be.
    pub(crate) fn may(&self, action: Action) -> Result<(), Problem> {
        let name = &self.name;
        match (self.role, action) {
            (Role::Admin, _) | (Role::Query, Action::Read | Action::Ask) | (Role::Observer, Action::Read) => Ok(()),
            (Role::Query, Action::Change) => Err(Problem::forbidden(format!(
                "the token of `{name}` may ask, and not change apps\n(that takes an admin's token)"
            ))),
            (Role::Observer, _) => Err(Problem::forbidden(format!(
                "the token of `{name}` may look, and neither ask nor change anything\n\
                 (asking takes a token with the role query, changing apps an admin's)"
            ))),
        }
    }

    /// The caller that its queries and jobs belong to; `None` where there are no tokens.
    pub(crate) fn caller(&self) -> Option<&str> {
        self.is_named.then_some(self.name.as_str())
    }

    /// The caller whose queries and jobs alone it may do this with; `None` for whoever may do it with everybody's.
    pub(crate) fn limited(&self, action: Action) -> Option<&str> {
        match (self.role, action) {
            (Role::Admin, _) | (Role::Observer, Action::Read) => None,
            (Role::Observer | Role::Query, _) => Some(&self.name),
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|wait| {
            let wait = wait.wait_time_from(DefaultClock::default().now());
            Problem::too_many(format!("the token of `{}` has made more requests than it may", self.name), wait)
        })
    }

    /// A place among the queries that it may ask at once.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let text = format!("the token of `{}` has as many queries running as it may", self.name);
            Problem::too_many(text, Duration::from_secs(1))
        })
    }

    /// Permit for one event stream, or for one request that waits for a job.
    pub(crate) fn listen(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.listeners.clone().try_acquire_owned().map_err(|_| {
            let text = format!(
                "`{}` follows as much as it may: {LISTENERS} event streams and waits at once\n(close those that nobody reads)",
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
        places: Arc::new(Semaphore::new(token.concurrency.min(Semaphore::MAX_PERMITS))),
        listeners: Arc::new(Semaphore::new(LISTENERS)),
        rate: Some(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))),
    }
}

/// The token of an `Authorization` header. The scheme's case is the client's choice: RFC 9110, section 11.1.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// True for a host that is this machine, whatever the port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The bytes of a spelled SHA-256.
pub(crate) fn digest(spelled: &str) -> Option<[u8; 32]> {
    let bytes = spelled.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// A fresh token, and the lines that let a server know it: 256 random bits, so that a plain hash keeps it.
#[must_use]
pub fn fresh_token(name: &str, role: Role) -> (String, String) {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    let token = format!("{PREFIX}{}", hex(&bytes));
    let sha256 = hex(&Sha256::digest(token.as_bytes()));
    let role = match role {
        Role::Query => "query",
        Role::Observer => "observer",
        Role::Admin => "admin",
    };
    let name = toml::Value::from(name);
    (token, format!("[[token]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n"))
}

/// A text in which no token can be read.
pub(crate) fn without_tokens(text: &str) -> String {
    let mut parts = text.split(PREFIX);
    let mut shown = parts.next().unwrap_or("").to_owned();
    for part in parts {
        shown.push_str(PREFIX);
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        shown.push_str(if rest.len() == part.len() { "" } else { "…" });
        shown.push_str(rest);
    }
    shown
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
