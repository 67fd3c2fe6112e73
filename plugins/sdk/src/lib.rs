//! SDK for Frond plugins in Rust.
//!
//! A plugin is a WebAssembly component that exports one or more of three interfaces. Each has a
//! macro:
//!
//! | macro | interface | functions |
//! |---|---|---|
//! | [`leaf!`] | `process-partition` | turn one partition into one partial |
//! | [`merger!`] | `merge-partials` | fold partials; turn the last one into the answer |
//! | [`splitter!`] | `split-query` | cut a query into partitions |
//!
//! One component may use any of them together, each at most once. It exports exactly the interfaces
//! whose macros it uses.
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
//! # Encoding
//!
//! Queries, partials and answers are bytes. The macros decode arguments and encode results: as JSON
//! for every serde type, unchanged for [`Raw`], and in a custom encoding for a type that implements
//! [`Decode`] and [`Encode`]. A query that cannot be decoded ends the whole query as
//! [`Failure::InvalidQuery`]; the message has the position of the error.
//!
//! A leaf calls [`remaining`] for the time until it is cut off, and [`emit_partial`] to hand over
//! an early partial. A leaf whose partitions may be larger than its memory reads them through
//! [`source`]. A leaf or a split uses the grants of its app through [`http`] and [`config`]; it
//! uses granted files and environment variables through `std`, as usual. A component only imports
//! the interfaces that it calls.
//!
//! # Building
//!
//! Set `crate-type = ["cdylib", "rlib"]`, then run `cargo build --release --target wasm32-wasip2`.
//! On any other target the macros export nothing, so `cargo test` runs the functions natively.
//!
//! Every call runs in a fresh instance, so a plugin pays for its start-up code on every partition.
//! Link with `-C link-arg=--initial-memory=16777216`, so that an ordinary call never grows its
//! memory: that costs more than the rest of an instance's start. Prefer maps without a random seed
//! to std's `HashMap`, which gets its seed by a host call. A panic cannot be caught in WebAssembly:
//! it is printed to the log, and the partition fails as `trap`.

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
