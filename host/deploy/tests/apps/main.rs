//! Apps that change while they are served, with real components and files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod canary;
mod cases;
mod files;
mod holding;
mod kit;
mod memory;
mod random;
mod uploads;
