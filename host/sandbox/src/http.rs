//! Outbound HTTP: admits a guest's `wasi:http` requests by its grants, sends them, and bounds them.
//! The steps:
//!
//! 1. `admit`, in this module: finds the grant for a request before anything leaves this process,
//!    and makes an [`exchange`].
//! 2. [`connect`]: resolves the name, checks its addresses, and connects to one of the checked
//!    addresses (guard against SSRF and DNS rebinding); TLS.
//! 3. [`send`]: sends the request and awaits the answer's head.
//! 4. [`body`]: counts the bytes of both bodies. [`retry_after`]: records the wait that an answer
//!    asks for.
//!
//! There are no redirects, retries, connection pools or state between calls. Everything ends with
//! its call: dropping the store aborts its tasks.

mod body;
mod connect;
mod exchange;
pub(crate) mod retry_after;
mod send;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use frond_root::call::HttpGrant;
use http::uri::Scheme;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use crate::denied::DeniedCall;
use crate::escape::quoted;
use crate::grants::{CallGrants, MissingGrant, Target};
use exchange::{Exchange, RequestPermits};
use retry_after::RetryAfter;
use send::Sending;

/// Most open requests of one call.
const MAX_OPEN: usize = 16;
/// Most open requests of all calls of the process, if it may open enough files.
const MAX_OPEN_IN_ALL: usize = 1 << 14;
/// Divisor: requests of all calls take at most this part of the files that the process may open.
const OF_FILES: u64 = 4;
/// Most bytes in memory of one set of headers that a guest makes.
const FIELDS: usize = 32 << 10;
/// Most bytes of a request's body that are buffered in the host.
const CHUNK: usize = 32 << 10;

/// Semaphore over the open requests of all calls: thousands of leaves may wait for answers, and the
/// process needs sockets to serve.
static OPEN: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let part = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most / OF_FILES).ok());
    Arc::new(Semaphore::new(part.unwrap_or(MAX_OPEN_IN_ALL).clamp(MAX_OPEN, MAX_OPEN_IN_ALL)))
});

/// HTTP state of one call, made on first use.
pub(crate) struct Http {
    pub(crate) ctx: WasiHttpCtx,
    pub(crate) hooks: Hooks,
}

impl Http {
    pub(crate) fn new(granted: CallGrants, refusal: DeniedCall, retry_after: RetryAfter, deadline: Instant) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS);
        let open = Arc::new(Semaphore::new(MAX_OPEN));
        Self { ctx, hooks: Hooks { granted, refusal, retry_after, deadline, open } }
    }

    /// Returns true if no request is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.hooks.open.available_permits() == MAX_OPEN
    }
}

/// Hooks that admit and send requests.
pub(crate) struct Hooks {
    granted: CallGrants,
    refusal: DeniedCall,
    retry_after: RetryAfter,
    deadline: Instant,
    open: Arc<Semaphore>,
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sending {
        match self.admit(&request) {
            Ok((exchange, permit)) => Box::new(exchange.run(request, options.unwrap_or_default(), permit)),
            Err(error) => Box::new(async move { Err(error) }),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::DestinationUnavailable
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

impl Hooks {
    fn admit(&self, request: &http::Request<WasiBody>) -> Result<(Exchange, RequestPermits), Error> {
        let uri = request.uri();
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = port(authority.as_str(), authority.host(), tls).ok_or(Error::HttpRequestUriInvalid)?;
        let target = Target::read(authority.host());
        let asked = quoted(&format!("{} {}://{authority}", request.method(), if tls { "https" } else { "http" }));
        let refuse = |why: &str, remedy: String, error: Error| {
            self.refusal.record(&format!("asked for {asked}, {why}"), &self.granted.remedy(remedy));
            error
        };
        let faults = self.granted.get().map(|grants| &grants.faults);
        if faults.is_some_and(|faults| faults.deny_http) {
            let remedy = "the faults of this test deny all HTTP".to_owned();
            return Err(refuse("which is denied on purpose", remedy, Error::HttpRequestDenied));
        }
        let grant = self.granted.http(&target, port, request.method().as_str()).map_err(|lacking| {
            let (why, remedy) = explain(&lacking, &target, port, request.method().as_str());
            refuse(&why, remedy, Error::HttpRequestDenied)
        })?;
        let Ok(permit) = self.open.clone().try_acquire_owned() else {
            let why = format!("while {MAX_OPEN} requests were open, which is the most");
            let remedy = "let it read or drop the answers that it has".to_owned();
            return Err(refuse(&why, remedy, Error::ConnectionLimitReached));
        };
        // Others' requests are no reason to give this one up for good: the guest may try again.
        let of_all = OPEN.clone().try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let called = |name: &String| target.is_called(name);
        let slow = faults.and_then(|faults| faults.slow_host.as_ref()).filter(|(name, _)| called(name));
        let resolved = faults.and_then(|faults| faults.resolve.iter().find(|(name, _)| called(name)));
        let exchange = Exchange {
            asked,
            tls,
            port,
            until: until(grant, self.deadline),
            body: grant.body,
            private: grant.private,
            trust: self.granted.get().map(|grants| grants.trust.clone()).unwrap_or_default(),
            delay: slow.map(|(_, delay)| *delay),
            resolved: resolved.map(|(_, addresses)| addresses.clone()),
            target,
            refusal: self.refusal.clone(),
            retry_after: self.retry_after.clone(),
        };
        Ok((exchange, (permit, of_all)))
    }
}

/// Returns the port of an authority. The authority must be a plain host and, after a colon, a plain
/// number, so that the host written is the host asked, also for intermediaries that parse the
/// request. The parser that made the authority accepts more.
fn port(authority: &str, host: &str, tls: bool) -> Option<u16> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    // With user information before the host, the host is no prefix.
    match authority.strip_prefix(host).filter(|_| bare)? {
        "" => Some(if tls { 443 } else { 80 }),
        // No sign, leading zero or space.
        rest => rest.strip_prefix(':').and_then(|text| text.parse().ok().filter(|port: &u16| port.to_string() == text)),
    }
}

fn until(grant: &HttpGrant, deadline: Instant) -> Instant {
    grant.time.and_then(|time| Instant::now().checked_add(time)).map_or(deadline, |end| end.min(deadline))
}

/// Explains why a request is not granted, and what to write into `frond.toml`.
fn explain(lacking: &MissingGrant<'_>, target: &Target, port: u16, method: &str) -> (String, String) {
    let target = quoted(&target.to_string());
    let host = if matches!(port, 80 | 443) { target } else { format!("{target}:{port}") };
    let methods = if matches!(method, "GET" | "HEAD") { String::new() } else { format!(", methods = [\"{method}\"]") };
    let add = format!("add to frond.toml: [[grants.http]] with host = \"{host}\"{methods}");
    match lacking {
        MissingGrant::Host => ("and no grant names that host".to_owned(), add),
        MissingGrant::Port(_) => (format!("and the grant of that host does not include port {port}"), add),
        MissingGrant::Method(grant) => (
            format!("and the grant of that host allows only {}", grant.methods.join(" and ")),
            format!("add \"{}\" to its methods in frond.toml", quoted(method)),
        ),
    }
}

/// Returns WASI's code for an error that a guest met while reading an answer.
pub(crate) fn code_of(error: &wasmtime::Error) -> Option<ErrorCode> {
    if let Some(code) = error.downcast_ref::<ErrorCode>() {
        return Some(code.clone());
    }
    Some(match error.downcast_ref::<Error>()? {
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    })
}
