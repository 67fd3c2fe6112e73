//! The server as clients see it: real requests to a real server in the test's process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod access;
mod answers;
mod bodies;
mod clients;
mod common;
mod description;
mod edges;
mod embedded;
mod half_closed;
mod hiding;
mod hostile;
mod inflight;
mod jobs;
mod lint;
mod observing;
mod owners;
mod pages;
mod places;
mod raw;
mod reload;
mod retrying;
mod sharing;
mod stopping;
mod stores;
mod streams;
mod tls;
mod uploads;
mod watching;
mod workers;
