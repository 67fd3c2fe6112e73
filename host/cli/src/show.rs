//! What people see of a query. Every view is made from the event stream or the answer's coverage, nothing else:
//!
//! - [`progress`]: while it runs, on stderr;
//! - [`summary`]: the verdict at its end, with [`totals`] for `--stats`;
//! - `jobs`: jobs of a server, listed, whole, and watched;
//! - [`explain`]: a recorded query looked at again: [`model`] → [`waterfall`] and tables.
//!
//! Views write to a [`page`], which makes every foreign text safe for a terminal and keeps lines within its width.

pub mod bench;
pub mod explain;
pub(crate) mod jobs;
pub mod model;
pub mod page;
pub mod progress;
pub mod replay;
pub mod style;
pub mod summary;
pub mod tests;
pub mod text;
pub mod totals;
pub mod trouble;
pub mod waterfall;
pub mod written;

#[cfg(test)]
pub(crate) mod fixtures;
