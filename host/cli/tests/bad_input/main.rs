//! Errors of invalid input: each ends with a documented exit code and a message with the error, its
//! place and the remedy. Each test has the whole output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod apps;
mod arguments;
mod components;
mod files;
mod input;
mod partitions;
mod queries;
mod recordings;

#[path = "../kit/mod.rs"]
mod kit;
