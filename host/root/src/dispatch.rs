//! Fair claiming between queries, for runners: which query a free slot claims from next.
//!
//! [`Tenants`] holds the queries of foreground tenants, [`Shares`] the weights of background work.
//! Both are pure: a runner passes the time and a closure that claims.

mod round_robin;
mod shares;
mod tenants;

pub use round_robin::RoundRobin;
pub use shares::{Share, Shares};
pub use tenants::Tenants;
