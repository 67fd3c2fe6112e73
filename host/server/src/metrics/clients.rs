//! Metrics of clients: closed connections, failed logins, and queries that were not admitted.

use frond_root::policy::admission::Reason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Kind, Metrics};

/// Counters by one label, `kind`.
#[derive(Clone, Default)]
pub(crate) struct Counts(Family<Kind, Counter>);

impl Counts {
    pub(crate) fn count(&self, kind: &'static str) {
        self.0.get_or_create(&Kind { kind }).inc();
    }
}

/// The metrics of clients.
#[derive(Default)]
pub(super) struct Clients {
    closed: Counts,
    logins: Counts,
    not_admitted: Counts,
}

impl Clients {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let clients = Self::default();
        let closed = "Connections that the server closed, by reason";
        registry.register("http_connections_closed", closed, clients.closed.0.clone());
        let logins = "Requests without a known token, by reason";
        registry.register("logins_failed", logins, clients.logins.0.clone());
        let refused = "Queries that were not admitted, by reason";
        registry.register("queries_not_admitted", refused, clients.not_admitted.0.clone());
        clients
    }
}

impl Metrics {
    /// The counter of connections that the server closed.
    pub(crate) fn closed(&self) -> Counts {
        self.clients.closed.clone()
    }

    /// Counts a query that was not admitted.
    pub(crate) fn not_admitted(&self, reason: Reason) {
        self.clients.not_admitted.count(reason.slug());
    }

    /// The counter of failed logins.
    pub(crate) fn failed_logins(&self) -> Counts {
        self.clients.logins.clone()
    }
}
