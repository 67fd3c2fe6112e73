//! Admission of queries, fair between tenants (a tenant is one app as used by one caller). The rule
//! and its inputs are [`Admitted`]'s; the lock and the clock are here.

use std::sync::Arc;
use std::time::Duration;

use frond_root::Tenant;
use frond_root::policy::admission::{Reason, Refusal};
use frond_root::policy::admitted::Admitted;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Running queries by tenant, and average costs by app.
pub(crate) struct Admission {
    state: Arc<Mutex<Admitted>>,
}

/// Admitted query. Dropping it ends the query for admission.
pub(crate) struct Ticket {
    state: Arc<Mutex<Admitted>>,
    tenant: Tenant,
    number: u64,
}

/// Why a query was refused, as text for its client.
pub(crate) fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Places => {
            "too many queries to answer in time: as many run as the server allows\n(`limits.queries` in the server's settings)"
        }
        Reason::Share => {
            "too many queries to answer in time: this app, or its caller, has its share of the running queries\n\
             (`limits.queries` in the server's settings)"
        }
        Reason::Deadline => "too many queries to answer in time: this query would miss its deadline",
        Reason::Earlier => "too many queries to answer in time: earlier queries would miss their deadlines",
    }
}

impl Admission {
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Arc::new(Mutex::new(Admitted::new(most))) }
    }

    /// Sets the limit of concurrent queries.
    pub(crate) fn allow(&self, most: usize) {
        self.state.lock().allow(most);
    }

    /// Admits a query whose partials must be gathered within `budget`, while so many slots run the
    /// leaves of all queries.
    pub(crate) fn admit(&self, app: &str, tenant: &Tenant, budget: Duration, slots: usize) -> Result<Ticket, Refusal> {
        let number = self.state.lock().admit(app, tenant, budget, slots, Instant::now())?;
        Ok(Ticket { state: self.state.clone(), tenant: tenant.clone(), number })
    }

    /// Adds the slot time of a query to the moving average of its app.
    pub(crate) fn learn(&self, app: &str, took: Duration) {
        self.state.lock().learn(app, took);
    }

    /// Total slot time still expected of the running queries, and the number of tenants that have
    /// any.
    pub(crate) fn ahead(&self) -> (Duration, usize) {
        self.state.lock().ahead()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.state.lock().ended(&self.tenant, self.number, Instant::now());
    }
}
