//! Jobs: work that outlives a request. In the order of reading:
//!
//! 1. [`job`]: a job's states, and which move leads where. Pure.
//! 2. [`store`]: what is kept of jobs, as one trait, [`JobStore`], with its types and errors.
//! 3. [`sqlite`]: the store of one root, a folder on its disk.
//! 4. `postgres`: the store that several roots share.
//!
//! The database is the only durable truth: whoever plans, runs and merges holds a lease on the job, and every write of
//! such an owner carries the epoch of that lease, so that an owner that was given up cannot disturb its successor.
//!
//! Nothing here runs a leaf, opens a port, or asks what time it is: wall-clock times are passed in.

#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod job;
mod migrations;
pub mod store;

pub use job::{End, IllegalMove, JobId, JobState, Move, UnixMs};
#[cfg(feature = "postgres")]
pub use store::postgres;
pub use store::sqlite;
pub use store::{Job, JobStore, StoreError};
