//! Carriers over a real NATS server: discovery, outages, hostile peers, logins, permissions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

mod common;
mod credentials;
mod discovery;
mod hostile;
mod login;
mod measure;
mod outage;
mod permissions;
