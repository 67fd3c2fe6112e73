//! Machines unlike this one: a stderr that nobody reads, a disk that is full, a stdout that is gone, a certificate
//! of one's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod folders;
mod https;
mod logs;
mod memory;
mod server;
mod signals;
mod streams;

#[path = "../kit/mod.rs"]
mod kit;
