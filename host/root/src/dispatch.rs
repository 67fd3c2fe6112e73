//! Fair claiming between queries, for runners: which query a free slot claims from next.
//!
//! [`ClaimOrder`] holds all queries of a runner. Within it, [`Tenants`] holds those of foreground
//! tenants, and [`Shares`] the weights of background work. All are pure: a runner passes the time
//! and closures that claim.

mod claim_order;
mod round_robin;
mod shares;
mod tenants;

pub use claim_order::{ClaimOrder, ClaimSource, most_background};
pub use round_robin::RoundRobin;
pub use shares::{Share, Shares};
pub use tenants::Tenants;
