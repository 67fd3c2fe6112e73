//! The HTTP root. A request's way, from file to file:
//!
//! 1. `listen`: connections; `links`: as many as are allowed, and of whom; `tls`: the certificate that they are shown; `half_close`: which clients
//!    are gone; `drain`: bodies nobody wants.
//! 2. `router`: which address leads where; `wellformed`: what is ambiguous; `auth`: who asks, and how often.
//! 3. `params`: what is asked for beside the body; `accept`: in which media type; `bodies`: the memory for all bodies.
//! 4. `admission`: whether it can be answered in time beside what runs.
//! 5. `query`: the query, asked of the app's version of that moment, in a task of its own.
//! 6. `reply`: what the client is answered. The only file with status codes. `stream`: the same as a stream of events.
//!    `sending`: how it leaves, at its reader's pace and within bounds.
//!
//! [`apps`] is what is served, and how that changes while it is; `recent` the queries that can be looked at; `metrics` and
//! `traces` what others collect of them; `serve` the server's life, and `config` what it is told.

mod accept;
mod admission;
pub mod apps;
mod apps_api;
pub mod auth;
mod bodies;
pub mod config;
mod drain;
#[doc(hidden)]
pub mod fuzzing;
mod half_close;
mod handshake;
mod health;
mod hide;
mod jobs;
mod links;
mod listen;
mod logins;
mod metrics;
mod openapi;
mod page;
mod params;
mod queries;
mod query;
mod recent;
mod reply;
mod router;
mod sending;
mod serve;
mod server;
mod stream;
mod tls;
mod traces;
mod views;
mod wellformed;

pub use config::{Config, ConfigError};
pub use metrics::LostLines;
pub use serve::{CutOff, Order, ServeError, Starting};
