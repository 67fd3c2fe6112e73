//! Unusual machines: an unread stderr, a full disk, a closed stdout, little memory, a private
//! certificate.
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
