//! Jobs with a processor, from the take to the end, over a store whose calls are held up, counted
//! and failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a mistake in a test's set-up should stop the test where it is"
)]

mod kit;
mod lapsing;
mod lives;
mod planning;
mod quotas;
mod so_far;
mod turns;
mod waking;
