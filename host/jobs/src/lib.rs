//! Jobs: work that outlives a request. In the order of reading:
//!
//! 1. [`job`]: the state machine of jobs. Pure.
//! 2. [`store`]: the durable store of jobs as one trait, [`JobStore`], with its types and errors.
//! 3. [`sqlite`]: the store of one root, in a folder on its disk.
//! 4. `postgres`: the store that several roots share.
//! 5. [`work`]: the interface to the apps that run a job's leaves and merges.
//! 6. [`eta`]: the estimated end of a job. [`partial`]: its answer so far. [`account`]: sums over
//!    its lives.
//! 7. [`processor`]: takes jobs and runs them to their end; `job_run` is one owned job, `quota`
//!    its caller's quota. [`service`]: opens the store, and starts the processor beside the sweeps.
//!
//! The database is the only durable truth. The owner that plans, runs and merges a job holds a
//! lease on it, and every write of the owner carries the lease's epoch as a fencing token, so that
//! an owner that lost the job cannot disturb its successor.
//!
//! This crate neither knows how leaves run nor opens a port. Each store has a single clock; callers
//! pass no times in.

#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod account;
pub mod clock;
pub mod eta;
mod excluded;
pub mod job;
mod job_run;
mod migrations;
pub mod partial;
pub mod processor;
mod quota;
pub mod service;
pub mod store;
pub mod work;

pub use job::{End, IllegalMove, JobId, JobState, Move, UnixMs};
pub use processor::{Processor, Wakeup};
pub use quota::Quotas;
pub use service::JobService;
#[cfg(feature = "postgres")]
pub use store::postgres;
pub use store::sqlite;
pub use store::{CountedStore, Job, JobStore, LateStore, StoreError, Tally};
pub use work::{AppProvider, AppVersion, KeptElsewhere, NoVersion};
