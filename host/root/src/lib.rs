//! Control flow of one query, in the order of its steps:
//!
//! 1. [`request`]: the query and its promises: a deadline, a floor, required partitions.
//! 2. [`plan`]: the partitions with their weights.
//! 3. [`scatter`]: the window of partitions from which runners claim attempts, and their reports.
//! 4. [`attempt`]: one try at one partition, from claim to outcome.
//! 5. [`gather`]: a state machine without a clock: is it enough, is it late, is it retried.
//! 6. [`merge`]: which partials are folded together, and when; [`folding`] makes the calls.
//! 7. [`answer`]: the result, with the account of what is missing.
//!
//! A leaf may take its partition piece by piece: its [`share`] of it has a cursor and an end, and
//! the [`ledger`] accounts for what is taken in parts.
//!
//! [`flow`] runs the steps. [`call`] bounds a guest call, [`failure`] and [`limit`] describe how it
//! ended. [`event`] describes what happens, [`leaf_events`] what happens to leaves, [`progress`]
//! counts it, [`notes`] are remarks on inputs, [`quote`] shortens texts of others, [`digest`] names
//! contents, and [`policy`] holds the formulas. Two seams lead out: [`runner`] runs leaves and
//! merges, in this process or elsewhere; [`journal`] makes partials durable.
//!
//! Nothing here opens a socket or a database, reads a file, or knows what WebAssembly is.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

// Checked here because every other crate depends on this one. `.ci/check-system` checks it before a
// build.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Frond runs on Linux, on x86-64 and aarch64: build it there");

pub mod answer;
pub mod attempt;
pub mod call;
pub mod copying;
pub mod digest;
pub mod dispatch;
pub mod event;
pub mod failure;
pub mod fair;
pub mod flow;
pub mod folding;
pub mod gather;
pub mod hedging;
pub mod ids;
pub mod journal;
pub mod leaf_events;
pub mod ledger;
pub mod limit;
pub mod memory;
pub mod merge;
pub mod notes;
pub mod plan;
pub mod policy;
pub mod progress;
pub mod quote;
pub mod request;
pub mod runner;
pub mod scatter;
pub mod services;
pub mod share;
pub mod sync;
pub mod waits;
pub mod work;
pub mod worker_times;

pub use answer::{Answer, Coverage, Reason, Status};
pub use attempt::Attempt;
pub use call::{Bound, Usage};
pub use digest::{Digest, DigestWriter};
pub use event::{Event, EventKind, Events, Listener, Preview};
pub use failure::{Error, Failure, FailureKind};
pub use ids::{PartitionKey, QueryId};
pub use journal::Journal;
pub use limit::{Limit, LimitKey, Scope};
pub use notes::Notes;
pub use plan::{Content, FilePiece, Grain, Partition, Plan, Units, Unreadable};
pub use policy::hedge::CopySettings;
pub use progress::Progress;
pub use request::{Floor, Memo, MergeOrder, Request, Tenant};
pub use runner::Merger;
pub use scatter::Scatter;
pub use services::Services;
pub use share::{PieceSizes, Share};
pub use tokio_util::sync::{CancellationToken, DropGuard};
pub use work::{AttemptId, Done, Emission, LeafRunner, Outcome, StopReason, StoredAttempt, Ticket, Work, WorkerNews};
pub use worker_times::{PullTimes, WorkerTimes};
