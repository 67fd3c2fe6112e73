//! The server as clients meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

mod asking;
mod life;
mod protection;
mod watching;
