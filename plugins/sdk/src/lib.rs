//! What the author of a Frond plugin in Rust depends on.
//!
//! A plugin is a WebAssembly component that exports one or more of three interfaces, each with its macro:
//!
//! | macro | interface | what the functions do |
//! |---|---|---|
//! | [`leaf!`] | `process-partition` | one partition in, one partial out |
//! | [`merger!`] | `merge-partials` | folds partials; makes the answer of the last one |
//! | [`splitter!`] | `split-query` | cuts a query into partitions |
//!
//! One component may use any of them together, each at most once, and exports exactly those that it uses.
//!
//! ```
//! use frond_plugin::{Coverage, Failure, Partition};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Query {
//!     byte: u8,
//! }
//!
//! frond_plugin::leaf!(process);
//! fn process(query: Query, partition: Partition) -> Result<u64, Failure> {
//!     Ok(partition.data.iter().filter(|byte| **byte == query.byte).count() as u64)
//! }
//!
//! frond_plugin::merger!(merge, finish);
//! fn merge(_: Query, partials: Vec<u64>) -> Result<u64, Failure> {
//!     Ok(partials.iter().sum())
//! }
//! fn finish(_: Query, merged: Option<u64>, _: Coverage) -> Result<u64, Failure> {
//!     Ok(merged.unwrap_or(0))
//! }
//! ```
//!
//! # What crosses the boundary
//!
//! Queries, partials and answers are bytes. The macros decode what a function takes and encode what it returns: JSON for
//! every serde type, the bytes themselves for [`Raw`], and a form of your own for a type that implements [`Decode`] and
//! [`Encode`]. A query that cannot be decoded ends the whole query as [`Failure::InvalidQuery`], with the place in it.
//!
//! A leaf that wants to know how long it has, or to hand over what it has so far, calls [`remaining`] and
//! [`emit_partial`]. A leaf whose partitions may be larger than its memory reads them through [`source`]. What its app
//! grants it, a leaf or a split reaches through [`http`] and [`config`], and files and environment variables as ever,
//! through `std`. A component that calls none of these imports none of them.
//!
//! # Building
//!
//! `crate-type = ["cdylib", "rlib"]`, then `cargo build --release --target wasm32-wasip2`. On any other target the macros
//! export nothing, so that `cargo test` runs the functions natively.
//!
//! Every call gets a fresh instance, so what a plugin does before its function runs is paid on every partition. Link with
//! `-C link-arg=--initial-memory=16777216`, so that an ordinary call never grows memory, which costs more than the
//! rest of an instance's start; and prefer maps without a random seed to std's `HashMap`, whose seed is a host call.
//! A panic cannot be caught in WebAssembly: it is printed to the log and the partition fails as `trap`.

mod bindings;
#[doc(hidden)]
pub mod call;
mod codec;
pub mod config;
mod control;
mod failure;
pub mod http;
mod macros;
mod partition;
pub mod source;

pub use bindings::{Coverage, Failure, Partition};
#[doc(hidden)]
pub use bindings::{leaf as __leaf, merger as __merger, splitter as __splitter};
pub use codec::{Decode, Encode, Raw};
pub use control::{emit_partial, remaining};

/// The README's plugin must compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
