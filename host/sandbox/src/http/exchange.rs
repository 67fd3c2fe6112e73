//! Admitted request: its target, its limits, and the denials that it may end with.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use frond_tls::TrustError;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::Error;

use super::body::Limit;
use super::retry_after::RetryAfter;
use crate::denied::DeniedCall;
use crate::grants::{Target, Trust};

/// Permits of an open request: one of its call and one of the process.
pub(super) type RequestPermits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Admitted request.
pub(super) struct Exchange {
    /// Method, scheme and authority, for messages.
    pub(super) asked: String,
    pub(super) target: Target,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Deadline of the exchange.
    pub(super) until: Instant,
    /// Most bytes of either body.
    pub(super) body: u64,
    pub(super) private: bool,
    pub(super) trust: Trust,
    pub(super) delay: Option<Duration>,
    /// Addresses of the host, in place of the system's resolver.
    pub(super) resolved: Option<Vec<IpAddr>>,
    pub(super) refusal: DeniedCall,
    pub(super) retry_after: RetryAfter,
}

impl Exchange {
    pub(super) fn by(&self, time: Duration) -> Instant {
        Instant::now().checked_add(time).map_or(self.until, |end| end.min(self.until))
    }

    pub(super) fn limit(&self, what: &'static str, error: fn(Option<u64>) -> Error) -> Limit {
        let asked = self.asked.clone();
        let body = self.body;
        let refusal = self.refusal.clone();
        let over = move || {
            refuse_body(&refusal, what, &asked, body);
            error(Some(body))
        };
        Limit { left: body, over: Box::new(over) }
    }

    pub(super) fn refuse_tls(&self, error: &TrustError) -> Error {
        let text = error.to_string();
        let (why, remedy) = text.split_once("\n(").unwrap_or((&text, ""));
        self.refusal.record(&format!("asked for {}, and {why}", self.asked), remedy.trim_end_matches(')'));
        Error::ConfigurationError
    }

    pub(super) fn refuse_address(&self, address: IpAddr) {
        let why = format!(
            "asked for {}, and {} resolves to {address}, which is not a public address",
            self.asked, self.target
        );
        self.refusal
            .record(&why, "add private = true to its [[grants.http]] in frond.toml, or grant the address itself");
    }

    pub(super) fn refuse_body(&self, what: &str) {
        refuse_body(&self.refusal, what, &self.asked, self.body);
    }
}

fn refuse_body(refusal: &DeniedCall, what: &str, asked: &str, limit: u64) {
    let why = format!("{what} {asked} is larger than the {limit} bytes that are granted");
    refusal.record(&why, "raise `body` of its [[grants.http]] in frond.toml");
}
