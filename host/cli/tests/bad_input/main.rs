//! Whatever is wrong with what Frond is given ends with a code of the documented list and a message that says what, where
//! and what to do. Each test shows the whole of it.
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
