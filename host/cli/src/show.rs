//! Views of a query for people. Each view is made from the event stream or the answer's coverage
//! alone:
//!
//! - [`progress`]: the running query, on stderr;
//! - [`summary`]: the verdict at its end, with [`totals`] for `--stats`;
//! - `jobs`: jobs of a server, as a list, in detail, and watched; `workers`: its workers;
//! - `plan`: a plan of an app's queries, as `frond plan` makes it;
//! - [`explain`]: a recorded query: [`model`] → [`waterfall`] and tables;
//! - `simulate`: the figures of simulated queries.
//!
//! Views write to a [`page`], which escapes untrusted text for the terminal and keeps lines within
//! its width.

pub mod bench;
pub mod cases;
pub mod explain;
pub(crate) mod jobs;
pub mod model;
pub mod page;
pub(crate) mod plan;
pub mod progress;
pub mod replay;
pub(crate) mod simulate;
pub mod style;
pub mod summary;
pub(crate) mod table;
pub mod text;
pub mod totals;
pub mod trouble;
pub mod waterfall;
pub(crate) mod workers;
pub mod written;

#[cfg(test)]
pub(crate) mod fixtures;
