//! Tests of hostile peers: whatever a worker says, the query's answer is whole from an honest one,
//! and whatever a root says, a worker stays within its bounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a mistake in a test stops it where it is"
)]

#[path = "hostile/bench.rs"]
mod bench;
#[path = "hostile/chaos.rs"]
mod chaos;
#[path = "hostile/hangs.rs"]
mod hangs;
#[path = "hostile/lies.rs"]
mod lies;
#[path = "hostile/roots.rs"]
mod roots;
