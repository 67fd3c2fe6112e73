//! The flow of a query, in the order of its steps:
//!
//! 1. [`request`]: what is asked, and the promises: a deadline, a floor, required partitions.
//! 2. [`plan`]: the work cut into weighed partitions.
//! 3. [`scatter`]: the window of partitions that runners claim attempts from, and report to.
//! 4. [`attempt`]: one try at one partition, from claim to outcome.
//! 5. [`gather`]: what is enough, what is late, what is tried again: decisions, without a clock of their own.
//! 6. [`merge`]: which partials are folded together, and when.
//! 7. [`answer`]: what comes out, with the account of what did not.
//!
//! [`flow`] runs the steps; [`failure`] and [`limit`] say what ended a call; [`event`] tells what happens; [`policy`] holds the formulas; [`runner`] is the seam
//! behind which leaves run, in this process or elsewhere, and [`journal`] that behind which partials outlive it. [`notes`]
//! are remarks on inputs that the account carries.
//!
//! Nothing here opens a socket or a database, reads a file, or knows what WebAssembly is.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

// Said here because every other crate waits for this one. `.ci/check-system` says it before a build begins.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Frond runs on Linux, on x86-64 and aarch64: build it there");

pub mod answer;
pub mod attempt;
pub mod event;
pub mod failure;
pub mod flow;
pub mod gather;
pub mod ids;
pub mod journal;
pub mod limit;
pub mod merge;
pub mod notes;
pub mod plan;
pub mod policy;
pub mod request;
pub mod runner;
pub mod scatter;

pub use answer::{Answer, Coverage, Reason, Status};
pub use attempt::{Attempt, Emission, Outcome};
pub use event::{Event, EventKind, Events, Listener, Preview, Usage};
pub use failure::{Error, Failure, FailureKind};
pub use flow::{Cancel, Services};
pub use ids::{PartitionKey, QueryId};
pub use journal::Journal;
pub use limit::{Bound, Limit, LimitKey, Scope};
pub use notes::Notes;
pub use plan::{Content, Partition, Plan, Unreadable};
pub use request::{Floor, MergeOrder, Request};
pub use runner::{LeafRunner, Merger};
pub use scatter::Scatter;
