//! Test support: scripted leaves and merges, stages for queries, almost valid inputs, a PostgreSQL
//! server, a NATS server, and rules for the source tree.
//!
//! Made for paused time (`#[tokio::test(start_paused = true)]`): a script sets times to the
//! millisecond, and a test of minutes takes no time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a mistake in a test's set-up should stop the test where it is"
)]

pub mod almost;
pub mod leaves;
pub mod limits;
pub mod merges;
pub mod nats;
pub mod pieces;
pub mod postgres;
pub mod proxy;
pub mod record;
pub mod script;
mod skip;
pub mod stage;
mod stops;
pub mod tidy;

pub use almost::almost;
pub use leaves::{Counts, Leaves, StartedAttempt};
pub use merges::{Fold, Merges};
pub use nats::Nats;
pub use postgres::{Pooler, Postgres};
pub use proxy::Proxy;
pub use record::Record;
pub use script::{Script, Turn};
pub use stage::{Stage, ms, plan, plan_weighing, request};
