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
//! use frond_plugin::{Coverage, Failure, Partition, pieces};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Query {
//!     byte: u8,
//! }
//!
//! frond_plugin::leaf!(process);
//! fn process(query: Query, _: Partition) -> Result<u64, Failure> {
//!     let mut count = 0;
//!     let mut chunks = pieces::chunks();
//!     while let Some(chunk) = chunks.next_chunk() {
//!         count += chunk.bytes.iter().filter(|byte| **byte == query.byte).count() as u64;
//!         chunks.keep(|| count)?;
//!     }
//!     Ok(count)
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
//! an early partial. A leaf that takes its partition as [`pieces`] shares a long partition with
//! idle slots, leaves what it has done when it is cut off, and needs no memory for the whole
//! content. Prefer it wherever the content consists of records. A leaf that calls neither `pieces`
//! nor [`source`] gets the whole content in [`Partition::data`]; with `source` alone it reads at
//! any offset. A leaf or a split uses the grants of its app through [`http`] and [`config`]; it
//! uses granted files and environment variables through `std`, as usual. A component only imports
//! the interfaces that it calls.
//!
//! # State of a query
//!
//! Work that every partition of a query needs, such as compiling a pattern, goes to a function of
//! its own. An instance calls that function once a query. With `instance = "query"` in `[leaf]` of
//! the app's `frond.toml`, a slot keeps the instance for its partitions of the query; by default
//! each partition has a fresh instance, and the same source serves both.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use frond_plugin::{Failure, Partition};
//!
//! frond_plugin::leaf!(prepare, process);
//! fn prepare(words: Vec<String>) -> Result<BTreeSet<String>, Failure> {
//!     Ok(words.into_iter().collect())
//! }
//! fn process(words: &BTreeSet<String>, partition: Partition) -> Result<usize, Failure> {
//!     let text = partition.text()?;
//!     Ok(text.split_whitespace().filter(|word| words.contains(*word)).count())
//! }
//! ```
//!
//! A partition must get the same partial whatever ran before it in the instance: the law `warm` of
//! `frond test` checks that.
//!
//! # Building
//!
//! Set `crate-type = ["cdylib", "rlib"]`, then run `cargo build --release --target wasm32-wasip2`.
//! On any other target the macros export nothing, so `cargo test` runs the functions natively.
//!
//! A plugin pays for its start-up code in every instance. Link with
//! `-C link-arg=--initial-memory=16777216`, so that an ordinary call never grows its memory: that
//! costs more than the rest of an instance's start. Prefer maps without a random seed to std's
//! `HashMap`, which gets its seed by a host call. A panic cannot be caught in WebAssembly: it is
//! printed to the log, and the partition fails as `trap`.

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
pub mod pieces;
pub mod source;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bindings::{Coverage, Failure, Partition};
#[doc(hidden)]
pub use bindings::{leaf as __leaf, merger as __merger, splitter as __splitter};
pub use codec::{Decode, Encode, Raw};
pub use control::{emit_partial, remaining};

/// The README's plugin must compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
