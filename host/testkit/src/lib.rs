//! For tests only: leaves and merges that follow a script, what is needed to ask a query of them, inputs that are almost
//! valid, a PostgreSQL server, and the rules that keep the source tree tidy.
//!
//! Made for paused time (`#[tokio::test(start_paused = true)]`): a script says when things happen, to the millisecond,
//! and a test of minutes takes none.
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
pub mod postgres;
pub mod proxy;
pub mod record;
pub mod script;
pub mod stage;
pub mod tidy;

pub use almost::almost;
pub use leaves::{Counts, Leaves, StartedAttempt};
pub use merges::{Fold, Merges};
pub use postgres::{Pooler, Postgres};
pub use proxy::Proxy;
pub use record::Record;
pub use script::{Script, Turn};
pub use stage::{Stage, ms, plan, plan_weighing, request};
