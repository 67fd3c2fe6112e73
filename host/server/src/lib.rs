//! The HTTP root. A request passes these files:
//!
//! 1. `listen`: accepts connections; `links`: limits them, in total and by address; `tls`: the
//!    certificate; `half_close`: detects clients that are gone; `drain`: drains refused bodies.
//! 2. `router`: routes; `wellformed`: refuses ambiguous requests; `auth`: authentication and rate
//!    limits.
//! 3. `params`: parameters and headers; `accept`: content negotiation; `bodies`: the body, charged
//!    to the byte `budget` of all bodies.
//! 4. `admission`: whether the query can be answered in time beside the running ones.
//! 5. `query`: runs the query on the app's current version, in a separate task.
//! 6. `reply`: the reply, and the only file with status codes. `envelopes`: answers with their
//!    coverage. `stream`: the reply as an event stream, which `event_stream` writes. `sending`:
//!    sends it at the reader's pace, within bounds.
//!
//! `frond_deploy` holds the served apps and changes them; `recent` keeps recent queries for
//! inspection; `metrics` and `traces` export them; `serve` is the server's lifecycle, and `config`
//! its settings. `embedded` answers requests about jobs without HTTP. `server` is the state that
//! handlers share; it imports none of them.

mod accept;
mod admission;
mod apps_api;
mod auth;
mod bodies;
mod budget;
pub mod config;
mod drain;
mod embedded;
mod envelopes;
mod event_stream;
#[doc(hidden)]
pub mod fuzzing;
mod half_close;
mod handshake;
mod health;
mod hide;
mod jobs;
mod leaf_slots;
mod links;
mod listen;
mod log_limit;
mod logins;
mod metrics;
mod news;
mod openapi;
mod page;
mod params;
mod queries;
mod query;
mod recent;
mod reply;
mod router;
mod running;
mod sending;
mod serve;
mod server;
mod stream;
mod tls;
mod traces;
mod views;
mod wellformed;
mod workers_api;

pub use config::{Config, ConfigError};
pub use embedded::{Embedded, ReplyBody};
pub use metrics::LostLines;
pub use serve::{CutOff, Order, ServeError, Starting};
